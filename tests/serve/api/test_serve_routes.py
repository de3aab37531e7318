"""Calls for recommendations, items, people, events and the owner, over a service in memory."""

import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from httpx2 import Response
from serve_double import Running

ODD_IDS = [
    "a/b/c",
    "/begins",
    "ends/",
    "blank space",
    "emoji-🛋️",
    "漢字",
    "100% wool",
    "?query=1",
    "x" * 300,
    "a\\b",
    '"q"',
    "#h",
]


Call = Callable[..., Response]


@pytest.fixture
def call(served: Running) -> Call:
    def make(method: str, path: str, headers: dict[str, str] | None = None, **given: Any) -> Response:
        return served.client.request(method, path, headers=served.headers() | (headers or {}), **given)

    return make


def test_an_answer_says_who_found_each_item_and_that_nothing_was_known(call: Call) -> None:
    answer = call("POST", "/v1/recommend", json={"user": "nobody", "k": 3}).json()
    assert [item["source"] for item in answer["items"]] == ["popular"] * 3
    assert answer["notes"] == [f"{len(answer['items'])} of {len(answer['items'])} items: no history: popular items."]
    assert answer["more"] is True
    assert answer["recommendation_id"]


def test_an_event_changes_the_next_answer(call: Call) -> None:
    before = call("POST", "/v1/recommend", json={"user": "u-1", "k": 2}).json()
    stored = call("POST", "/v1/events", json={"user": "u-1", "item": "a-0", "kind": "like"}).json()
    assert stored["results"][0]["status"] == "stored"
    after = call("POST", "/v1/recommend", json={"user": "u-1", "k": 2, "explained": True, "fields": ["colour"]}).json()
    assert after["items"] != before["items"]
    assert {item["fields"]["colour"] for item in after["items"]} == {"red"}
    assert after["items"][0]["reason"]["because"][0][0] == "a-0"


def test_pages_of_an_answer_never_repeat(call: Call) -> None:
    first = call("POST", "/v1/recommend", json={"user": "pages", "k": 4}).json()
    second = call("POST", "/v1/recommend/next", json={"recommendation_id": first["recommendation_id"], "k": 4}).json()
    third = call("POST", "/v1/recommend/next", json={"recommendation_id": second["recommendation_id"], "k": 4}).json()
    ids = [item["id"] for answer in (first, second, third) for item in answer["items"]]
    assert len(ids) == len(set(ids)) == 10
    assert third["more"] is False


def test_one_bad_question_of_a_batch_leaves_the_others_alone(call: Call) -> None:
    body = {"requests": [{"k": 1}, {"filter": "("}, {"user": "u-2", "k": 2}]}
    good, bad, other = call("POST", "/v1/recommend/batch", json=body).json()["results"]
    assert len(good["reply"]["items"]) == 1
    assert bad["error"]["code"] == "setting"
    assert bad["reply"] is None
    assert len(other["reply"]["items"]) == 2


def test_a_list_is_ranked_whole_and_unknown_ids_are_left_out(call: Call) -> None:
    call("POST", "/v1/events", json={"user": "ranker", "item": "a-0"})
    items = call("POST", "/v1/rank", json={"user": "ranker", "items": ["a-1", "a-2", "none", "a-1", "a-0"]}).json()[
        "items"
    ]
    assert sorted(item["id"] for item in items) == ["a-0", "a-1", "a-2"]
    assert items[0]["id"] == "a-0"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/similar", {"item": "a-0", "k": 3}),
        ("/v1/similar-users", {"user": "known", "k": 3}),
        ("/v1/explain", {"history": ["a-0"], "item": "a-3"}),
        ("/v1/search", {"text": "red lamp"}),
    ],
)
def test_other_questions_are_answered(call: Call, path: str, body: dict) -> None:
    call("PUT", "/v1/users/known", json={"fields": {"club": "red"}})
    answer = call("POST", path, json=body)
    assert answer.status_code == 200, answer.text


