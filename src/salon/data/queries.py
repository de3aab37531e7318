"""A question to a model: the history comes with it, so that models answer for people they never met."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from salon.data.events import Events
from salon.errors import DataError
from salon.types import BoolArray, FloatArray, IntArray


@dataclass(frozen=True)
class Queries:
    """n histories in compressed rows; history i is `items[indptr[i]:indptr[i + 1]]`, oldest first.

    Attributes:
        indptr: (n + 1,) int64.
        items: (actions,) int64 item rows, each at most once per history.
        weights: (actions,) float32; positive likes, negative dislikes, 0 seen and neither.
        users: (n,) int64 rows of the user table, -1 for people who are in no table.
        ordered: Whether the order inside a history means anything.
        profiles: (n, attributes) sparse float32 of user attributes, or None.
        times: (actions,) float64 seconds since 1970 of the last action on each item, NaN where unknown; None where all
            are.
        now: (n,) float64 seconds since 1970 at which each question is asked, NaN where unknown; None where all are.
    """

    indptr: IntArray
    items: IntArray
    weights: FloatArray
    users: IntArray
    ordered: bool = True
    profiles: sparse.csr_array | None = None
    times: FloatArray | None = None
    now: FloatArray | None = None

    def __post_init__(self) -> None:
        if len(self.indptr) != len(self.users) + 1 or self.indptr[-1] != len(self.items):
            raise DataError(f"{len(self.users)} queries, but the row pointer has {len(self.indptr)} entries.")
        if len(self.weights) != len(self.items):
            raise DataError(f"{len(self.items)} actions, but {len(self.weights)} weights.")
        if self.times is not None and len(self.times) != len(self.items):
            raise DataError(f"{len(self.items)} actions, but {len(self.times)} times.")
        if self.now is not None and len(self.now) != len(self.users):
            raise DataError(f"{len(self.users)} queries, but {len(self.now)} moments at which they are asked.")

    def __len__(self) -> int:
        return len(self.users)

    @classmethod
    def from_lists(
        cls,
        histories: Sequence[Sequence[int]],
        weights: Sequence[Sequence[float]] | None = None,
        times: Sequence[Sequence[float]] | None = None,
    ) -> Queries:
        """Queries of unknown people from lists of item rows, oldest first; repeats keep their last place.

        Args:
            histories: n lists of item rows.
            weights: A weight per action, 1 where not given.
            times: Seconds since 1970 per action.

        Raises:
            DataError: A list of weights or times is not as long as its history.
        """
        for what, given in (("weights", weights), ("times", times)):
            if given is not None and list(map(len, given)) != list(map(len, histories)):
                raise DataError(f"The {what} are not as many as the actions.", hint="Give one per item of a history.")
        kept = [_last_places(history) for history in histories]
        indptr = np.concatenate([[0], np.cumsum([len(k) for k in kept])]).astype(np.int64)

        def flat(rows: Sequence[Sequence[float]]) -> list[float]:
            return [row[i] for row, places in zip(rows, kept, strict=True) for i in places]

        items = np.array(flat(histories), np.int64)
        worth = np.ones(len(items), np.float32) if weights is None else np.array(flat(weights), np.float32)
        when = None if times is None else np.array(flat(times), np.float64)
        return cls(indptr, items, worth, np.full(len(histories), -1, np.int64), times=when)

    @classmethod
    def from_events(
        cls,
        events: Events,
        users: IntArray,
        *,
        repeat: str = "max",
        profiles: sparse.csr_array | None = None,
    ) -> Queries:
        """The histories of some users, repeats merged; with times where those of the log are timestamps.

        Args:
            events: The log; exposures (`shown`) are left out.
            users: (n,) rows of the user table, each at most once.
            repeat: How weights of a repeated item merge: "max" (of the largest absolute weight), "sum" or "last".
            profiles: (all users, attributes) sparse; the rows of `users` are taken.
        """
        users = np.asarray(users, np.int64)
        wanted: IntArray = np.full(max(int(events.users.max(initial=-1)), int(users.max(initial=-1))) + 1, -1, np.int64)
        wanted[users] = np.arange(len(users))
        rows = np.flatnonzero((wanted[events.users] >= 0) & ~events.shown)  # few of many: picked before sorting
        rows = rows[np.lexsort((rows, events.times[rows], events.users[rows]))]
        owner = wanted[events.users[rows]]
        last, weights = merge_repeats(owner, events.items[rows], events.weights[rows], repeat)
        rows, owner = rows[last], owner[last]
        order = np.argsort(owner, kind="stable")
        rows = rows[order]
        indptr = np.searchsorted(owner[order], np.arange(len(users) + 1)).astype(np.int64)
        taken = None if profiles is None else sparse.csr_array(profiles[users])
        times = events.times[rows] if events.time_kind == "timestamp" else None
        return cls(indptr, events.items[rows], weights[order], users, events.has_order, taken, times)

    def take(self, rows: IntArray | slice) -> Queries:
        """Some queries only, in the order given."""
        rows = np.arange(len(self))[rows]
        counts = np.diff(self.indptr)[rows]
        indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        flat = np.repeat(self.indptr[rows] - indptr[:-1], counts) + np.arange(indptr[-1])
        taken = None if self.profiles is None else sparse.csr_array(self.profiles[rows])
        times = None if self.times is None else self.times[flat]
        now = None if self.now is None else self.now[rows]
        return Queries(indptr, self.items[flat], self.weights[flat], self.users[rows], self.ordered, taken, times, now)

    def only(self, kept: BoolArray) -> Queries:
        """The same questions with some of their actions, `kept` (actions,) bool."""
        counts = np.bincount(self.row_of()[kept], minlength=len(self))
        indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        times = None if self.times is None else self.times[kept]
        return replace(self, indptr=indptr, items=self.items[kept], weights=self.weights[kept], times=times)

    def row_of(self) -> IntArray:
        """(actions,) the query of each action."""
        return np.repeat(np.arange(len(self)), np.diff(self.indptr))

    def recency_rank(self) -> IntArray:
        """(actions,) 0 for the latest action of each history, 1 for the one before, and so on."""
        return np.repeat(self.indptr[1:], np.diff(self.indptr)) - 1 - np.arange(len(self.items))

    def _matrix(self, values: FloatArray, kept: BoolArray, n_items: int) -> sparse.csr_array:
        rows = self.row_of()[kept]
        return sparse.csr_array((values[kept], (rows, self.items[kept])), shape=(len(self), n_items))

    def positives(self, n_items: int, weights: FloatArray | None = None) -> sparse.csr_array:
        """(n, items) float32 of the liked items; `weights` (actions,) replaces the stored ones."""
        values = np.asarray(self.weights if weights is None else weights, np.float32)
        return self._matrix(values, self.weights > 0, n_items)

    def negatives(self, n_items: int) -> sparse.csr_array:
        """(n, items) float32, the absolute weights of the disliked items."""
        return self._matrix(np.abs(self.weights), self.weights < 0, n_items)

    def seen(self, n_items: int) -> sparse.csr_array:
        """(n, items) float32, 1 for every item of the history, liked or not."""
        return self._matrix(np.ones(len(self.items), np.float32), np.ones(len(self.items), bool), n_items)


def _last_places(history: Sequence[int]) -> list[int]:
    """Positions that hold the last occurrence of their item, in order."""
    return sorted({item: place for place, item in enumerate(history)}.values())


def merge_repeats(owner: IntArray, items: IntArray, weights: FloatArray, rule: str) -> tuple[IntArray, FloatArray]:
    """One row per (owner, item), the last one.

    Args:
        owner: (n,) int, rows in time order per owner.
        items: (n,) int.
        weights: (n,) float.
        rule: "max" keeps the weight of the largest absolute value (the later one if equal), "sum" adds, "last" keeps
            the last one.

    Returns:
        The rows that stay, ascending, and their merged weights, float32.
    """
    n = len(owner)
    order = np.lexsort((np.arange(n), items, owner))
    new = np.ones(n, bool)
    new[1:] = (owner[order][1:] != owner[order][:-1]) | (items[order][1:] != items[order][:-1])
    starts = np.flatnonzero(new)
    last = np.append(starts[1:], n) - 1 if n else starts
    if rule == "sum":
        merged = np.add.reduceat(weights[order], starts) if n else weights
    elif rule == "last":
        merged = weights[order][last]
    elif rule == "max":
        group = np.cumsum(new) - 1
        strongest = np.lexsort((np.arange(n), np.abs(weights[order]), group))
        merged = weights[order][strongest[last]]
    else:
        raise DataError(f"Unknown rule {rule!r} for repeated actions.", hint="Known: last, max, sum.")
    place = order[last]
    back = np.argsort(place, kind="stable")
    return place[back], np.asarray(merged, np.float32)[back]


@dataclass(frozen=True)
class Holdout:
    """Questions whose answers are known: what a model is validated and tested on.

    Attributes:
        queries: The histories that may be seen. Splits leave `now` unknown: it would be the time of the answer.
        targets: (n, items) sparse, 1 where the item was acted on later.
        exclude: (n, items) sparse, further items that must not be ranked, such as those of validation at test, or
            None.
        candidates: (items,) bool, the items that are ranked, or None for all.
        ratings: (n, items) sparse explicit ratings of the targets, or None.
    """

    queries: Queries
    targets: sparse.csr_array
    exclude: sparse.csr_array | None = None
    candidates: BoolArray | None = None
    ratings: sparse.csr_array | None = None

    def __len__(self) -> int:
        return len(self.queries)
