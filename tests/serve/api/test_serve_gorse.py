"""The published clients of Gorse, unchanged, against a running server over a real model and store."""

import asyncio
import json
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
import uvicorn
from gorse import AsyncGorse, Gorse, GorseException

from salon.errors import DataError, SettingError
from salon.serve.app import create_app
from salon.serve.gorse_schemas import date_of, delay_of, seconds_of
from salon.serve.keys import make_key
from salon.serve.options import LiveOptions
from salon.serve.service import LiveService
from salon.serve.settings import ServeSettings
from salon.serve.state import Tenant

TIME = "2026-01-31T12:00:00Z"


@dataclass(frozen=True)
class Address:
    """A running server."""

    url: str
    key: str


@pytest.fixture(scope="module")
def gorse(shop_models: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Address]:
    """A server on a free port; the categories of Gorse are the field `kind`, its comments the field `name`."""
    home = tmp_path_factory.mktemp("gorse")
    still = LiveOptions(update_seconds=3600, follow_seconds=3600)  # else a list may change between two of its pages
    service = LiveService(shop_models["linear"] / "model", home=home, options=still)
    service.start()
    text, key = make_key("gorse", ["write"])
    service.engine.store.keys.add(key)
    settings = ServeSettings(gorse={"categories": "kind", "comment": "name"})
    app = create_app(
        {"default": Tenant.of("default", service, service.engine.store, settings.limits)}, settings, bytes(32)
    )
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, access_log=False))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        threading.Event().wait(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield Address(f"http://127.0.0.1:{port}", text)
    server.should_exit = True
    thread.join()
    service.close()


@pytest.fixture
def client(gorse: Address) -> Gorse:
    return Gorse(gorse.url, gorse.key, timeout=30)


def missing(call: Callable[[], Any]) -> bool:
    with pytest.raises(GorseException) as error:
        call()
    return error.value.status_code == 404


def test_pygorse_keeps_users(client: Gorse) -> None:
    user = {"UserId": "g-1", "Labels": {"club": "red"}, "Comment": "the first"}
    assert client.insert_user(user) == {"RowAffected": 1}
    assert client.get_user("g-1") == user
    assert client.insert_users([{"UserId": f"g-{i}", "Labels": ["a"]} for i in (2, 3)]) == {"RowAffected": 2}
    assert client.get_user("g-2") == {"UserId": "g-2", "Labels": ["a"], "Comment": ""}
    users, cursor = client.get_users(2)
    more, _ = client.get_users(2, cursor)
    ids = [one["UserId"] for one in (*users, *more)]
    assert len(ids) == len(set(ids)) == 4
    assert client.delete_user("g-1") == {"RowAffected": 1}
    assert missing(lambda: client.get_user("g-1"))


def test_pygorse_keeps_items(client: Gorse) -> None:
    item = {
        "ItemId": "g-item", "IsHidden": True, "Labels": {"price": 12.5}, "Categories": ["crimson", "lamp"],
        "Timestamp": TIME, "Comment": "A crimson lamp",
    }  # fmt: skip
    assert client.insert_item(item) == {"RowAffected": 1}
    assert client.get_item("g-item") == item
    assert client.update_item("g-item", comment="A lamp", categories=["lamp"], timestamp="2026-02-01") == {
        "RowAffected": 1
    }
    changed = client.get_item("g-item")
    assert (changed["Comment"], changed["Categories"], changed["IsHidden"]) == ("A lamp", ["lamp"], True)
    assert changed["Timestamp"] == "2026-02-01T00:00:00Z"
    assert client.update_item("g-item", is_hidden=False) == {"RowAffected": 1}
    assert client.get_item("g-item")["IsHidden"] is False
    items, cursor = client.get_items(5)
    assert len(items) == 5
    assert cursor
    assert client.search_items("crimson thing", 3)[0]["Score"] > 0
    assert client.delete_item("g-item") == {"RowAffected": 1}
    assert missing(lambda: client.get_item("g-item"))


def test_pygorse_keeps_feedback_and_adds_its_values(client: Gorse) -> None:
    rows = [
        {"FeedbackType": "buy", "UserId": "g-buyer", "ItemId": f"thing-0{i}", "Value": 1.0, "Timestamp": TIME}
        for i in range(3)
    ]
    assert client.insert_feedbacks(rows) == {"RowAffected": 3}
    assert client.insert_feedback("buy", "g-buyer", "thing-00", TIME, 2.0) == {"RowAffected": 1}
    found = {one["ItemId"]: one for one in client.list_feedbacks("buy", "g-buyer")}
    assert {item: one["Value"] for item, one in found.items()} == {"thing-00": 3.0, "thing-01": 1.0, "thing-02": 1.0}
    assert found["thing-00"]["Timestamp"] == TIME
    assert client.get_user("g-buyer")["UserId"] == "g-buyer", "whoever acts becomes known"
    page, cursor = client.get_feedbacks(2)
    assert len(page) == 2
    assert cursor
    assert client.delete_feedback("g-buyer", "thing-00") == {"RowAffected": 2}
    assert len(client.list_feedbacks("buy", "g-buyer")) == 2


def test_pygorse_is_recommended_items_and_reads_are_written_back(client: Gorse) -> None:
    first = client.get_recommend("p00", n=3)
    assert [one.score for one in first] == sorted((one.score for one in first), reverse=True)
    assert [one.id for one in client.get_recommend("p00", n=2, offset=1)] == [one.id for one in first[1:]]
    azure = client.get_recommend("p00", category="azure", n=30)
    assert {client.get_item(one.id)["Categories"][0] for one in azure} == {"azure"}
    seen = client.get_recommend("g-reader", n=3, write_back_type="read", write_back_delay="0s")
    again = client.get_recommend("g-reader", n=3)
    assert not {one.id for one in seen} & {one.id for one in again}
    assert len(client.list_feedbacks("read", "g-reader")) == 3


def test_pygorse_is_answered_for_a_session_and_for_neighbours(client: Gorse) -> None:
    feedback = [{"FeedbackType": "view", "UserId": "", "ItemId": "thing-00", "Timestamp": TIME}]
    with pytest.raises(GorseException) as error:
        client.session_recommend(feedback, n=3)
    assert error.value.status_code == 422
    found = client.session_recommend([{**feedback[0], "UserId": "anybody"}], n=3)
    assert len(found) == 3
    assert "thing-00" not in [one["Id"] for one in found]
    near = client.get_neighbors("thing-00", n=4)
    assert len(near) == 4
    assert [one["Id"] for one in client.get_neighbors("thing-00", n=2, offset=2)] == [one["Id"] for one in near[2:]]
    assert missing(lambda: client.get_neighbors("no-such-item"))


def test_the_asynchronous_pygorse_is_served_too(gorse: Address) -> None:
    async def run() -> None:
        client = AsyncGorse(gorse.url, gorse.key)
        assert await client.insert_user({"UserId": "g-async"}) == {"RowAffected": 1}
        assert await client.insert_feedback("view", "g-async", "thing-01", TIME) == {"RowAffected": 1}
        assert len(await client.list_feedbacks("view", "g-async")) == 1
        assert len(await client.get_recommend("g-async", n=2)) == 2
        assert await client.delete_user("g-async") == {"RowAffected": 1}
        with pytest.raises(GorseException):
            await client.get_user("g-async")

    asyncio.run(run())


def test_a_wrong_key_is_told_as_gorse_tells_it(gorse: Address) -> None:
    with pytest.raises(GorseException) as error:
        Gorse(gorse.url, "salon_x_y").get_user("p00")
    assert error.value.status_code == 401
    assert not error.value.message.startswith("{")


# -- what the clients have no method for -------------------------------------------------------------------------------


@pytest.fixture
def call(gorse: Address) -> Iterator[Callable[..., Any]]:
    with httpx2.Client(base_url=f"{gorse.url}/api", headers={"X-API-Key": gorse.key}, timeout=30) as client:
        yield client.request


def test_recommend_answers_ids_unless_scores_are_asked_for(call: Callable[..., Any]) -> None:
    ids = call("GET", "/recommend/p01?n=2").json()
    assert all(isinstance(one, str) for one in ids)
    scored = call("GET", "/recommend/p01?n=2", headers={"X-API-Version": "2"}).json()
    assert [one["Id"] for one in scored] == ids
    assert call("GET", "/collaborative-filtering/p01?n=2").json() == scored


def test_named_recommenders_are_those_of_the_settings(call: Callable[..., Any]) -> None:
    newest = call("GET", "/latest?n=30").json()
    assert [one["Score"] for one in newest] == sorted((one["Score"] for one in newest), reverse=True)
    assert call("GET", "/non-personalized/latest?n=30").json() == newest
    assert call("GET", "/non-personalized/popular?n=3").json() == call("GET", "/popular?n=3").json()
    fresh = call("GET", "/latest", params={"n": 30, "user-id": "p00"}).json()
    assert len(fresh) < len(newest), "what somebody saw is left out"
    assert (
        call("GET", "/item-to-item/neighbors/thing-00?n=3").json() == call("GET", "/item/thing-00/neighbors?n=3").json()
    )
    assert call("GET", "/user-to-user/neighbors/p00?n=3").json() == call("GET", "/user/p00/neighbors?n=3").json()
    unknown = call("GET", "/item-to-item/goods/thing-00")
    assert unknown.status_code == 404
    assert "neighbors" in unknown.text
    assert unknown.headers["content-type"].startswith("text/plain")


def test_all_categories_must_hold(call: Callable[..., Any]) -> None:
    call("POST", "/item", json={"ItemId": "both", "Categories": ["azure", 'odd "one"'], "Comment": "both"})
    found = call("GET", "/latest", params={"category": ["azure", 'odd "one"'], "n": 30}).json()
    assert [one["Id"] for one in found] == ["both"]
    assert call("PUT", "/item/both/category/third").json() == {"RowAffected": 1}
    assert call("DELETE", "/item/both/category/azure").json() == {"RowAffected": 1}
    assert call("GET", "/item/both").json()["Categories"] == ['odd "one"', "third"]
    call("DELETE", "/item/both")


def test_put_overwrites_feedback_and_post_adds_to_it(call: Callable[..., Any]) -> None:
    row = {"FeedbackType": "rating", "UserId": "g-put", "ItemId": "thing-05", "Value": 2.0, "Timestamp": TIME}
    for _ in range(2):
        call("POST", "/feedback", json=[row])
    assert call("GET", "/feedback/rating/g-put/thing-05").json()["Value"] == 4.0
    assert call("PUT", "/feedback", json=[{**row, "Value": 5.0}]).json() == {"RowAffected": 1}
    assert call("GET", "/feedback/rating/g-put/thing-05").json()["Value"] == 5.0
    assert [one["Value"] for one in call("GET", "/feedback/g-put/thing-05").json()] == [5.0]
    assert [one["ItemId"] for one in call("GET", "/user/g-put/feedback").json()] == ["thing-05"]
    assert "g-put" in [one["UserId"] for one in call("GET", "/item/thing-05/feedback/rating").json()]
    assert call("DELETE", "/feedback/rating/g-put/thing-05").json() == {"RowAffected": 1}
    assert call("GET", "/feedback/rating/g-put/thing-05").status_code == 404


def test_readiness_is_told_in_gorse_s_words(gorse: Address) -> None:
    told = httpx2.get(f"{gorse.url}/api/health/ready").json()
    assert told["Ready"] is True
    assert told["DataStoreConnected"] is True


def test_dates_and_delays_are_read_as_gorse_writes_them() -> None:
    assert seconds_of("2026-01-31T12:00:00Z") == seconds_of("2026-01-31T13:00:00+01:00") == 1769860800.0
    assert date_of(1769860800.0) == "2026-01-31T12:00:00Z"
    assert seconds_of(date_of(1769860800.25)) == 1769860800.25
    assert seconds_of("") == 0.0
    assert [delay_of(text) for text in ("10m", "1h30m", "24h", "1.5s", "200ms", "")] == [600, 5400, 86400, 1.5, 0.2, 0]
    for bad in ("10", "m", "10 m", "-1h", "1h30"):
        with pytest.raises(SettingError, match="no duration"):
            delay_of(bad)
    with pytest.raises(DataError, match="no date"):
        seconds_of("yesterday")


# -- JavaScript --------------------------------------------------------------------------------------------------------

SCRIPT = """
const { Gorse } = require("gorsejs");
const client = new Gorse({ endpoint: process.argv[2], secret: process.argv[3] });
const time = "2026-01-31T12:00:00Z";
(async () => {
  const told = {};
  told.user = await client.insertUser({ UserId: "js-1", Labels: ["a"], Comment: "from js" });
  told.known = (await client.getUser("js-1")).Comment;
  told.item = await client.upsertItem(
    { ItemId: "js-item", IsHidden: false, Categories: ["azure"], Timestamp: time, Comment: "A azure thing of js" });
  told.category = await client.insertItemCategory("js-item", "new");
  told.categories = (await client.getItem("js-item")).Categories;
  told.feedback = await client.insertFeedbacks(
    [{ FeedbackType: "view", UserId: "js-1", ItemId: "thing-01", Timestamp: time }]);
  told.put = await client.upsertFeedbacks(
    [{ FeedbackType: "view", UserId: "js-1", ItemId: "thing-01", Timestamp: time }]);
  told.listed = (await client.getUserFeedback("js-1")).map((one) => one.ItemId);
  told.one = (await client.getFeedback({ type: "view", userId: "js-1", itemId: "thing-01" })).UserId;
  told.recommended = (await client.getRecommend({ userId: "js-1", cursorOptions: { n: 3 } })).length;
  told.azure = (await client.getRecommend({ userId: "js-1", category: "azure", cursorOptions: { n: 3 } })).length;
  told.popular = (await client.getPopular({ cursorOptions: { n: 3 } })).length;
  told.latest = (await client.getLatest({ category: "azure", cursorOptions: { n: 2 } }))[0].Id;
  const session = [{ FeedbackType: "view", UserId: "js-2", ItemId: "thing-01", Timestamp: time }];
  told.session = (await client.getSessionRecommend(session, { cursorOptions: { n: 2 } })).length;
  told.neighbors = (await client.getItemNeighbors({ itemId: "thing-01", cursorOptions: { n: 2 } })).length;
  told.page = (await client.getItems({ n: 2 })).Items.length;
  told.users = (await client.getUsers({ n: 2 })).Users.length;
  told.gone = [await client.deleteFeedback({ type: "view", userId: "js-1", itemId: "thing-01" }),
    await client.deleteItem("js-item"), await client.deleteUser("js-1")].length;
  told.missing = await client.getUser("js-1").catch((error) => error.code);
  console.log(JSON.stringify(told));
})().catch((error) => { console.error(error); process.exit(1); });
"""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which gorsejs is installed."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("gorsejs needs node and npm")
    folder = tmp_path_factory.mktemp("gorsejs")
    (folder / "package.json").write_text("{}")
    packages = ["gorsejs@0.4.8", "tslib@2"]  # gorsejs needs tslib and does not say so
    command = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries=0", *packages]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=90, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip("the registry of npm does not answer")
    if done.returncode != 0:
        pytest.skip("gorsejs cannot be installed: the registry of npm is not reachable")
    return folder


def test_gorsejs_drives_the_server(gorse: Address, node: Path) -> None:
    (node / "drive.js").write_text(SCRIPT)
    command = ["node", "drive.js", gorse.url, gorse.key]
    done = subprocess.run(command, cwd=node, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "user": 1, "known": "from js", "item": 1, "category": 1, "categories": ["azure", "new"],
        "feedback": 1, "put": 1, "listed": ["thing-01"], "one": "js-1", "recommended": 3, "azure": 3, "popular": 3,
        "latest": "thing-23",
        "session": 2, "neighbors": 2, "page": 2, "users": 2, "gone": 3, "missing": 404,
    }  # fmt: skip
