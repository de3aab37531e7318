from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from salon.data import Dataset, Events, Field, IdMap, Items, Users
from salon.data.check import keep_items, repair
from salon.errors import DataError, SettingError


def shop() -> Items:
    fields = [
        Field.of("price", "number", [1.0, 2.0, 2.0, 9.0, None]),
        Field.of("kind", "category", [("a",), ("a", "b"), ("a",), ("c",), ("a",)]),
        Field.of("tone", "vector", np.array([[1, 0], [1, 0], [1, 0.1], [-1, 0], [np.nan, 0]])),
        Field.of("title", "text", ["A", None, "C", "D", "E"]),
    ]
    return Items(IdMap(list("vwxyz")), {f.name: f for f in fields})


@pytest.mark.parametrize(("how", "value"), [("mean", 3.5), ("median", 2.0), ("mode", 2.0), ("knn", 5 / 3)])
def test_a_missing_number_gets_the_value_of_the_rule(how, value):
    items = shop()
    repaired, changes = repair(items, "price", how, k=3)
    assert repaired["price"].values[-1] == pytest.approx(value)
    assert repaired["price"].present.all()
    assert [(c.id, c.field, c.how) for c in changes] == [("z", "price", how)]
    assert changes[0].value == pytest.approx(value)
    assert not items["price"].present[-1], "the table given is not changed"


def test_dropping_leaves_out_the_rows_and_their_events():
    items = shop()
    repaired, changes = repair(items, "title", "drop")
    assert repaired.ids.names == ("v", "x", "y", "z")
    assert [(c.id, c.value) for c in changes] == [("w", None)]
    data = Dataset(items, Events.of([0, 0, 0], [0, 1, 2], texts=("p", "q", "r")), Users(IdMap(["u"], what="user")))
    kept = keep_items(data, data.items.ids.index(repaired.ids.names))
    assert kept.items.ids == repaired.ids
    assert kept.events.items.tolist() == [0, 1]
    assert kept.events.texts == ("p", "r")


def test_neighbours_give_labels_and_vectors():
    fields = [
        Field.of("kind", "category", [("a", "x"), ("a",), ("b",), ()]),
        Field.of("size", "number", [1.0, 1.1, 9.0, 1.05]),
        Field.of("tone", "vector", np.array([[1, 0], [3, 0], [0, 7], [np.nan, np.nan]])),
    ]
    items = Items(IdMap(list("pqrs")), {f.name: f for f in fields})
    assert repair(items, "kind", "knn", k=2)[0]["kind"].values[-1] == ("a", "x")
    assert repair(items, "kind", "knn", k=1)[0]["kind"].values[-1] in {("a",), ("a", "x")}
    assert repair(items, "tone", "knn", k=2)[0]["tone"].values[-1].tolist() == [2, 0]
    assert repair(items, "tone", "mean")[0]["tone"].values[-1] == pytest.approx([4 / 3, 7 / 3])
    assert repair(items, "kind", "mode")[0]["kind"].values[-1] == ("a",)


def test_a_row_that_shares_nothing_with_anyone_stays_missing():
    fields = [Field.of("price", "number", [1.0, None]), Field.of("size", "number", [1.0, None])]
    items = Items(IdMap(["a", "b"]), {f.name: f for f in fields})
    repaired, changes = repair(items, "price", "knn")
    assert changes == []
    assert repaired is items


@pytest.mark.parametrize(
    ("field", "how", "error", "message"),
    [
        ("title", "mean", SettingError, "does not suit a text field.*drop"),
        ("kind", "median", SettingError, "Possible: drop, mode, knn"),
        ("price", "meen", SettingError, "Did you mean 'mean'"),
        ("pryce", "mean", DataError, "Did you mean 'price'"),
    ],
)
def test_repairs_that_make_no_sense_are_refused(field, how, error, message):
    with pytest.raises(error, match=message):
        repair(shop(), field, how)
    empty = Items(IdMap(["a"]), {"price": Field.of("price", "number", [None])})
    with pytest.raises(DataError, match="no value at all"):
        repair(empty, "price", "mean")


@settings(max_examples=50)
@given(
    st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6)), min_size=1, max_size=12).filter(any),
    st.sampled_from(["mean", "median", "mode", "knn", "drop"]),
)
def test_present_values_are_never_changed_and_filled_ones_stay_in_range(values, how):
    n = len(values)
    fields = {"x": Field.of("x", "number", values), "y": Field.of("y", "number", list(range(n)))}
    items = Items(IdMap(map(str, range(n))), fields)
    repaired, changes = repair(items, "x", how, k=2)
    assert repaired["x"].present.all()
    assert len(changes) == sum(v is None for v in values)
    known = [v for v in values if v is not None]
    for name, value in zip(repaired.ids.names, repaired["x"].values, strict=True):
        old = values[int(name)]
        assert value == old if old is not None else min(known) - 1e-6 <= value <= max(known) + 1e-6
