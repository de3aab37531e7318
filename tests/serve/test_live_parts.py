"""The small parts of the service, each against what it must do."""

import threading
import time

import numpy as np
import pytest
from scipy import sparse

from salon.data import Queries
from salon.data.profiles import Profiles
from salon.data.sources import Weighing
from salon.models.linear_local_score import spread
from salon.rerank.columns import Labels, Texts
from salon.serve.asking import ask_of, plain_ask
from salon.serve.batcher import Batcher
from salon.serve.bounded import Bounded
from salon.serve.catalogue import Catalogue, plain
from salon.serve.jobs import Jobs, told
from salon.serve.maps import plane
from salon.serve.people import Person, asked, joined, profile_row
from salon.serve.tally import Tally
from salon.serve.tastes import Tastes
from salon.serve.values import Ask
from salon.store.values import StoredEvent, StoredItem
from salon.types import Modality

# -- batches ---------------------------------------------------------------------------------------------------------


def test_questions_of_many_threads_share_batches_and_never_run_at_once() -> None:
    sizes: list[int] = []
    busy = threading.Lock()

    def work(key: str, tasks: list[int]) -> list[int]:
        assert busy.acquire(blocking=False), "two batches at once"
        time.sleep(0.002)
        sizes.append(len(tasks))
        busy.release()
        return [task * 2 for task in tasks]

    batcher: Batcher[str, int, int] = Batcher(work, most=4)  # type: ignore[arg-type]
    found: dict[int, int] = {}

    def ask(number: int) -> None:
        for n in range(5):
            (future,) = batcher.submit("a", [100 * number + n])
            batcher.lead([future])
            found[100 * number + n] = future.result()

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {task: 2 * task for task in found}
    assert len(found) == 40
    assert max(sizes) <= 4
    assert len(sizes) < 40
    assert (batcher.batches, batcher.tasks) == (len(sizes), 40)


def test_an_error_of_a_batch_is_told_to_all_of_it_and_to_nobody_else() -> None:
    def work(key: str, tasks: list[int]) -> list[int]:
        if key == "bad":
            raise ValueError("no")
        return tasks

    batcher: Batcher[str, int, int] = Batcher(work)  # type: ignore[arg-type]
    bad, good = batcher.submit("bad", [1, 2]), batcher.submit("good", [3])
    batcher.lead([*bad, *good])
    for future in bad:
        with pytest.raises(ValueError, match="no"):
            future.result()
    assert good[0].result() == 3
    batcher.lead([])


def test_a_bounded_dictionary_forgets_what_was_not_used() -> None:
    kept: Bounded[str, int] = Bounded(2)
    kept.put("a", 1)
    kept.put("b", 2)
    assert kept.get("a") == 1
    kept.put("c", 3)
    assert [kept.get(name) for name in "abc"] == [1, None, 3]
    assert kept.find("d", lambda: 4) == 4
    kept.drop(["d", "nothing"])
    kept.clear()
    assert len(kept) == 0


# -- tastes ----------------------------------------------------------------------------------------------------------


def test_tastes_follow_the_rules_of_the_catalogue_file() -> None:
    tastes = Tastes(Weighing(positive={"view": 1, "buy": 3}, negative=("return",), shown=("seen",)))
    events = [
        StoredEvent("u", "a", "view", time=1, revision=1),
        StoredEvent("u", "b", "buy", time=3, revision=2),
        StoredEvent("u", "a", "buy", time=2, revision=3),
        StoredEvent("u", "c", "return", time=4, revision=4),
        StoredEvent("u", "d", "seen", time=5, revision=5),
        StoredEvent("u", "e", "not_interested", time=6, revision=6),
        StoredEvent("u", "f", "like", time=7, revision=7),
        StoredEvent("u", "g", "glance", time=8, revision=8),
        StoredEvent("u", "a", "satisfaction", value=5, time=9, revision=9),
    ]
    taste = tastes.of(events)
    assert taste.items == ("a", "b", "c", "e", "f", "g")
    assert taste.weights.tolist() == [3, 3, -1, -1, 3, 0]
    assert taste.never == {"e"}
    assert tastes.of(events[::-1]).items == taste.items


def test_without_rules_everything_is_a_like_but_what_salon_knows() -> None:
    tastes = Tastes(None)
    kinds = ["watch", "dislike", "not_interested", "satisfaction"]
    weights, shown = tastes.weights(kinds, [None] * 4)
    assert weights.tolist()[:3] == [1, -1, -1]
    assert shown.tolist() == [False, False, False, True]
    rated = Tastes(Weighing(like=4, dislike=2))
    assert rated.weights(["event"] * 3, [5, 3, 1])[0].tolist() == [1, 0, -1]


