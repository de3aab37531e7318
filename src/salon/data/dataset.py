"""Everything that was given: items, events, users; the value that travels between the stages."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy import sparse

from salon.data.events import Events
from salon.data.ids import IdMap
from salon.data.items import Items, Users
from salon.data.profiles import Profiles
from salon.data.queries import Queries, merge_repeats
from salon.errors import DataError
from salon.types import BoolArray, IntArray


@dataclass(frozen=True)
class Dataset:
    """A catalogue, a log and its people.

    Attributes:
        items: The catalogue; row i is item i everywhere.
        events: The log, in rows of `items` and `users`.
        users: The people; row u is user u everywhere.
        repeat: How repeated actions of a user on an item merge: "max", "sum" or "last".
    """

    items: Items
    events: Events
    users: Users
    repeat: str = "max"

    def __post_init__(self) -> None:
        for name, rows, table in (
            ("item", self.events.items, self.items),
            ("user", self.events.users, self.users),
        ):
            if len(rows) and (rows.min() < 0 or rows.max() >= len(table)):
                wrong = int(rows.min() if rows.min() < 0 else rows.max())
                raise DataError(f"An event names {name} row {wrong}, but there are {len(table)} {name}s.")

    @classmethod
    def of(cls, events: Events, n_users: int, n_items: int, **more: str) -> Dataset:
        """A dataset of bare integers, whose names are "0", "1", ..."""
        items = Items(IdMap(map(str, range(n_items))))
        return cls(items, events, Users(IdMap(map(str, range(n_users)), what="user")), **more)

    @property
    def n_items(self) -> int:
        """Number of items."""
        return len(self.items)

    @property
    def n_users(self) -> int:
        """Number of users."""
        return len(self.users)

    def with_events(self, events: Events) -> Dataset:
        """The same catalogue and people with another log."""
        return replace(self, events=events)

    def positives(self) -> sparse.csr_array:
        """(users, items) float32 weights of the liked items, repeats merged, dislikes left out."""
        rows = self.events.in_order()
        rows = rows[~self.events.shown[rows]]
        events = self.events
        last, weights = merge_repeats(events.users[rows], events.items[rows], events.weights[rows], self.repeat)
        rows, weights = rows[last[weights > 0]], weights[weights > 0]
        return sparse.csr_array((weights, (events.users[rows], events.items[rows])), shape=(self.n_users, self.n_items))

    def touched(self) -> BoolArray:
        """(items,) bool, the items with at least one positive action."""
        found = np.zeros(self.n_items, bool)
        found[self.events.items[(self.events.weights > 0) & ~self.events.shown]] = True
        return found

    def active_users(self) -> IntArray:
        """Rows of the users with at least one action that is not an exposure."""
        return np.unique(self.events.users[~self.events.shown])

    def profiles(self) -> Profiles | None:
        """One-hot attributes of the users, or None when none are declared."""
        return self._profiles

    @cached_property
    def _profiles(self) -> Profiles | None:
        return Profiles.of(self.users) if self.users.fields else None

    def queries(self, users: IntArray | None = None) -> Queries:
        """The histories of `users` (rows), or of all users."""
        rows = np.arange(self.n_users) if users is None else np.asarray(users, np.int64)
        profiles = self.profiles()
        return Queries.from_events(
            self.events, rows, repeat=self.repeat, profiles=None if profiles is None else profiles.matrix
        )
