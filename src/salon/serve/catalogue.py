"""The catalogue as answers need it: one row per item, never used twice, so that older models stay right.

A snapshot is frozen. An item that is deleted, or whose content changed before anybody liked it, leaves its row behind,
which is hidden from then on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Self

import numpy as np

from salon.data.columns import leaves_folder
from salon.rerank.columns import Column, Labels, Texts
from salon.serve.bounded import Bounded
from salon.store.values import StoredItem
from salon.types import BoolArray, FloatArray, IntArray, Modality

LONGEST_TITLE = 80
"""Characters of a title that are shown."""
MASKS = 64
"""Expressions whose masks are kept."""
NO_ITEM = StoredItem("")


@dataclass(frozen=True, eq=False)
class Catalogue:
    """Items in rows.

    Attributes:
        declared: Field to modality, as the catalogue file says.
        ids: Id of each row; ids of rows left behind may come again later.
        items: Item of each row.
        rows: Id to the row where the item is now.
        shown: (n,) bool, the rows that may be recommended.
        created: (n,) float64, seconds since 1970.
    """

    declared: Mapping[str, Modality]
    ids: tuple[str, ...] = ()
    items: tuple[StoredItem, ...] = ()
    rows: Mapping[str, int] = field(default_factory=dict)
    shown: BoolArray = field(default_factory=lambda: np.zeros(0, bool))
    created: FloatArray = field(default_factory=lambda: np.zeros(0))

    @classmethod
    def of(cls, declared: Mapping[str, Modality], names: Sequence[str], items: Mapping[str, StoredItem]) -> Self:
        """Rows in the order of `names`; those without an item are hidden."""
        there = [items.get(name, NO_ITEM) for name in names]
        return cls(
            dict(declared),
            tuple(names),
            tuple(there),
            {name: row for row, name in enumerate(names) if name in items},
            np.array([item is not NO_ITEM and not item.hidden for item in there], bool),
            np.array([item.created for item in there], np.float64),
        )

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def count(self) -> int:
        """Items that exist, hidden ones too."""
        return len(self.rows)

    def index(self, names: Iterable[str]) -> IntArray:
        """(n,) int64 rows; -1 for ids that name nothing here."""
        return np.array([self.rows.get(name, -1) for name in names], np.int64)

    def title(self, row: int) -> str:
        """What to call an item: its first text, or its id."""
        fields = self.items[row].fields
        for name, modality in self.declared.items():
            if modality is Modality.TEXT and (text := plain(modality, fields.get(name))):
                return text if len(text) <= LONGEST_TITLE else text[: LONGEST_TITLE - 1] + "…"
        return self.ids[row]

    def media(self, row: int) -> dict[str, str]:
        """Field to relative path of the media of an item."""
        fields = self.items[row].fields
        return {
            name: path
            for name, modality in self._media
            if name in fields and (path := plain(modality, fields[name])) and modality.is_path(path)
        }

    @cached_property
    def _media(self) -> list[tuple[str, Modality]]:
        return [(name, modality) for name, modality in self.declared.items() if modality.is_media]

    # -- changes -----------------------------------------------------------------------------------------------------

    def with_items(self, items: Sequence[StoredItem], moved: Iterable[str] = ()) -> Self:
        """Some items put in or replaced; new ones, and those in `moved`, get rows at the end."""
        if not items:
            return self
        rows, ids, there = dict(self.rows), list(self.ids), list(self.items)
        shown, created = self.shown.tolist(), self.created.tolist()
        for item in items:
            row = rows.get(item.id, -1)
            if row < 0 or item.id in moved:
                if row >= 0:
                    shown[row], there[row] = False, NO_ITEM
                rows[item.id] = len(ids)
                ids.append(item.id)
                there.append(item)
                shown.append(not item.hidden)
                created.append(item.created)
            else:
                there[row], shown[row], created[row] = item, not item.hidden, item.created
        return replace(
            self,
            ids=tuple(ids),
            items=tuple(there),
            rows=rows,
            shown=np.array(shown, bool),
            created=np.array(created, np.float64),
        )

    def without(self, names: Iterable[str]) -> Self:
        """Some items taken out; their rows stay, empty and hidden."""
        rows, there, shown = dict(self.rows), list(self.items), self.shown.copy()
        for name in names:
            row = rows.pop(name, -1)
            if row >= 0:
                there[row], shown[row] = NO_ITEM, False
        return replace(self, items=tuple(there), rows=rows, shown=shown)

    # -- columns -----------------------------------------------------------------------------------------------------

    @cached_property
    def fields(self) -> tuple[str, ...]:
        """The declared fields, and others that items have, in that order."""
        others = dict.fromkeys(name for item in self.items for name in item.fields)
        return tuple(dict.fromkeys([*self.declared, *others]))

    @cached_property
    def columns(self) -> Mapping[str, Column]:
        """What expressions read, by field; "id" and "created" are among them."""
        return _Columns(self)

    @cached_property
    def masks(self) -> Bounded[str, BoolArray]:
        """Expressions that read nothing but items, with the rows for which they hold."""
        return Bounded(MASKS)

    def column(self, name: str) -> Column:
        """One field of all rows, as expressions read it."""
        if name == "id":
            return Texts.of(self.ids)
        if name == "created":
            return np.where(self.created > 0, self.created, np.nan)
        values = [item.fields.get(name) for item in self.items]
        modality = self.declared.get(name) or _guess(values)
        if modality is Modality.NUMBER:
            return np.array([_number(value) for value in values], np.float64)
        if modality is Modality.CATEGORY:
            return Labels.of([plain(modality, value) for value in values])
        if modality is Modality.TEXT:
            return Texts.of(plain(modality, value) for value in values)
        return np.array([value is not None for value in values], bool)


class _Columns(Mapping[str, Column]):
    """The columns of a catalogue, made when they are first read."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._made: dict[str, Column] = {}

    def __getitem__(self, name: str) -> Column:
        if name not in self._made:
            if name not in self:
                raise KeyError(name)
            self._made[name] = self._catalogue.column(name)
        return self._made[name]

    def __contains__(self, name: object) -> bool:
        return name in ("id", "created") or name in self._catalogue.fields

    def __iter__(self) -> Any:
        return iter(dict.fromkeys(["id", "created", *self._catalogue.fields]))

    def __len__(self) -> int:
        return len(list(iter(self)))