# -- the catalogue ---------------------------------------------------------------------------------------------------

DECLARED = {"name": Modality.TEXT, "kind": Modality.CATEGORY, "price": Modality.NUMBER, "photo": Modality.IMAGE}


def catalogue() -> Catalogue:
    items = {
        "a": StoredItem("a", {"name": "A", "kind": ["x", "y"], "price": 3, "photo": "a.png", "size": 4}, created=5.0),
        "c": StoredItem("c", {"name": "C" * 100, "kind": "x", "photo": "../c.png"}, hidden=True),
    }
    return Catalogue.of(DECLARED, ["a", "b", "c"], items)


def test_rows_are_never_used_twice() -> None:
    first = catalogue()
    assert first.shown.tolist() == [True, False, False]
    assert first.index(["c", "b", "a"]).tolist() == [2, -1, 0]
    later = first.with_items([StoredItem("b", {"price": 1}), StoredItem("a", {"price": 9})], moved={"a"})
    assert later.rows == {"a": 4, "b": 3, "c": 2}
    assert later.shown.tolist() == [False, False, False, True, True]
    gone = later.without(["b", "nothing"])
    assert (gone.count, len(gone)) == (2, 5)
    again = gone.with_items([StoredItem("b")])
    assert again.rows["b"] == 5
    assert first.rows == {"a": 0, "c": 2}, "a snapshot stays as it is"


def test_columns_are_read_as_declared_and_others_as_they_look() -> None:
    columns = catalogue().with_items([StoredItem("d", {"price": "cheap", "size": None, "tags": ["t"]})]).columns
    np.testing.assert_array_equal(columns["price"], [3, np.nan, np.nan, np.nan])
    np.testing.assert_array_equal(columns["size"], [4, np.nan, np.nan, np.nan])
    assert columns["photo"].tolist() == [True, False, True, False]  # type: ignore[union-attr]
    assert isinstance(columns["kind"], Labels)
    assert isinstance(columns["tags"], Labels)
    assert isinstance(columns["name"], Texts)
    assert set(columns) == {"id", "created", "name", "kind", "price", "photo", "size", "tags"}
    assert len(columns) == 8
    assert "nothing" not in columns
    with pytest.raises(KeyError):
        columns["nothing"]


def test_titles_and_media_of_odd_items() -> None:
    odd = catalogue()
    assert odd.title(0) == "A"
    assert odd.title(2) == "C" * 79 + "…"
    assert odd.title(1) == "b"
    assert odd.media(0) == {"photo": "a.png"}
    assert odd.media(2) == {}, "a path that climbs out is no path"


@pytest.mark.parametrize(
    ("modality", "value", "expected"),
    [
        ("number", "3.5", 3.5),
        ("number", [1], None),
        ("number", float("inf"), None),
        ("text", ["a", None, "b"], "a b"),
        ("text", {"a": 1}, None),
        ("text", "  ", None),
        ("category", "x", ("x",)),
        ("category", ["x", " x ", None, 3, {}], ("x", "3")),
        ("category", None, ()),
        ("image", "/etc/passwd", None),
        ("vector", [1, 2], [1, 2]),
        ("vector", "text", None),
        ("series", [1, 2], [1, 2]),
        ("series", "a.csv", "a.csv"),
    ],
)
def test_stored_values_are_taken_as_declared_or_not_at_all(modality: str, value: object, expected: object) -> None:
    assert plain(Modality(modality), value) == expected


# -- questions -------------------------------------------------------------------------------------------------------


def test_a_session_comes_after_the_record_and_counts_once() -> None:
    tastes = Tastes(None)
    events = [
        StoredEvent("u", "a", time=1, revision=1),
        StoredEvent("u", "b", time=2, revision=2),
        StoredEvent("u", "gone", time=3, revision=3),
        StoredEvent("u", "c", "not_interested", time=4, revision=4),
    ]
    items = {name: StoredItem(name) for name in "abc"}
    rows = Catalogue.of({}, ["a", "b", "c"], items)
    found = asked(rows, Person("u", tastes.of(events)), ("b", "zzz", "a"), None, ordered=True)
    assert found.query.items.tolist() == [2, 1, 0]
    assert found.query.weights.tolist() == [-1, 1, 1]
    assert sorted(set(found.seen.tolist())) == [0, 1, 2]
    assert set(found.never.tolist()) == {2}
    assert "zzz" in found.notes[0]


