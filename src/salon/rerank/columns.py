"""What expressions read: the fields of all items as columns, and the values of one person and one moment.

Texts are kept as codes into their distinct values and labels as a sparse matrix, so that a condition over 100,000 items
costs well under a millisecond where it compares numbers, labels or whole texts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from scipy import sparse

from salon.data import Items
from salon.data.profiles import one_hot
from salon.errors import DataError
from salon.types import BoolArray, FloatArray, IntArray, Modality


@dataclass(frozen=True)
class Texts:
    """One text per item.

    Attributes:
        codes: (n,) int32 index into `values`; -1 where there is none.
        values: The distinct texts.
    """

    codes: IntArray
    values: tuple[str, ...]

    @classmethod
    def of(cls, values: Iterable[str | None]) -> Texts:
        """From plain values."""
        known: dict[str, int] = {}
        codes = [-1 if value is None else known.setdefault(value, len(known)) for value in values]
        return cls(np.array(codes, np.int32), tuple(known))

    def where(self, holds: BoolArray) -> BoolArray:
        """(n,) whether `holds` (distinct values,) is true of the text of each item; false where there is none."""
        return np.append(holds, False)[self.codes]


@dataclass(frozen=True)
class Labels:
    """Any number of labels per item.

    Attributes:
        matrix: (n, labels) sparse, 1 where an item has a label.
        places: Label to column.
    """

    matrix: sparse.csc_array
    places: Mapping[str, int]

    @classmethod
    def of(cls, values: Sequence[Sequence[str]]) -> Labels:
        """From rows of labels."""
        matrix, names = one_hot(values)
        return cls(sparse.csc_array(matrix), {name: place for place, name in enumerate(names)})

    def any_of(self, labels: Iterable[str]) -> BoolArray:
        """(n,) whether an item has one of `labels`."""
        found = np.zeros(self.matrix.shape[0], bool)
        for place in {self.places[label] for label in labels if label in self.places}:
            found[self.matrix.indices[self.matrix.indptr[place] : self.matrix.indptr[place + 1]]] = True
        return found

    def counts(self) -> FloatArray:
        """(n,) float64, how many labels each item has."""
        return np.bincount(self.matrix.indices, minlength=self.matrix.shape[0]).astype(np.float64)


Column: TypeAlias = FloatArray | BoolArray | Texts | Labels
"""Values of all items: numbers (float64, NaN where missing), yes or no, texts, or labels."""
Scalar: TypeAlias = float | bool | str | frozenset[str] | None
"""One value, of the person, of the moment, or written in the expression; None is missing."""


@dataclass(frozen=True)
class Columns:
    """Everything that an expression may name.

    Attributes:
        n: Number of items.
        items: Item field to column.
        user: Attribute of the person to value.
        context: What is known of the moment.
        now: Seconds since 1970.
        user_fields: Attributes that people can have; naming any other is an error. None allows every name.
    """

    n: int
    items: Mapping[str, Column] = field(default_factory=dict)
    user: Mapping[str, Scalar] = field(default_factory=dict)
    context: Mapping[str, Scalar] = field(default_factory=dict)
    now: float = 0.0
    user_fields: frozenset[str] | None = None


def item_columns(items: Items, **more: Column) -> dict[str, Column]:
    """The columns of a catalogue: "id", every field, and `more`; of media, whether they are there.

    Raises:
        DataError: A column of `more` has another length.
    """
    found: dict[str, Column] = {"id": Texts.of(items.ids.names)}
    for name, one in items.fields.items():
        if one.modality is Modality.NUMBER:
            found[name] = np.where(one.present, one.values, np.nan)
        elif one.modality is Modality.CATEGORY:
            found[name] = Labels.of(one.values)
        elif one.modality is Modality.TEXT:
            found[name] = Texts.of(one.values)
        else:
            found[name] = one.present
    for name, column in more.items():
        if (count := length(column)) != len(items):
            raise DataError(f"The column {name!r} has {count} rows for {len(items)} items.")
        found[name] = column
    return found


def length(column: Column) -> int:
    """How many items a column is about."""
    if isinstance(column, Texts):
        return len(column.codes)
    return int(column.matrix.shape[0]) if isinstance(column, Labels) else len(column)


def scalar(value: Any, name: str = "value") -> Scalar:
    """A plain value as expressions read it: lists become sets of labels, whole numbers become floats.

    Raises:
        DataError: It is a table or something else that has no place in an expression.
    """
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, (int, float)):
        return None if value != value else float(value)
    if isinstance(value, (list, tuple, set, frozenset)):
        return frozenset(str(part) for part in value)
    raise DataError(f"{name!r} is {value!r}.", hint="Give text, a number, true or false, or a list of labels.")
