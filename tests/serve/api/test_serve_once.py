"""The same POST with the same Idempotency-Key is done once, whatever comes between."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from serve_double import Running

EVENT = {"user": "once", "item": "a-1"}


@pytest.fixture
def post(served: Running) -> Callable[..., Any]:
    def make(path: str, key: str, scope: str = "admin", **given: Any) -> Any:
        headers = {**served.headers(scope), "Idempotency-Key": key}
        return served.client.post(path, headers=headers, **given)

    return make


def stored(served: Running, user: str) -> int:
    return sum(event.user == user for event in served.service.log)


def test_the_answer_is_given_again_and_nothing_is_stored_twice(post: Callable[..., Any], served: Running) -> None:
    first, again = (post("/v1/events", "k-1", json=EVENT) for _ in range(2))
    assert first.json() == again.json()
    assert first.json()["results"][0]["status"] == "stored"
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert again.headers["x-request-id"] != first.headers["x-request-id"]
    assert stored(served, "once") == 1


def test_another_call_with_the_same_word_is_refused(post: Callable[..., Any]) -> None:
    assert post("/v1/events", "k-2", json=EVENT).status_code == 200
    for path, body in (("/v1/events", {**EVENT, "item": "a-2"}), ("/v1/users/merge", {"source": "a", "target": "b"})):
        refused = post(path, "k-2", json=body)
        assert refused.status_code == 409
        assert refused.json()["code"] == "conflict"


def test_the_words_of_one_key_are_no_concern_of_another(post: Callable[..., Any], served: Running) -> None:
    for scope in ("write", "admin"):
        answer = post("/v1/events", "k-3", scope, json={"user": "two keys", "item": "a-1"})
        assert "idempotency-replayed" not in answer.headers
    assert stored(served, "two keys") == 2


def test_nobody_gets_an_answer_again_without_a_key(post: Callable[..., Any], served: Running) -> None:
    post("/v1/events", "k-4", json=EVENT)
    assert served.client.post("/v1/events", headers={"Idempotency-Key": "k-4"}, json=EVENT).status_code == 401
    assert post("/v1/events", "k-4", "read", json=EVENT).status_code == 403


def test_an_error_may_be_tried_again(post: Callable[..., Any]) -> None:
    assert post("/v1/events", "k-5", json={"user": "u"}).status_code == 422
    assert post("/v1/events", "k-5", json={**EVENT, "user": "u"}).status_code == 200


@pytest.mark.parametrize("key", ["", "x" * 201, "a b"])
def test_a_word_that_is_none_is_refused(post: Callable[..., Any], key: str) -> None:
    assert post("/v1/events", key, json=EVENT).status_code == 422


def test_calls_at_the_same_time_are_done_once(post: Callable[..., Any], served: Running) -> None:
    answers: list[Any] = []
    event = {"user": "race", "item": "a-1"}
    threads = [threading.Thread(target=lambda: answers.append(post("/v1/events", "k-6", json=event))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1
    assert stored(served, "race") == 1


def test_a_server_that_ended_before_it_kept_the_answer_stores_nothing_twice(
    post: Callable[..., Any], served: Running
) -> None:
    events = {"events": [{"user": "ended", "item": "a-1"}, {"user": "ended", "item": "a-1"}]}
    first = post("/v1/events", "k-7", json=events).json()["results"]
    served.service.store.replies.rows.clear()
    again = post("/v1/events", "k-7", json=events).json()["results"]
    assert [one["status"] for one in again] == ["known", "known"]
    assert [one["id"] for one in again] == [one["id"] for one in first]
    assert stored(served, "ended") == 2


def test_an_id_of_the_caller_s_own_stays(post: Callable[..., Any]) -> None:
    answer = post("/v1/events", "k-8", json={**EVENT, "event_id": "mine"})
    assert answer.json()["results"][0]["id"] == "mine"


def test_items_people_and_refits_are_done_once(post: Callable[..., Any], served: Running) -> None:
    for path, body in (
        ("/v1/items", {"items": [{"id": "new-1"}]}),
        ("/v1/users", {"users": [{"id": "u-1"}]}),
        ("/v1/models/refit", None),
        ("/api/item", {"ItemId": "new-2"}),
    ):
        answers = [post(path, f"k-9 {path}".replace(" ", ""), json=body).text for _ in range(2)]
        assert answers[0] == answers[1]
    assert sum(job.kind == "refit" for job in served.service.work) == 1