def test_batches_of_questions_keep_each_history_apart() -> None:
    profile = sparse.csr_array(np.array([[1.0, 0.0]], np.float32))
    one = Queries(np.array([0, 2]), np.array([3, 1]), np.ones(2, np.float32), np.array([-1]), True, profile)
    two = Queries(np.array([0, 0]), np.zeros(0, np.int64), np.zeros(0, np.float32), np.array([-1]), True, None)
    both = joined([one, two, one])
    assert both.indptr.tolist() == [0, 2, 2, 4]
    assert both.items.tolist() == [3, 1, 3, 1]
    assert both.profiles is not None
    assert both.profiles.toarray().tolist() == [[1, 0], [0, 0], [1, 0]]
    assert joined([one]) is one


def test_profiles_take_what_they_know_and_tell_what_not() -> None:
    known = Profiles(sparse.csr_array((1, 3), dtype=np.float32), ("club=red", "club=blue", "age<=inf"))
    row, notes = profile_row(known, {"club": ["red", "green"], "age": 30.0, "size": 3})
    assert row is not None
    assert row.toarray().tolist() == [[1, 0, 1]]
    assert len(notes) == 1
    assert "green" in notes[0]
    assert profile_row(None, {"club": "red"}) == (None, ())


def test_a_question_survives_being_written_down() -> None:
    ask = Ask(user="u", history=("a", "b"), k=3, filter="x > 1", exclude=("c",), context={"hour": 3}, fields=("name",))
    plainly = plain_ask(ask)
    assert "k" not in plainly
    again = ask_of(plainly)
    assert again == Ask(
        user="u", history=("a", "b"), filter="x > 1", exclude=("c",), context={"hour": 3}, fields=("name",)
    )
    with pytest.raises(Exception, match="damaged"):
        ask_of({"colour": 1})


# -- odds and ends ---------------------------------------------------------------------------------------------------


def test_spread_is_a_sparse_product() -> None:
    rng = np.random.default_rng(0)
    matrix = sparse.random_array((30, 20), density=0.2, rng=rng, format="csr")
    rows, values = np.array([3, 7, 7, 29]), np.array([1.0, -2.0, 0.5, 3.0])
    columns, total = spread(rows, values, matrix)
    np.testing.assert_allclose(total, values @ matrix.toarray()[rows])
    assert set(np.flatnonzero(total)) <= set(columns.tolist())
    columns, total = spread(np.zeros(0, np.int64), np.zeros(0), matrix)
    assert not len(columns)
    assert not total.any()


def test_the_map_shows_what_differs_most() -> None:
    rng = np.random.default_rng(0)
    for shape in ((40, 6), (6, 40)):
        vectors = 0.1 * rng.normal(size=shape)
        vectors[: shape[0] // 2, 0] += 5.0
        places = plane(vectors.astype(np.float32))
        assert np.abs(places).max() == pytest.approx(1.0)
        sides = np.sign(places[:, 0])
        assert len(set(sides[: shape[0] // 2])) == 1
        assert sides[0] != sides[-1]
    assert plane(np.zeros((3, 4), np.float32)).tolist() == [[0, 0]] * 3
    assert plane(np.zeros((0, 0), np.float32)).shape == (0, 2)
    assert plane(np.ones((1, 5), np.float32)).tolist() == [[0, 0]]


def test_jobs_are_bounded_and_tell_errors() -> None:
    jobs = Jobs(3)
    going = jobs.new("update", "running")
    for _ in range(5):
        with jobs.running("encode", items=2) as detail:
            detail["masked"] = 0
    with pytest.raises(ValueError, match="no"), jobs.running("encode"):
        raise ValueError("no")
    kept = jobs.all()
    assert len(kept) <= 4
    assert going.id in {one.id for one in kept}
    assert kept[0].state == "failed"
    assert kept[0].detail["error"] == told(ValueError("no"))


def test_the_tally_counts_by_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [600.0]
    monkeypatch.setattr("salon.serve.tally.time.time", lambda: clock[0])
    tally = Tally()
    heard: list[str] = []
    tally.observe = lambda step, seconds: heard.append(step)
    tally.add("events", 2)
    clock[0] = 720.0
    tally.answer(["a", "b"], ["linear", "popular"], 0.5)
    tally.answer(["a"], ["popular"], None)
    assert tally.per_minute("events") == [{"minute": 600.0, "count": 2.0}]
    assert tally.per_minute("answers") == [{"minute": 720.0, "count": 2.0}]
    assert (tally.fallbacks, list(tally.shown), tally.best) == (1, ["a", "b"], [0.5])
    with tally.timed("list"):
        pass
    assert heard == ["list"]
    assert set(tally.steps()["list"]) == {"p50", "p95", "p99"}