def plain(modality: Modality, value: Any) -> Any:
    """A stored value as `salon.data` takes it: None where it is missing or cannot be what is declared."""
    if value is None:
        return () if modality is Modality.CATEGORY else None
    if modality is Modality.NUMBER:
        number = _number(value)
        return number if np.isfinite(number) else None
    if modality is Modality.CATEGORY:
        parts = value if isinstance(value, (list, tuple)) else [value]
        texts = (_text(part) for part in parts if not isinstance(part, (dict, list, tuple)))
        return tuple(dict.fromkeys(text for text in texts if text))
    if modality is Modality.VECTOR or (modality is Modality.SERIES and isinstance(value, (list, tuple))):
        return value if isinstance(value, (list, tuple)) and len(value) else None
    if isinstance(value, (list, tuple)):
        value = " ".join(str(part) for part in value if part is not None)
    text = None if isinstance(value, dict) else _text(value)
    if text and modality.is_path(text) and leaves_folder([text])[0]:
        return None
    return text


def _text(value: Any) -> str | None:
    return (str(value) if value is not None else "").strip() or None


def _number(value: Any) -> float:
    try:
        return float(value) if not isinstance(value, (list, tuple, dict)) else np.nan
    except (TypeError, ValueError, OverflowError):
        return np.nan


def _guess(values: Sequence[Any]) -> Modality:
    """What a field that nobody declared holds, by all of its values."""
    kinds = {type(value) for value in values if value is not None}
    if kinds and kinds <= {int, float, bool}:
        return Modality.NUMBER
    return Modality.CATEGORY if kinds & {list, tuple} else Modality.TEXT
