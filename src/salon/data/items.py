"""What a catalogue says of its items, and a log of its users: typed fields with a mask of what is present."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np

from salon.data.ids import IdMap
from salon.errors import DataError, did_you_mean
from salon.types import BoolArray, IntArray, Modality


@dataclass(frozen=True)
class Field:
    """One column, whose modality is declared.

    Attributes:
        name: The column's name.
        modality: What its values are.
        values: By modality. text: tuple of str | None. image, audio, video: tuple of relative path str | None.
            series: the same, or a JSON list of numbers in place of a path. category: tuple of tuples of str. number:
            (n,) float64 with NaN where missing. vector: (n, d) float32.
        present: (n,) bool, where there is a value. Missing is a mask, never a zero by accident.
    """

    name: str
    modality: Modality
    values: Any
    present: BoolArray

    @classmethod
    def of(cls, name: str, modality: Modality | str, values: Sequence[Any], present: BoolArray | None = None) -> Field:
        """A field from plain values, with its mask worked out: None, "", (), NaN and NaN rows are missing.

        Where `present` is given and false the value is missing too, whatever it is.

        Raises:
            DataError: A number or a vector is no number, or vectors differ in length.
        """
        modality = Modality(modality)
        build = {Modality.NUMBER: _numbers, Modality.VECTOR: _vectors, Modality.CATEGORY: _categories}
        if modality == Modality.SERIES:
            values = [_in_place(value) for value in values]
        stored, found = build.get(modality, _strings)(name, values)
        if present is not None:
            hidden = found & ~np.asarray(present, bool)
            stored, found = _blanked(modality, stored, hidden), found & ~hidden
        return cls(name, modality, stored, found)

    def __len__(self) -> int:
        return len(self.present)

    def take(self, rows: IntArray) -> Field:
        """The field of some rows only."""
        rows = np.asarray(rows)
        if isinstance(self.values, np.ndarray):
            values: Any = self.values[rows]
        else:
            values = tuple(self.values[i] for i in rows)
        return Field(self.name, self.modality, values, self.present[rows])

    def equals(self, other: Field) -> bool:
        """Whether name, modality, mask and the present values are the same."""
        same = self.name == other.name and self.modality == other.modality
        if not same or not np.array_equal(self.present, other.present):
            return False
        rows = np.flatnonzero(self.present)
        mine, theirs = self.take(rows).values, other.take(rows).values
        return np.array_equal(mine, theirs) if isinstance(mine, np.ndarray) else bool(mine == theirs)


def _blanked(modality: Modality, stored: Any, hidden: BoolArray) -> Any:
    """The values with nothing where `hidden` is true, as a missing value of this modality is stored."""
    if not hidden.any():
        return stored
    if isinstance(stored, np.ndarray):
        stored = stored.copy()
        stored[hidden] = np.nan if modality == Modality.NUMBER else 0
        return stored
    blank = () if modality == Modality.CATEGORY else None
    return tuple(blank if gone else value for value, gone in zip(stored, hidden, strict=True))


def _strings(name: str, values: Sequence[Any]) -> tuple[tuple[str | None, ...], BoolArray]:
    stored = tuple(None if v is None or str(v).strip() == "" else str(v) for v in values)
    return stored, np.array([v is not None for v in stored], bool)


def _in_place(value: Any) -> Any:
    """A series given as numbers, or as rows of numbers, written as a JSON list; paths as they are."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    return json.dumps(list(value)) if isinstance(value, list | tuple) and len(value) else value or None


def _categories(name: str, values: Sequence[Any]) -> tuple[tuple[tuple[str, ...], ...], BoolArray]:
    stored = tuple(_labels(v) for v in values)
    return stored, np.array([len(v) > 0 for v in stored], bool)


def _labels(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    parts = [value] if isinstance(value, str) else list(value) if isinstance(value, (list, tuple, set)) else [value]
    return tuple(dict.fromkeys(s for p in parts if p is not None and (s := str(p).strip())))


def _numbers(name: str, values: Sequence[Any]) -> tuple[np.ndarray, BoolArray]:
    try:
        stored = np.array([np.nan if v is None or v == "" else v for v in values], dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"The field {name!r} is declared a number, but {error}.", hint="Declare it a category?"
        ) from None
    return stored, np.isfinite(stored)


def _vectors(name: str, values: Sequence[Any]) -> tuple[np.ndarray, BoolArray]:
    if isinstance(values, np.ndarray):
        stored = np.asarray(values, dtype=np.float32)
    else:
        dims = {len(v) for v in values if v is not None}
        if len(dims) > 1:
            raise DataError(f"The vectors of {name!r} have different lengths {sorted(dims)}.", hint="Use one encoder.")
        dim = dims.pop() if dims else 0
        stored = np.array([np.full(dim, np.nan) if v is None else v for v in values], np.float32).reshape(-1, dim)
    if stored.ndim != 2:
        raise DataError(f"The vectors of {name!r} have shape {stored.shape}.", hint="Give one row per item.")
    present: BoolArray = np.asarray(np.isfinite(stored).all(axis=1))
    return np.where(present[:, None], stored, np.float32(0)), present


@dataclass(frozen=True)
class Table:
    """Ids and fields of the same length."""

    ids: IdMap
    fields: Mapping[str, Field] = field(default_factory=dict)
    root: Path | None = None

    def __post_init__(self) -> None:
        for name, column in self.fields.items():
            if len(column) != len(self.ids):
                raise DataError(f"The field {name!r} has {len(column)} rows for {len(self.ids)} {self.ids.what}s.")

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, name: str) -> Field:
        if name not in self.fields:
            raise DataError(f"There is no field {name!r}.", hint=did_you_mean(name, self.fields))
        return self.fields[name]

    def of(self, modality: Modality) -> Iterator[Field]:
        """The fields of one modality, in the order declared."""
        return (f for f in self.fields.values() if f.modality == modality)

    def take(self, rows: IntArray) -> Self:
        """The table of some rows only, in the order given."""
        names = [self.ids[int(i)] for i in rows]
        fields = {name: column.take(rows) for name, column in self.fields.items()}
        return type(self)(IdMap(names, what=self.ids.what), fields, self.root)

    def with_field(self, column: Field) -> Self:
        """The table with one field added or replaced."""
        return type(self)(self.ids, {**self.fields, column.name: column}, self.root)


@dataclass(frozen=True)
class Items(Table):
    """The catalogue. `root` is the folder below which media paths are resolved."""

    def title(self, row: int) -> str:
        """What to call an item: its first text, or its id."""
        for column in self.of(Modality.TEXT):
            if column.present[row]:
                text = str(column.values[row])
                return text if len(text) <= 80 else text[:79] + "…"
        return self.ids[row]


@dataclass(frozen=True)
class Users(Table):
    """The people and their attributes, if any."""