def test_popular_items_are_filtered(call: Call) -> None:
    found = call("GET", "/v1/popular", params={"k": 20, "filter": 'kind == "lamp"'}).json()["items"]
    assert found
    assert all("lamp" in item["title"] for item in found)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"usr": "x"}, "Unknown key 'usr'. Did you mean 'user'?"),
        ({"k": 0}, "body.k"),
        ({"k": "3"}, "body.k"),
        ({"k": 501}, "k is 501"),
        ({"filter": "x" * 2001}, "filter is 2,001 characters"),
        ({"exclude": ["x"] * 10_001}, "body.exclude"),
        ({"language": "de"}, "body.language"),
        ({"context": {"a": float("nan")}}, "finite"),
        ({"context": {"a": "\0"}}, "NUL"),
        ({"context": {"a": [[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]}}, "nesting"),
        ({"user": ""}, "body.user"),
        ({"user": "x" * 301}, "body.user"),
        ({"user": "\ud800"}, "body.user"),
        ([], "body"),
    ],
)
def test_what_is_wrong_with_a_question_is_said(call: Call, body: object, told: str) -> None:
    answer = call("POST", "/v1/recommend", content=json.dumps(body), headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert told in answer.json()["detail"] + str(answer.json()["errors"])


@pytest.mark.parametrize("content", ["{", "", "\xff", "[" * 100_000, "9" * 5000, "nul"])
def test_what_is_no_json_is_said(call: Call, content: str) -> None:
    answer = call("POST", "/v1/recommend", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422), answer.text


def test_unknown_names_in_a_query_are_errors(call: Call) -> None:
    answer = call("GET", "/v1/items", params={"fliter": "x"})
    assert answer.status_code == 422
    assert answer.json()["hint"] == "Did you mean 'filter'?"


# -- items -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ODD_IDS)
def test_an_item_of_any_name_is_put_read_changed_and_deleted(call: Call, name: str) -> None:
    path = f"/v1/items/{quote(name, safe='')}"
    put = call("PUT", path, json={"fields": {"title": "Odd", "price": 3}, "created": 5.0})
    assert put.status_code == 200, put.text
    assert put.json() == {
        "id": name,
        "fields": {"title": "Odd", "price": 3},
        "hidden": False,
        "created": 5.0,
        "media": {},
    }
    changed = call("PATCH", path, json={"fields": {"price": None, "kind": "odd"}, "hidden": True}).json()
    assert changed["fields"] == {"title": "Odd", "kind": "odd"}
    assert changed["hidden"] is True
    assert call("DELETE", path).json() == {"deleted": 1}
    assert call("GET", path).status_code == 404


def test_a_hidden_item_is_never_recommended(call: Call) -> None:
    call("PUT", "/v1/items/hidden-one", json={"hidden": True})
    items = call("POST", "/v1/recommend", json={"k": 100}).json()["items"]
    assert "hidden-one" not in [item["id"] for item in items]
    call("DELETE", "/v1/items/hidden-one")


def test_items_of_a_batch_have_a_result_each(call: Call) -> None:
    parts = [{"id": "b-1", "fields": {"title": "B"}}, {"id": ""}, {"id": "b-2", "titel": "x"}, 7, {"id": "b-3"}]
    results = call("POST", "/v1/items", json={"items": parts}).json()["results"]
    assert [one["status"] for one in results] == ["stored", "rejected", "rejected", "rejected", "stored"]
    assert "Unknown key 'titel'" in results[2]["error"]["message"]
    assert results[2]["id"] == "b-2"
    for name in ("b-1", "b-3"):
        call("DELETE", f"/v1/items/{name}")


def test_items_come_in_pages(call: Call) -> None:
    ids, cursor = [], ""
    while True:
        page = call("GET", "/v1/items", params={"n": 4, "cursor": cursor}).json()
        ids += [item["id"] for item in page["items"]]
        cursor = page["cursor"]
        if not cursor:
            break
    assert ids == sorted(set(ids))
    assert {f"a-{i}" for i in range(10)} <= set(ids)


# -- people and events -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ODD_IDS)
def test_a_person_of_any_name_is_put_read_changed_and_deleted(call: Call, name: str) -> None:
    path = f"/v1/users/{quote(name, safe='')}"
    assert call("PUT", path, json={"fields": {"club": "red"}}).json()["id"] == name
    assert call("PATCH", path, json={"fields": {"club": None, "age": "30"}}).json()["fields"] == {"age": "30"}
    call("POST", "/v1/events", json={"user": name, "item": "a-1"})
    assert len(call("GET", "/v1/events", params={"user": name}).json()["events"]) == 1
    assert call("DELETE", path).json() == {"deleted": 1}
    assert call("GET", path).status_code == 404
    assert call("GET", "/v1/events", params={"user": name}).json()["events"] == []


def test_a_visitor_becomes_a_known_person(call: Call) -> None:
    call("POST", "/v1/events", json={"events": [{"user": "visit", "item": f"a-{i}"} for i in range(3)]})
    assert call("POST", "/v1/users/merge", json={"source": "visit", "target": "signed-in"}).json() == {"moved": 3}
    assert len(call("GET", "/v1/events", params={"user": "signed-in"}).json()["events"]) == 3
    assert call("POST", "/v1/users/merge", json={"source": "x", "target": "x"}).status_code == 400


def test_an_event_sent_twice_is_stored_once(call: Call) -> None:
    event = {"user": "twice", "item": "a-1", "event_id": "only-once"}
    statuses = [call("POST", "/v1/events", json=event).json()["results"][0]["status"] for _ in range(2)]
    assert statuses == ["stored", "known"]
    assert len(call("GET", "/v1/events", params={"user": "twice"}).json()["events"]) == 1


def test_events_of_a_batch_have_a_result_each_in_their_order(call: Call) -> None:
    events = [
        {"user": "u", "item": "a-1", "event_id": "good"},
        {"user": "u"},
        {"user": "u", "item": "a-2", "value": 1e10},
    ]
    results = call("POST", "/v1/events", json={"events": events}).json()["results"]
    assert [one["status"] for one in results] == ["stored", "rejected", "rejected"]
    assert results[0]["id"] == "good"
    assert "item" in results[1]["error"]["message"]
    assert results[2]["error"]["message"] == "The value is too large."


def test_one_event_that_is_wrong_is_an_error(call: Call) -> None:
    assert call("POST", "/v1/events", json={"user": "u"}).status_code == 422
    refused = call("POST", "/v1/events", json={"user": "u", "item": "a-1", "value": 1e10})
    assert refused.status_code == 422
    assert refused.json()["detail"] == "The value is too large."


def test_events_are_deleted_by_what_is_named_and_never_all(call: Call) -> None:
    call("POST", "/v1/events", json={"events": [{"user": "gone", "item": "a-1"}, {"user": "gone", "item": "a-2"}]})
    assert call("DELETE", "/v1/events").status_code == 400
    assert call("DELETE", "/v1/events", params={"user": "gone", "item": "a-2"}).json() == {"deleted": 1}
    assert [e["item"] for e in call("GET", "/v1/events", params={"user": "gone"}).json()["events"]] == ["a-1"]


def test_a_person_is_told_with_history_and_recommendations(call: Call) -> None:
    call("POST", "/v1/events", json={"user": "told", "item": "a-5"})
    person = call("GET", "/v1/people", params={"user": "told", "k": 2}).json()
    assert [event["item"] for event in person["history"]] == ["a-5"]
    assert len(person["recommended"]) == 2


# -- the owner ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("what", "body", "bad"),
    [("scenarios", {"diversity": 0.3}, {"diversty": 1}), ("experiments", {"variants": ["a", "b"]}, {"variants": []})],
)
def test_placements_and_experiments_are_kept_by_name(call: Call, what: str, body: dict, bad: dict) -> None:
    assert call("PUT", f"/v1/{what}/home", json=body).json() == body
    assert call("GET", f"/v1/{what}").json() == {"home": body}
    assert call("GET", f"/v1/{what}/home").json() == body
    assert call("PUT", f"/v1/{what}/home", json=bad).status_code == 400
    assert call("PUT", f"/v1/{what}/a b", json=body).status_code == 422
    assert call("DELETE", f"/v1/{what}/home").json() == {"deleted": 1}
    assert call("GET", f"/v1/{what}/home").status_code == 404
    assert call("DELETE", f"/v1/{what}/home").status_code == 404


