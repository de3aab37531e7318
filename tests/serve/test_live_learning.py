"""Learning by event: the model of the service is the model that was fitted on what is stored, within rounding."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from salon.data import Dataset
from salon.errors import SalonError
from salon.models.linear import Linear
from salon.pipeline import Pipeline
from salon.serve.live import Live
from salon.serve.service import LiveService
from salon.serve.truth import dataset_of, fields_of
from salon.store.values import StoredEvent, StoredItem, StoredUser
from salon.types import IntArray

Wait = Callable[..., float]


def learned(service: LiveService, wait_until: Wait) -> None:
    """Waits until everything that was told is in the model."""
    learner = service.engine.current.learner
    wait_until(lambda: not learner.due and all(one.state != "running" for one in service.jobs()))


def stored(service: LiveService) -> tuple[Dataset, IntArray]:
    """Everything stored as a dataset, and the row of the service of each of its items."""
    engine = service.engine
    live = engine.current.shelf.live
    data = dataset_of(engine.store, Pipeline.load(engine.model).dataset, engine.tastes, root=live.root)
    return data, live.catalogue.index(data.items.ids.names)


def assert_equals_a_refit(service: LiveService) -> None:
    """The live model scores like one fitted on everything stored, with the same settings and vectors."""
    live = service.engine.current.shelf.live
    data, rows = stored(service)
    fitted = type(live.model)(live.model.settings).fit(data, live.as_learned(live.features.take(rows)))
    queries = data.queries(data.active_users())
    mine = live.score(replace(queries, items=rows[queries.items]))[:, rows]
    np.testing.assert_allclose(mine, fitted.score(queries), rtol=2e-3, atol=2e-4)
    assert_counts(live, data, rows)


def assert_equals_a_count(service: LiveService) -> None:
    """The sums of the live model are those of everything stored, over its own rows; its scores follow from them."""
    live = service.engine.current.shelf.live
    assert isinstance(live.model, Linear)
    data, rows = stored(service)
    queries = data.queries(data.active_users())
    moved = replace(queries, items=rows[queries.items])
    again = live.model.recounted(moved)
    np.testing.assert_allclose(live.model.gram_.toarray(), again.gram_.toarray(), atol=1e-5)
    np.testing.assert_array_equal(live.model.counts_, again.counts_)
    np.testing.assert_allclose(live.model.score(moved), again.score(moved), rtol=2e-3, atol=2e-4)
    assert_counts(live, data, rows)


def assert_counts(live: Live, data: Dataset, rows: IntArray) -> None:
    liked = np.bincount(data.positives().indices, minlength=data.n_items)
    np.testing.assert_array_equal(live.counts[rows], liked)


def test_the_store_gives_back_the_dataset_that_was_put_in(service: LiveService, shop_folder: Path) -> None:
    first = Pipeline.load(shop_folder / "model").dataset
    again = dataset_of(service.engine.store, first, service.engine.tastes, root=first.items.root)
    for row in range(first.n_items):
        there = int(again.items.ids.index([first.items.ids[row]])[0])
        assert fields_of(again.items, there) == fields_of(first.items, row)
    mine, theirs = (
        sorted(
            (d.users.ids[int(u)], d.items.ids[int(i)], d.events.kind_names[int(k)], float(w), float(t), bool(s))
            for u, i, k, w, t, s in zip(
                d.events.users, d.events.items, d.events.kinds, d.events.weights, d.events.times, d.events.shown,
                strict=True,
            )
        )
        for d in (again, first)
    )  # fmt: skip
    assert mine == theirs
    assert (again.repeat, again.events.time_kind) == (first.repeat, first.events.time_kind)


def test_events_update_the_model_as_a_refit_would(
    open_service: Callable[..., LiveService], shop_folder: Path, wait_until: Wait
) -> None:
    service = open_service(shop_folder)
    service.add_events([StoredEvent("new-1", f"thing-{i:02d}", "buy") for i in (1, 5, 24)])
    service.add_events([StoredEvent("p00", "thing-09", "view"), StoredEvent("p07", "thing-24", "dislike")])
    learned(service, wait_until)
    assert any(one.kind == "update" and one.detail.get("solved") for one in service.jobs())
    assert_equals_a_refit(service)


def test_taking_people_events_and_items_away_is_a_refit_without_them(
    open_service: Callable[..., LiveService], shop_folder: Path, wait_until: Wait
) -> None:
    service = open_service(shop_folder)
    service.delete_users(["p02", "p03"])
    service.merge_users("p04", "p06")
    service.delete_events(user="p09", kind="view")
    service.put_users([StoredUser("p10", {"club": "blue"})])
    learned(service, wait_until)
    assert not {"p02", "p03", "p04"} & set(service.engine.current.learner.terms)
    assert_equals_a_refit(service)
    service.delete_items(["thing-08"])
    learned(service, wait_until)
    live = service.engine.current.shelf.live
    assert live.counts[8] == 0
    assert not live.model.gram_[[8]].nnz  # type: ignore[attr-defined]
    assert_equals_a_count(service)


def test_removals_that_name_nobody_are_recounted(
    open_service: Callable[..., LiveService], shop_folder: Path, wait_until: Wait
) -> None:
    service = open_service(shop_folder)
    assert service.delete_events(kind="buy") > 0
    learned(service, wait_until)
    assert_equals_a_refit(service)


def test_a_recount_removes_the_rounding_of_updates(
    open_service: Callable[..., LiveService], shop_folder: Path, wait_until: Wait
) -> None:
    service = open_service(shop_folder)
    learner, shelf = service.engine.current.learner, service.engine.current.shelf
    for n in range(6):
        service.add_events([StoredEvent(f"p{n:02d}", f"thing-{(5 * n) % 24:02d}", "buy")])
        learned(service, wait_until)
    drifted = shelf.live.model.gram_.toarray()  # type: ignore[attr-defined]
    learner.touch_all()
    learned(service, wait_until)
    exact = shelf.live.model.gram_.toarray()  # type: ignore[attr-defined]
    np.testing.assert_allclose(drifted, exact, atol=1e-4)
    assert (learner.replaced, len(learner.terms)) == (0, 30)
    assert_equals_a_refit(service)


def test_items_and_events_together_end_in_the_same_model(
    open_service: Callable[..., LiveService], shop_folder: Path, wait_until: Wait
) -> None:
    service = open_service(shop_folder)
    service.put_items([StoredItem(f"late-{n}", {"name": f"A azure thing {n}", "kind": "azure"}) for n in range(3)])
    service.add_events([StoredEvent(f"p{n:02d}", "late-1", "buy") for n in range(1, 20, 2)])
    wait_until(lambda: service.engine.current.shelf.live.model.n_items_ == 28)
    learned(service, wait_until)
    assert_equals_a_count(service)


def test_an_update_that_fails_is_tried_again(
    open_service: Callable[..., LiveService], shop_folder: Path, wait_until: Wait, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = open_service(shop_folder)
    shelf = service.engine.current.shelf
    right = type(shelf.live.model).updated

    def broken(*args: object, **more: object) -> None:
        raise SalonError("no")

    monkeypatch.setattr(type(shelf.live.model), "updated", broken)
    service.add_events([StoredEvent("p00", "thing-09", "buy")])
    wait_until(lambda: service.ready()["error"] == "no")
    assert any(one.state == "failed" for one in service.jobs())
    assert service.ready()["ready"]
    monkeypatch.setattr(type(shelf.live.model), "updated", right)
    learned(service, wait_until)
    assert_equals_a_refit(service)
