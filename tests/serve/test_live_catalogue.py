"""Items that come, change, hide and go while the service runs."""

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from salon.serve.options import LiveOptions
from salon.serve.service import LiveService
from salon.serve.values import Ask, Reply
from salon.store.values import StoredEvent, StoredItem

Asks = Callable[..., Reply]
NEW = StoredItem(
    "new/ü 🙂", {"name": "A crimson thing number 77", "kind": "crimson", "price": 12, "photo": "media/0.png"}
)


def place(reply: Reply, name: str) -> tuple[int, str]:
    """Where an item is, and who brought it; -1 where it is not."""
    for at, one in enumerate(reply.items):
        if one.id == name:
            return at, one.source
    return -1, ""


def encoded(service: LiveService, wait_until: Callable[..., float]) -> float:
    shelf = service.engine.current.shelf
    return wait_until(lambda: not shelf.waiting and all(one.ended for one in service.jobs()))


def test_a_new_item_is_recommended_by_its_content(
    service: LiveService, ask_service: Asks, wait_until: Callable[..., float]
) -> None:
    assert service.put_items([NEW])[0].status == "stored"
    crimson = ("thing-00", "thing-02", "thing-04")
    wait_until(lambda: place(ask_service(service, history=crimson, k=30), NEW.id)[1] == "linear")
    mine = place(ask_service(service, history=crimson, k=30), NEW.id)[0]
    other = place(ask_service(service, history=("thing-01", "thing-07"), k=30), NEW.id)[0]
    assert mine < other
    job = next(one for one in service.jobs() if one.kind == "encode")
    assert (job.state, job.detail["items"]) == ("done", 1)


def test_a_model_that_takes_in_no_items_scores_them_by_their_neighbours(
    open_service: Callable[..., LiveService],
    shop_models: dict[str, Path],
    ask_service: Asks,
    wait_until: Callable[..., float],
    tmp_path: Path,
) -> None:
    service = LiveService(shop_models["ease"] / "model", home=tmp_path / "home", store=tmp_path / "salon.db")
    service.start()
    try:
        service.put_items([NEW, StoredItem("bare", {})])
        asked = {"history": ("thing-00", "thing-02"), "k": 30, "explained": True}
        wait_until(lambda: place(ask_service(service, **asked), NEW.id)[1] == "similar")
        reply = ask_service(service, **asked)
        assert place(reply, "bare")[1] == "new"
        assert place(reply, NEW.id)[0] < place(reply, "thing-01")[0]
        (own,) = [one for one in reply.items if one.id == NEW.id]
        assert own.reason is not None
        assert own.reason.words == "Alike in content to what fits the history"
        assert any("new" in note for note in reply.notes)
    finally:
        service.close()


def test_a_changed_item_is_encoded_again(
    service: LiveService, ask_service: Asks, wait_until: Callable[..., float]
) -> None:
    service.put_items([NEW])
    encoded(service, wait_until)
    azure = {"name": "A azure thing number 78", "kind": "azure", "photo": "media/1.png"}
    service.patch_item(NEW.id, azure, None)
    encoded(service, wait_until)
    crimson = place(ask_service(service, history=("thing-00", "thing-02"), k=30), NEW.id)[0]
    mine = place(ask_service(service, history=("thing-01", "thing-07"), k=30), NEW.id)[0]
    assert mine < crimson
    assert ask_service(service, candidates=(NEW.id,), history=("thing-01",)).items[0].title == "A azure thing number 78"
    assert len([one for one in service.map()["items"] if one["id"] == NEW.id]) == 1


def test_a_liked_item_that_changes_keeps_its_place_in_the_model(
    open_service: Callable[..., LiveService], shop_folder: Path, wait_until: Callable[..., float]
) -> None:
    service = open_service(shop_folder)
    live = service.engine.current.shelf.live
    row = live.catalogue.rows["thing-02"]
    before = live.model.vectors_[row].copy()  # type: ignore[attr-defined]
    service.patch_item("thing-02", {"name": "Something else altogether", "photo": "media/1.png"}, None)
    wait_until(lambda: not np.allclose(service.engine.current.shelf.live.model.vectors_[row], before))  # type: ignore[attr-defined]
    now = service.engine.current.shelf.live
    assert now.catalogue.rows["thing-02"] == row
    assert now.model.counts_[row] == live.model.counts_[row]  # type: ignore[attr-defined]


def test_hidden_and_deleted_items_never_come_back(service: LiveService, ask_service: Asks) -> None:
    stale = service.engine.current.shelf.live
    service.patch_item("thing-00", {}, hidden=True)
    service.delete_items(["thing-02"])
    for ask in (
        {"user": "p01", "k": 30},
        {"history": ("thing-04",), "k": 30},
        {"candidates": ("thing-00", "thing-02")},
    ):
        assert not {"thing-00", "thing-02"} & {one.id for one in ask_service(service, **ask).items}
    assert not {"thing-00", "thing-02"} & {one.id for one in service.popular(Ask(k=30)).items}
    assert not {"thing-00", "thing-02"} & {one.item.id for one in service.search({"text": "crimson"}, Ask(k=30))}
    assert stale.catalogue.shown.all(), "a request that began before ends on the state it began with"
    service.patch_item("thing-00", {}, hidden=False)
    assert "thing-00" in {one.id for one in ask_service(service, history=("thing-04",), k=30).items}