def test_models_are_activated_and_rolled_back(call: Call) -> None:
    assert call("POST", "/v1/models/activate", json={"version": "v1"}).json()["state"] == "live"
    assert call("POST", "/v1/models/rollback").json()["version"] == "v2"
    assert call("POST", "/v1/models/activate", json={"version": "v9"}).status_code == 404
    job = call("POST", "/v1/models/refit").json()
    assert job["id"] in [one["id"] for one in call("GET", "/v1/jobs").json()["jobs"]]
    states = {one["version"]: one["state"] for one in call("GET", "/v1/models").json()["versions"]}
    assert states == {"v2": "live", "v1": "retired"}


@pytest.mark.parametrize("what", ["catalogue", "quality", "map", "comparison", "stats"])
def test_what_is_known_of_the_shop_is_told(call: Call, what: str) -> None:
    answer = call("GET", f"/v1/{what}")
    assert answer.status_code == 200
    assert isinstance(answer.json(), dict)


def test_what_changes_the_shop_is_in_the_audit_log(call: Call, served: Running) -> None:
    call("PUT", "/v1/scenarios/audited", json={"diversity": 0.5})
    entry = call("GET", "/v1/audit", params={"n": 1}).json()
    assert entry["entries"][0]["action"] == "put scenario"
    assert entry["entries"][0]["target"] == "audited"
    assert entry["entries"][0]["detail"] == {"diversity": 0.5}
    assert entry["entries"][0]["actor"] == served.keys["admin"].split("_")[1]
    older = call("GET", "/v1/audit", params={"n": 1, "cursor": entry["cursor"]}).json()
    assert older["entries"][0]["id"] < entry["entries"][0]["id"]


