"""What people did: one row per action, in columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from salon.errors import DataError
from salon.types import BoolArray, FloatArray, IntArray

TimeKind = Literal["timestamp", "order", "none"]
PROPENSITY = "propensity"
"""The further column that holds the chance with which an item was shown."""


@dataclass(frozen=True)
class Events:
    """Actions of users on items, as parallel arrays of length n.

    Attributes:
        users: (n,) int64 rows of the user table.
        items: (n,) int64 rows of the item table.
        weights: (n,) float32; positive likes, negative dislikes, 0 neither (a neutral rating, an exposure).
        values: (n,) float32 explicit rating, NaN where there is none.
        times: (n,) float64; seconds, or a position, or the row number, as `time_kind` says.
        time_kind: What `times` holds. Equal times are ordered by input order everywhere.
        kinds: (n,) int16 index into `kind_names`.
        kind_names: Names of the kinds of action, such as ("view", "buy").
        shown: (n,) bool, rows that are exposures only: the item was shown, nothing was done.
        texts: n reviews (str or None), or None when no text was declared.
        context: Further columns by name, each of length n; "propensity" holds chances, see `propensities`.
    """

    users: IntArray
    items: IntArray
    weights: FloatArray
    values: FloatArray
    times: FloatArray
    time_kind: TimeKind = "none"
    kinds: IntArray = field(default_factory=lambda: np.zeros(0, np.int16))
    kind_names: tuple[str, ...] = ("event",)
    shown: BoolArray = field(default_factory=lambda: np.zeros(0, bool))
    texts: tuple[str | None, ...] | None = None
    context: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n = len(self.users)
        for name, default in (("kinds", np.int16), ("shown", bool)):
            if len(getattr(self, name)) == 0 and n:
                object.__setattr__(self, name, np.zeros(n, default))
        columns: dict[str, Any] = {
            "items": self.items,
            "weights": self.weights,
            "values": self.values,
            "times": self.times,
        }
        columns |= {"kinds": self.kinds, "shown": self.shown, **self.context}
        for name, column in columns.items():
            if len(column) != n:
                raise DataError(f"The event column {name!r} has {len(column)} rows instead of {n}.")

    @classmethod
    def of(
        cls,
        users: Any,
        items: Any,
        *,
        weights: Any = None,
        values: Any = None,
        times: Any = None,
        time_kind: TimeKind | None = None,
        **more: Any,
    ) -> Events:
        """Events from integers, with defaults: weight 1, no rating, times by row number ("none")."""
        users, items = np.asarray(users, np.int64), np.asarray(items, np.int64)
        n = len(users)
        kind: TimeKind = time_kind or ("none" if times is None else "timestamp")
        return cls(
            users,
            items,
            np.ones(n, np.float32) if weights is None else np.asarray(weights, np.float32),
            np.full(n, np.nan, np.float32) if values is None else np.asarray(values, np.float32),
            np.arange(n, dtype=np.float64) if times is None else np.asarray(times, np.float64),
            kind,
            **more,
        )

    def __len__(self) -> int:
        return len(self.users)

    @property
    def propensities(self) -> FloatArray | None:
        """(n,) float64 chance with which the item was shown, NaN where none was logged; None where none ever was.

        Raises:
            DataError: A further column of that name holds no numbers.
        """
        found = self.context.get(PROPENSITY)
        try:
            return None if found is None else np.asarray(found, np.float64)
        except ValueError as error:
            hint = "Name the column as `propensity` under [events]."
            raise DataError(f"The column 'propensity' holds no numbers: {error}.", hint=hint) from None

    @property
    def has_order(self) -> bool:
        """Whether times mean anything."""
        return self.time_kind != "none"

    def take(self, rows: IntArray | BoolArray) -> Events:
        """Some rows only, in the order given."""
        chosen = np.flatnonzero(rows) if np.asarray(rows).dtype == bool else np.asarray(rows)
        return replace(
            self,
            users=self.users[chosen],
            items=self.items[chosen],
            weights=self.weights[chosen],
            values=self.values[chosen],
            times=self.times[chosen],
            kinds=self.kinds[chosen],
            shown=self.shown[chosen],
            texts=None if self.texts is None else tuple(self.texts[i] for i in chosen),
            context={name: np.asarray(column)[chosen] for name, column in self.context.items()},
        )

    def in_order(self) -> IntArray:
        """Row numbers sorted by user, then time, then input order."""
        return np.lexsort((np.arange(len(self)), self.times, self.users))
