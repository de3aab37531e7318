"""Repairs of a table, where they are asked for: each gives a new table and a list of what changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar, get_args

import numpy as np

from salon.arrays import block_size, blocks, top_k, unit_rows
from salon.data.dataset import Dataset
from salon.data.items import Field, Table
from salon.data.profiles import one_hot
from salon.errors import DataError, SettingError, did_you_mean
from salon.types import FloatArray, IntArray, Modality

How = Literal["drop", "mean", "median", "mode", "knn"]
T = TypeVar("T", bound=Table)

ALLOWED: dict[str, tuple[Modality, ...]] = {
    "drop": tuple(Modality),
    "mean": (Modality.NUMBER, Modality.VECTOR),
    "median": (Modality.NUMBER,),
    "mode": (Modality.NUMBER, Modality.CATEGORY),
    "knn": (Modality.NUMBER, Modality.CATEGORY, Modality.VECTOR),
}


@dataclass(frozen=True)
class Change:
    """One value that a repair filled in, or one row that it left out.

    Attributes:
        id: The item or user.
        field: The field that was repaired.
        how: The repair.
        value: What is there now; None where the row was left out.
    """

    id: str
    field: str
    how: str
    value: Any = None


def repair(table: T, field: str, how: How, *, k: int = 5) -> tuple[T, list[Change]]:
    """A table in which one field is complete, and what was done.

    Args:
        table: Items or users; it is not changed.
        field: The field whose missing values are to be repaired.
        how: "drop" leaves out the rows; "mean", "median" and "mode" fill in one value; "knn" fills in what the k rows
            have that are most alike in the other number, category and vector fields (mean of numbers and vectors, the
            labels that at least half of them have). A row that shares no other field with anyone stays as it is.
        k: Neighbours for "knn".

    Raises:
        SettingError: The repair is unknown or does not suit the field.
        DataError: There is no such field, or it has no value at all.
    """
    if how not in get_args(How):
        raise SettingError(f"There is no repair {how!r}.", hint=did_you_mean(how, get_args(How)))
    column = table[field]
    if column.modality not in ALLOWED[how]:
        known = ", ".join(name for name, kinds in ALLOWED.items() if column.modality in kinds)
        raise SettingError(f"The repair {how!r} does not suit a {column.modality} field.", hint=f"Possible: {known}.")
    if not column.present.any():
        raise DataError(f"The field {field!r} has no value at all.", hint="Leave it out.")
    missing = np.flatnonzero(~column.present)
    if how == "drop":
        changes = [Change(table.ids[int(row)], field, how) for row in missing]
        return (table.take(np.flatnonzero(column.present)) if len(missing) else table), changes
    filled = _by_neighbours(table, column, missing, k) if how == "knn" else _by_one_value(column, missing, how)
    if not filled:
        return table, []
    changes = [Change(table.ids[row], field, how, _plain(value)) for row, value in filled.items()]
    return table.with_field(_with_values(column, filled)), changes


def keep_items(data: Dataset, rows: IntArray) -> Dataset:
    """The dataset of some items only, in the order given; events of the others are left out.

    Use it after `repair(..., "drop")`, with `data.items.ids.index(kept.ids.names)`.
    """
    place = np.full(data.n_items, -1, np.int64)
    place[rows] = np.arange(len(rows))
    kept = data.events.take(place[data.events.items] >= 0)
    return replace(data, items=data.items.take(rows), events=replace(kept, items=place[kept.items]))


def _by_one_value(column: Field, missing: IntArray, how: str) -> dict[int, Any]:
    known = [column.values[i] for i in np.flatnonzero(column.present)]
    value: Any
    if how == "mode":
        counts = Counter(known)
        value = min(counts, key=lambda v: (-counts[v], v))  # equally frequent: the smaller one
    else:
        value = np.mean(known, axis=0) if how == "mean" else np.median(known)
    return dict.fromkeys(missing.tolist(), value)


def _by_neighbours(table: Table, column: Field, missing: IntArray, k: int) -> dict[int, Any]:
    if k < 1:
        raise SettingError(f"k is {k}.", hint="Ask for at least one neighbour.")
    donors = np.flatnonzero(column.present)
    others = [f for f in table.fields.values() if f.name != column.name and f.modality in ALLOWED["knn"]]
    filled: dict[int, Any] = {}
    for part in blocks(len(missing), block_size(len(donors), itemsize=32)):
        near = top_k(_likeness(others, missing[part], donors), k).ids
        for row, ids in zip(missing[part].tolist(), near, strict=True):
            chosen = donors[ids[ids >= 0]]
            if len(chosen):
                filled[row] = _joined(column, chosen)
    return {row: value for row, value in filled.items() if not isinstance(value, tuple) or value}


def _joined(column: Field, rows: IntArray) -> Any:
    if column.modality != Modality.CATEGORY:
        return np.mean([column.values[i] for i in rows], axis=0)
    counts = Counter(label for i in rows for label in column.values[i])
    return tuple(sorted(label for label, count in counts.items() if 2 * count >= len(rows)))


def _likeness(fields: Sequence[Field], rows: IntArray, donors: IntArray) -> FloatArray:
    """(rows, donors) mean likeness over the fields that both have, 0 to 1; -inf where they share none."""
    total, shared = np.zeros((2, len(rows), len(donors)))
    for field in fields:
        both = np.outer(field.present[rows], field.present[donors])
        total += np.where(both, _alike(field, rows, donors), 0.0)
        shared += both
    return np.divide(total, shared, out=np.full_like(total, -np.inf), where=shared > 0)


def _alike(field: Field, rows: IntArray, donors: IntArray) -> FloatArray:
    if field.modality == Modality.VECTOR:
        return (unit_rows(field.values[rows]) @ unit_rows(field.values[donors]).T + 1) / 2
    if field.modality == Modality.NUMBER:
        spread = float(np.std(field.values[field.present])) or 1.0
        return np.exp(-np.abs(field.values[rows][:, None] - field.values[donors]) / spread)
    labels, _ = one_hot(field.values)
    common = (labels[rows] @ labels[donors].T).toarray()
    count = labels.sum(axis=1)
    union = count[rows][:, None] + count[donors] - common
    return np.asarray(common / np.maximum(union, 1))


def _with_values(column: Field, filled: dict[int, Any]) -> Field:
    present = column.present.copy()
    present[list(filled)] = True
    if isinstance(column.values, np.ndarray):
        values: Any = column.values.copy()
        for row, value in filled.items():
            values[row] = value
    else:
        values = tuple(filled.get(row, value) for row, value in enumerate(column.values))
    return Field(column.name, column.modality, values, present)


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value


def repaired(data: Dataset, repairs: Mapping[str, How]) -> tuple[Dataset, dict[tuple[str, How], int]]:
    """The dataset with the gaps of some item fields repaired, and how many values or items each repair touched."""
    counts: dict[tuple[str, How], int] = {}
    for field, how in repairs.items():
        items, changes = repair(data.items, field, how)
        counts[field, how] = len(changes)
        data = keep_items(data, data.items.ids.index(items.ids.names)) if how == "drop" else replace(data, items=items)
    return data, counts