def test_an_item_that_is_deleted_and_put_again_is_a_new_one(
    open_service: Callable[..., LiveService], shop_folder: Path, ask_service: Asks, wait_until: Callable[..., float]
) -> None:
    service = open_service(shop_folder)
    old = service.item("thing-00")
    service.delete_items(["thing-00"])
    service.put_items([old])
    wait_until(lambda: place(ask_service(service, history=("thing-02",), k=30), "thing-00")[1] == "linear")
    reply = ask_service(service, user="p01", k=30)
    assert [one.id for one in reply.items].count("thing-00") == 1
    assert service.events(item="thing-00").rows == ()


def test_what_was_told_while_the_service_was_away_counts_when_it_is_back(
    open_service: Callable[..., LiveService], shop_folder: Path, ask_service: Asks, wait_until: Callable[..., float]
) -> None:
    first = open_service(shop_folder)
    first.put_items([NEW])
    first.add_events([StoredEvent("late", NEW.id, "buy"), StoredEvent("p00", "thing-03", "buy")])
    first.delete_items(["thing-04"])
    first.close()
    again = open_service(shop_folder)
    wait_until(lambda: again.engine.current.shelf.live.counts[-1] == 1.0)
    assert "thing-04" not in {one.id for one in ask_service(again, history=("thing-00",), k=30).items}
    assert NEW.id in {one.id for one in ask_service(again, history=("thing-00",), k=30).items}
    assert NEW.id not in {one.id for one in ask_service(again, user="late", k=30).items}


def test_two_processes_share_one_store(
    open_service: Callable[..., LiveService], shop_folder: Path, ask_service: Asks, wait_until: Callable[..., float]
) -> None:
    here, there = open_service(shop_folder), open_service(shop_folder)
    before = {one.source for one in ask_service(there, user="guest").items}
    here.add_events([StoredEvent("guest", "thing-01", "buy")])
    assert before == {"popular"}
    assert {one.source for one in ask_service(there, user="guest", k=3).items} == {"linear"}
    here.delete_items(["thing-03"])
    assert "thing-03" not in {one.id for one in ask_service(there, user="guest", k=30).items}
    here.put_items([NEW])
    wait_until(lambda: place(ask_service(there, history=("thing-00",), k=30), NEW.id)[1] == "linear")
    here.put_scenario("home", {"filter": 'kind == "azure"'})
    assert all(one.id < "thing-24" for one in ask_service(there, scenario="home", k=30).items)
    first = ask_service(here, user="guest", k=3)
    here.engine.exposures.flush()
    second = ask_service(there, after=first.recommendation_id, k=3)
    assert not {one.id for one in first.items} & {one.id for one in second.items}


def test_uploads_are_decoded_kept_once_and_encoded(
    service: LiveService, ask_service: Asks, wait_until: Callable[..., float], shop_folder: Path
) -> None:
    content = (shop_folder / "media/1.png").read_bytes()
    service.put_items([StoredItem("up", {"name": "Mystery"})])
    encoded(service, wait_until)
    job = service.put_medium("up", "photo", content, ".PNG")
    assert job.detail["path"].startswith("uploads/")
    assert service.put_medium("up", "photo", content, ".png").detail["path"] == job.detail["path"]
    assert service.medium("up", "photo").read_bytes() == content
    encoded(service, wait_until)
    live = service.engine.current.shelf.live
    assert live.features["image"].present[live.catalogue.rows["up"]]


@pytest.mark.parametrize(
    ("item", "field", "content", "suffix", "says"),
    [
        ("thing-00", "photo", b"no picture", ".png", "picture"),
        ("thing-00", "name", b"x", ".png", "no medium"),
        ("nowhere", "photo", b"x", ".png", "no item"),
        ("thing-00", "photo", b"x", "/../x", "suffix"),
    ],
)
def test_bad_uploads_are_refused(
    service: LiveService, item: str, field: str, content: bytes, suffix: str, says: str
) -> None:
    with pytest.raises(Exception, match=says):
        service.put_medium(item, field, content, suffix)


def test_uploads_are_limited(open_service: Callable[..., LiveService], shop_folder: Path) -> None:
    service = open_service(shop_folder, options=LiveOptions(upload_mb=0.001))
    with pytest.raises(Exception, match="upload_mb"):
        service.put_medium("thing-00", "photo", b"x" * 2000, ".png")


def test_answers_go_on_while_items_pour_in(service: LiveService, wait_until: Callable[..., float]) -> None:
    wrong: list[object] = []

    def ask() -> None:
        for n in range(60):
            (reply,) = service.recommend([Ask(user=f"p{n % 30:02d}", k=5)])
            if isinstance(reply, Exception) or len({one.id for one in reply.items}) != 5:
                wrong.append(reply)

    asking = [threading.Thread(target=ask) for _ in range(3)]
    for thread in asking:
        thread.start()
    for n in range(12):
        service.put_items([StoredItem(f"more-{n}", {"name": f"A crimson thing {n}", "kind": "crimson"})])
        if n % 3 == 2:
            service.delete_items([f"more-{n - 1}"])
    for thread in asking:
        thread.join()
    assert not wrong
    encoded(service, wait_until)
    catalogue = service.engine.current.shelf.live.catalogue
    assert catalogue.count == 25 + 12 - 4
