"""What is too much: calls, bytes, parts, waiting; and that each is told with what to do."""

import threading
from collections.abc import Callable

import pytest
from serve_double import Running

from salon.errors import RateError
from salon.serve.limits import MOST_BUCKETS, Buckets


def test_a_bucket_allows_a_burst_and_then_a_rate() -> None:
    now = [0.0]
    buckets = Buckets(2.0, 3, clock=lambda: now[0])
    for _ in range(3):
        buckets.take("key")
    with pytest.raises(RateError) as refused:
        buckets.take("key")
    assert refused.value.wait == pytest.approx(0.5)
    buckets.take("another")
    now[0] = 0.5
    buckets.take("key")
    with pytest.raises(RateError):
        buckets.take("key")
    now[0] = 100.0
    for _ in range(3):
        buckets.take("key")
    with pytest.raises(RateError):
        buckets.take("key")


def test_a_rate_of_0_sets_no_limit() -> None:
    buckets = Buckets(0.0, 1)
    for _ in range(100):
        buckets.take("key")
    assert len(buckets) == 0


def test_buckets_take_bounded_memory() -> None:
    buckets = Buckets(1.0, 1)
    for number in range(MOST_BUCKETS + 500):
        buckets.take(str(number))
    assert len(buckets) == MOST_BUCKETS


def test_a_key_that_calls_too_often_is_told_when_to_come_back(serving: Callable[..., Running]) -> None:
    slow = serving(limits={"rate": 0.5, "burst": 3})
    answers = [slow.client.get("/v1/session", headers=slow.headers()) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert int(answers[-1].headers["retry-after"]) in (2, 3)
    assert answers[-1].json()["retryable"] is True
    assert slow.client.get("/v1/session", headers=slow.headers("read")).status_code == 200
    assert slow.client.get("/health/live").status_code == 200


def test_an_address_that_tries_keys_is_slowed_down(serving: Callable[..., Running]) -> None:
    slow = serving(limits={"rate": 0.5, "burst": 3})
    statuses = [slow.client.get("/v1/items", headers={"X-API-Key": f"salon_{i}_x"}).status_code for i in range(5)]
    assert statuses == [401, 401, 401, 429, 429]
    assert slow.client.post("/v1/session", json={"key": "salon_1_x"}).status_code == 429
    assert slow.client.get("/v1/session", headers=slow.headers()).status_code == 200


@pytest.fixture(scope="module")
def small(serving: Callable[..., Running]) -> Running:
    limits = {"body_bytes": 2000, "media_bytes": 5000, "batch": 3, "asks": 2, "k": 20, "page": 5, "ids": 4}
    return serving(limits=limits)


@pytest.mark.parametrize("declared", [True, False])
def test_a_body_that_is_too_large_is_refused_while_it_arrives(small: Running, declared: bool) -> None:
    sent = 0

    def pieces():
        nonlocal sent
        for _ in range(1000):
            sent += 1
            yield b" " * 100

    content = b"".join(pieces()) if declared else pieces()
    headers = {**small.headers(), "Content-Type": "application/json"}
    answer = small.client.post("/v1/recommend", content=content, headers=headers)
    assert answer.status_code == 413
    assert answer.headers["content-type"] == "application/problem+json"
    assert "2,000" in answer.json()["detail"]


def test_a_medium_that_is_too_large_is_refused(small: Running) -> None:
    for path in ("/v1/media?item=a-1&field=photo", "/v1/search"):
        method = "PUT" if "media" in path else "POST"
        name = "file" if "media" in path else "image"
        answer = small.client.request(method, path, files={name: b"x" * 6000}, headers=small.headers())
        assert answer.status_code == 413, answer.text


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/v1/events", {"events": [{"user": "u", "item": "a-1"}] * 4}),
        ("POST", "/v1/items", {"items": [{"id": "x"}] * 4}),
        ("POST", "/v1/users", {"users": [{"id": "x"}] * 4}),
        ("POST", "/v1/recommend/batch", {"requests": [{}] * 3}),
        ("POST", "/v1/recommend", {"k": 21}),
        ("POST", "/v1/recommend", {"exclude": ["x"] * 5}),
        ("POST", "/v1/rank", {"items": list("abcde")}),
        ("POST", "/v1/similar-users", {"user": "u", "k": 21}),
        ("GET", "/v1/items?n=6", None),
        ("GET", "/v1/events?n=6", None),
        ("POST", "/api/users", [{"UserId": "u"}] * 4),
        ("GET", "/api/latest?n=15&offset=10", None),
    ],
)
def test_more_than_one_call_may_ask_for_is_refused(small: Running, method: str, path: str, body: object) -> None:
    answer = small.client.request(method, path, json=body, headers=small.headers())
    assert answer.status_code == 400, answer.text
    assert "t most" in answer.text


def test_a_full_queue_is_told_and_empties_again(
    serving: Callable[..., Running], monkeypatch: pytest.MonkeyPatch
) -> None:
    full = serving(limits={"threads": 1, "waiting": 1})
    gate, inside = threading.Event(), threading.Event()

    def slow(language: str) -> dict[str, object]:
        inside.set()
        assert gate.wait(20)
        return {}

    full.client.get("/v1/session", headers=full.headers())  # the key is known from now on, without a thread
    monkeypatch.setattr(full.service, "quality", slow)
    found: list[int] = []

    def ask() -> None:
        found.append(full.client.get("/v1/quality", headers=full.headers()).status_code)

    first, second = threading.Thread(target=ask), threading.Thread(target=ask)
    first.start()
    assert inside.wait(20)
    second.start()
    for _ in range(2000):
        if full.client.app.state.salon.workers.pending == 2:
            break
        threading.Event().wait(0.005)
    refused = full.client.get("/v1/quality", headers=full.headers())
    assert full.client.get("/health/live").status_code == 200
    gate.set()
    first.join()
    second.join()
    assert refused.status_code == 503
    assert refused.headers["retry-after"] == "1"
    assert refused.json()["code"] == "busy"
    assert found == [200, 200]
    assert full.client.get("/v1/quality", headers=full.headers()).status_code == 200
