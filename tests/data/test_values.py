"""The values that travel: ids, fields, events, histories, datasets."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from salon.data import Dataset, Events, Field, IdMap, Items, Queries, Users
from salon.data.parquet import read_dataset_folder, write_dataset
from salon.data.profiles import Profiles
from salon.data.queries import merge_repeats
from salon.errors import ArtifactError, DataError, UnknownIdError

ACTIONS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 5), st.integers(-3, 3), st.integers(0, 9)), max_size=40)


def events_of(rows: list[tuple[int, int, int, int]]) -> Events:
    columns = list(zip(*rows, strict=True)) or [(), (), (), ()]
    return Events.of(columns[0], columns[1], weights=columns[2], times=columns[3])


def test_duplicate_and_empty_ids_are_named() -> None:
    with pytest.raises(DataError, match="'b' comes more than once"):
        IdMap(["a", "b", "b"])
    with pytest.raises(DataError, match="has 0 characters"):
        IdMap(["a", ""])


def test_unknown_id_is_suggested() -> None:
    with pytest.raises(UnknownIdError, match=r"no user 'anna'.*Did you mean 'anne'"):
        IdMap(["anne", "bob"], what="user").index(["anna"])
    assert IdMap(["a"]).index(["a", "z"], on_unknown="skip").tolist() == [0, -1]


def test_missing_values_are_masked_never_zero() -> None:
    assert Field.of("t", "text", ["a", None, " "]).present.tolist() == [True, False, False]
    assert Field.of("c", "category", [["x", "x"], [], None]).values == (("x",), (), ())
    number = Field.of("n", "number", [1, None, "nan"])
    assert number.present.tolist() == [True, False, False]
    vector = Field.of("v", "vector", [[1, 2], None, [float("nan"), 1]])
    assert vector.present.tolist() == [True, False, False]


def test_wrong_numbers_and_vectors_are_named() -> None:
    with pytest.raises(DataError, match="'price' is declared a number"):
        Field.of("price", "number", ["cheap"])
    with pytest.raises(DataError, match=r"different lengths \[1, 2\]"):
        Field.of("v", "vector", [[1], [1, 2]])


@given(ACTIONS, st.sampled_from(["max", "sum", "last"]))
def test_repeats_merge_as_the_rule_says(rows: list[tuple[int, int, int, int]], rule: str) -> None:
    data = Dataset(Items(IdMap("abcdef")), events_of(rows), Users(IdMap("uvwxy", what="user")), rule)
    ordered = sorted(range(len(rows)), key=lambda i: (rows[i][0], rows[i][3], i))
    expected: dict[tuple[int, int], float] = {}
    for i in ordered:
        user, item, weight, _ = rows[i]
        old = expected.pop((user, item), None)
        if old is None or rule == "last":
            merged = float(weight)
        elif rule == "sum":
            merged = old + weight
        else:
            merged = weight if abs(weight) >= abs(old) else old
        expected[user, item] = merged
    queries = data.queries()
    found = dict(zip(zip(queries.row_of(), queries.items, strict=True), queries.weights, strict=True))
    assert {(int(u), int(i)): float(w) for (u, i), w in found.items()} == expected
    assert [(int(u), int(i)) for u, i in found] == sorted(expected, key=lambda key: key[0])
    assert data.positives().nnz == sum(w > 0 for w in expected.values())


@given(ACTIONS, st.lists(st.integers(0, 4), max_size=6))
def test_taking_queries_equals_taking_lists(rows: list[tuple[int, int, int, int]], picks: list[int]) -> None:
    data = Dataset(Items(IdMap("abcdef")), events_of(rows), Users(IdMap("uvwxy", what="user")))
    queries = data.queries()
    histories = [queries.items[queries.indptr[i] : queries.indptr[i + 1]].tolist() for i in range(5)]
    taken = queries.take(np.array(picks, np.int64))
    assert [taken.items[taken.indptr[j] : taken.indptr[j + 1]].tolist() for j in range(len(picks))] == [
        histories[i] for i in picks
    ]
    ranks = taken.recency_rank()
    for j in range(len(picks)):
        part = ranks[taken.indptr[j] : taken.indptr[j + 1]].tolist()
        assert part == list(range(len(part)))[::-1]


def test_lists_keep_the_last_place_of_a_repeat() -> None:
    assert Queries.from_lists([[1, 2, 1], []]).items.tolist() == [2, 1]


def test_unknown_rule_is_an_error() -> None:
    one = np.zeros(1, np.int64)
    with pytest.raises(DataError, match="rule 'best'"):
        merge_repeats(one, one, np.ones(1), "best")


def test_a_history_keeps_the_time_of_the_last_action_on_each_item() -> None:
    events = Events.of([0, 0, 1, 0, 0], [2, 1, 2, 2, 0], times=[5, 7, 1, 9, 3], shown=np.arange(5) == 4)
    queries = Queries.from_events(events, np.array([1, 0]))
    assert queries.items.tolist() == [2, 1, 2]
    assert queries.times is not None
    assert queries.times.tolist() == [1, 7, 9]
    taken = queries.take(np.array([1, 1, 0]))
    assert taken.times is not None
    assert taken.times.tolist() == [7, 9, 7, 9, 1]
    some = queries.only(np.array([True, False, True]))
    assert (some.items.tolist(), some.indptr.tolist()) == ([2, 2], [0, 1, 2])
    assert some.times is not None
    assert some.times.tolist() == [1, 9]
    for kind in ("order", "none"):
        assert Queries.from_events(Events.of([0], [1], times=[3], time_kind=kind), np.array([0])).times is None


def test_lists_may_bring_times_and_repeats_keep_the_last() -> None:
    queries = Queries.from_lists([[3, 1, 3], [], [2]], times=[[1, 2, 3], [], [9]])
    assert queries.items.tolist() == [1, 3, 2]
    assert queries.times is not None
    assert queries.times.tolist() == [2, 3, 9]
    assert Queries.from_lists([[3]]).times is None
    with pytest.raises(DataError, match="times are not as many"):
        Queries.from_lists([[3, 1]], times=[[1]])
    with pytest.raises(DataError, match="weights are not as many"):
        Queries.from_lists([[3, 1]], [[1], [1]])


def test_times_and_moments_must_fit() -> None:
    plain = Queries.from_lists([[3, 1], [2]])
    with pytest.raises(DataError, match="3 actions, but 1 times"):
        replace(plain, times=np.zeros(1))
    with pytest.raises(DataError, match="2 queries, but 3 moments"):
        replace(plain, now=np.zeros(3))
    asked = replace(plain, now=np.array([5.0, 6.0])).take(slice(1, None))
    assert asked.now is not None
    assert asked.now.tolist() == [6]


def test_event_outside_the_catalogue_is_an_error() -> None:
    with pytest.raises(DataError, match="item row 7"):
        Dataset.of(Events.of([0], [7]), 1, 3)


def test_a_person_with_a_profile_is_a_row_of_attributes() -> None:
    fields = {
        "job": Field.of("job", "category", [["nurse"], ["cook"], []]),
        "age": Field.of("age", "number", [20.0, 40.0, np.nan]),
    }
    users = Users(IdMap("abc", what="user"), fields)
    profiles = Dataset(Items(IdMap("x")), Events.of([0], [0]), users).profiles()
    assert profiles is not None
    dense = profiles.matrix.toarray()
    assert dense[2].sum() == 0
    row = profiles.row({"job": "cook", "age": "39"}).toarray()[0]
    assert {profiles.names[i] for i in np.flatnonzero(row)} >= {"job=cook"}
    assert row.sum() == 2
    with pytest.raises(DataError, match="job=nurze"):
        profiles.row({"job": "nurze"})


def full_dataset() -> Dataset:
    fields = {
        "name": Field.of("name", "text", ["灯", None, 'c,"d"']),
        "photo": Field.of("photo", "image", ["a.png", None, None]),
        "tags": Field.of("tags", "category", [["x", "y"], [], ["z"]]),
        "price": Field.of("price", "number", [1.5, None, 3]),
        "emb": Field.of("emb", "vector", [[1, 2], None, [3, 4]]),
    }
    events = Events.of([0, 1], [2, 0], weights=[1, -1], times=[3, 4], texts=("good", None), context={"day": ["a", "b"]})
    users = Users(IdMap(["ü/1", "🙂"], what="user"), {"sex": Field.of("sex", "category", [["f"], []])})
    return Dataset(Items(IdMap(["a", "b/c", "d"]), fields, Path("media")), events, users, "sum")


def test_a_dataset_round_trips_through_parquet(tmp_path: Path) -> None:
    data = full_dataset()
    write_dataset(tmp_path, data)
    back = read_dataset_folder(tmp_path)
    assert back.items.ids == data.items.ids
    assert back.users.ids == data.users.ids
    assert data.items.root is not None
    assert back.items.root == data.items.root.resolve()
    assert str(tmp_path) not in (tmp_path / "tables.json").read_text()
    assert back.repeat == "sum"
    for mine, theirs in ((data.items, back.items), (data.users, back.users)):
        assert all(column.equals(theirs[name]) for name, column in mine.fields.items())
    assert back.events.texts == data.events.texts
    assert back.events.weights.tolist() == [1, -1]
    assert back.events.context["day"].tolist() == ["a", "b"]


def test_damaged_tables_are_named(tmp_path: Path) -> None:
    write_dataset(tmp_path, full_dataset())
    (tmp_path / "events.parquet").write_bytes(b"PAR1broken")
    with pytest.raises(ArtifactError, match="cannot be read"):
        read_dataset_folder(tmp_path)


def test_a_masked_value_is_gone_also_after_saving(tmp_path: Path) -> None:
    mask = np.array([True, False, False])
    given = {
        "text": ["a", "b", None],
        "category": [["x"], ["y"], []],
        "number": [1.0, 2.0, np.nan],
        "vector": np.ones((3, 2), np.float32),
    }
    fields = {kind: Field.of(kind, kind, values, mask) for kind, values in given.items()}
    assert fields["text"].values == ("a", None, None)
    assert fields["category"].values == (("x",), (), ())
    assert np.isnan(fields["number"].values[1:]).all()
    assert not fields["vector"].values[1:].any()
    items = Items(IdMap("abc"), {name: field for name, field in fields.items() if name != "vector"})
    write_dataset(tmp_path, Dataset(items, Events.of([], []), Users(IdMap((), what="user"))))
    found = read_dataset_folder(tmp_path).items
    assert all(found[name].equals(field) for name, field in items.fields.items())


def test_profiles_are_rows_of_ones_by_label_and_by_fifth() -> None:
    ages = np.array([10.0, 20, 30, 40, 50, np.nan])
    fields = [Field.of("job", "category", [["b"], ["a"], ["a", "b"], [], None, ["b"]]), Field.of("age", "number", ages)]
    profiles = Profiles.of(Users(IdMap("uvwxyz", what="user"), {f.name: f for f in fields}))
    assert profiles.names == ("job=a", "job=b", "age<=18", "age<=26", "age<=34", "age<=42", "age<=inf")
    expected = [[0, 1], [1, 0], [1, 1], [0, 0], [0, 0], [0, 1]]
    bins = np.vstack([np.eye(5), np.zeros(5)])
    assert np.array_equal(profiles.matrix.toarray(), np.hstack([expected, bins]))
    assert profiles.row({"job": "a", "age": "27"}).toarray().tolist() == [[1, 0, 0, 0, 1, 0, 0]]
    assert Profiles.of(Users(IdMap("u", what="user"))).matrix.shape == (1, 0)


def test_an_event_outside_the_tables_is_named() -> None:
    with pytest.raises(DataError, match="item row -2"):
        Dataset.of(Events.of([0], [-2]), 1, 1)


def test_an_exposure_touches_no_item_whatever_its_weight() -> None:
    events = Events.of([0, 0], [0, 1], shown=np.array([True, False]))
    assert Dataset.of(events, 1, 3).touched().tolist() == [False, True, False]