# -- probes ------------------------------------------------------------------------------------------------------------


def test_probes_need_no_key(served: Running) -> None:
    assert served.client.get("/health/live").json() == {"live": True}
    assert served.client.get("/health/ready").json()["ready"] is True
    served.service.is_ready = False
    try:
        answer = served.client.get("/health/ready")
        assert answer.status_code == 503
        assert answer.json()["error"] == "no model yet"
        assert served.client.get("/health/live").status_code == 200
    finally:
        served.service.is_ready = True


def test_a_bug_is_told_without_its_insides(call: Call, served: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(language: str) -> None:
        raise RuntimeError("the inside of a bug")

    monkeypatch.setattr(served.service, "quality", fails)
    answer = call("GET", "/v1/quality")
    assert answer.status_code == 500
    assert answer.json()["code"] == "bug"
    assert "inside" not in answer.text
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


def test_a_request_keeps_the_id_that_it_was_given(call: Call) -> None:
    assert call("GET", "/v1/stats", headers={"X-Request-ID": "mine-1"}).headers["x-request-id"] == "mine-1"
    made = call("GET", "/v1/stats", headers={"X-Request-ID": "no good!"}).headers["x-request-id"]
    assert re.fullmatch("[0-9a-f]{16}", made)


def test_every_call_is_described_with_an_example_of_what_is_sent_and_answered(served: Running) -> None:
    schema = served.client.get("/openapi.json").json()

    def exemplified(part: Any, seen: frozenset[str] = frozenset()) -> bool:
        """Whether an example stands anywhere in a part of the description, followed through its references."""
        if isinstance(part, list):
            return any(exemplified(one, seen) for one in part)
        if not isinstance(part, dict):
            return False
        name = part.get("$ref", "").rpartition("/")[2]
        if name and name not in seen:
            return exemplified(schema["components"]["schemas"][name], seen | {name})
        return bool({"example", "examples"} & part.keys()) or any(exemplified(one, seen) for one in part.values())

    calls = [(path, method, call) for path, methods in schema["paths"].items() for method, call in methods.items()]
    assert len(calls) > 80
    for path, method, call in calls:
        assert call["description"], path
        assert call.get("security") or path.startswith(("/health", "/api/health", "/v1/session", "/metrics")), path
        assert "default" not in call["responses"]
        good = call["responses"]["200"].get("content", {})
        if path.startswith("/v1"):
            assert exemplified(call.get("requestBody", {"example": ""})), (path, method)
            assert exemplified(good.get("application/json", {"example": ""})), (path, method)
