"""Histories as arrays of steps: with times, cut into windows, padded into batches; no Python per row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from salon.data import Queries
from salon.errors import DataError
from salon.training.batches import Negatives, shuffled
from salon.types import BoolArray, FloatArray, IntArray

PAD = -1
"""Stands where a history of a batch has ended."""
TOGETHER = 16
"""Batches among which rows are sorted by length."""
WITHOUT_TIMES = 0.1
"""Share of the windows shown without times in training, so that histories without times are answered too."""


@dataclass(frozen=True)
class Sequences:
    """The steps that a model reads, oldest first.

    Attributes:
        indptr: (n + 1,) int64; the steps of history i are indptr[i]:indptr[i + 1].
        items: (steps,) int64 item rows.
        times: (steps,) float64, NaN where unknown.
        profiles: (n, attributes) sparse float32 of the people, or None; most models do not read them.
    """

    indptr: IntArray
    items: IntArray
    times: FloatArray
    profiles: sparse.csr_array | None = None

    def __len__(self) -> int:
        return len(self.indptr) - 1

    @classmethod
    def of(cls, queries: Queries, placed: BoolArray) -> Sequences:
        """The liked items that have a vector, in the order of the queries."""
        kept = (queries.weights > 0) & placed[queries.items]
        times = np.full(len(queries.items), np.nan) if queries.times is None else queries.times
        indptr = _pointer(queries.row_of()[kept], len(queries))
        return cls(indptr, queries.items[kept], times[kept], queries.profiles)

    def owner(self) -> IntArray:
        """(steps,) the history of each step."""
        return np.repeat(np.arange(len(self)), np.diff(self.indptr))

    def take(self, rows: IntArray | slice) -> Sequences:
        """Some histories, in the order given."""
        rows = np.arange(len(self))[rows]
        counts = np.diff(self.indptr)[rows]
        indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        flat = np.repeat(self.indptr[rows] - indptr[:-1], counts) + np.arange(indptr[-1])
        profiles = None if self.profiles is None else sparse.csr_array(self.profiles[rows])
        return Sequences(indptr, self.items[flat], self.times[flat], profiles)

    def only(self, chosen: BoolArray) -> Sequences:
        """Some steps of the same histories."""
        indptr = _pointer(self.owner()[chosen], len(self))
        return Sequences(indptr, self.items[chosen], self.times[chosen], self.profiles)

    def shuffled(self, rng: np.random.Generator) -> Sequences:
        """Every history in random order, for data whose order means nothing."""
        order = np.lexsort((rng.random(len(self.items)), self.owner()))
        return replace(self, items=self.items[order], times=self.times[order])

    def last(self, length: int) -> tuple[IntArray, FloatArray]:
        """The last `length` steps: items (n, longest) padded by -1 behind, and times padded by NaN."""
        stops = self.indptr[1:]
        return self.padded(np.maximum(self.indptr[:-1], stops - length), stops)

    def padded(self, starts: IntArray, stops: IntArray) -> tuple[IntArray, FloatArray]:
        """Items (n, longest) int64 and times (n, longest) of the steps starts[i]:stops[i], padded behind."""
        places = starts[:, None] + np.arange(int((stops - starts).max(initial=0)))
        there = places < stops[:, None]
        places = np.where(there, places, 0)
        if not places.size:
            return np.zeros(places.shape, np.int64), np.zeros(places.shape)
        return np.where(there, self.items[places], PAD), np.where(there, self.times[places], np.nan)

    def matrix(self, n_items: int) -> sparse.csr_array:
        """(n, items) float32 of ones."""
        return sparse.csr_array(
            (np.ones(len(self.items), np.float32), (self.owner(), self.items)), shape=(len(self), n_items)
        )

    def hold_out_last(self) -> tuple[Sequences, Sequences, IntArray] | None:
        """All steps but the last of each history of three or more; such histories without it, and it; None if none."""
        long = np.flatnonzero(np.diff(self.indptr) >= 3)
        if not len(long):
            return None
        chosen = np.zeros(len(self.items), bool)
        chosen[self.indptr[1:][long] - 1] = True
        kept = self.only(~chosen)
        return kept, kept.take(long), self.items[chosen]


def _pointer(owner: IntArray, n: int) -> IntArray:
    return np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=n))]).astype(np.int64)


def windows(indptr: IntArray, length: int) -> tuple[IntArray, IntArray]:
    """Starts and stops of pieces of at most `length` + 1 steps, cut from the end of each history.

    Neighbouring pieces share one step: every step but the first of a history is asked for in exactly one piece.
    """
    pieces = -(-np.maximum(np.diff(indptr) - 1, 0) // length)
    owner = np.repeat(np.arange(len(pieces)), pieces)
    place = np.arange(len(owner)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    stops = indptr[1:][owner] - place * length
    return np.maximum(stops - length - 1, indptr[:-1][owner]), stops


def alike_in_length(lengths: IntArray, size: int, rng: np.random.Generator) -> list[IntArray]:
    """Batches of rows in random order, each of rows of like length, so that little is padded.

    Rows are shuffled, and sorted by length among `TOGETHER` batches at a time. A batch ends when it has as many steps
    as `size` rows of mean length: no step weighs more than another for the company it is in. Where that many would be
    padded to more than `size` of the longest rows, as where the longest follow on the shortest, it is cut further.

    Args:
        lengths: (n,) steps of each row, all above 0.
        size: Rows per batch on average.
        rng: The order.
    """
    budget, batches = size * float(lengths.mean()), []
    for part in shuffled(len(lengths), size * TOGETHER, rng):
        part = part[np.argsort(lengths[part], kind="stable")]
        steps = np.cumsum(lengths[part])
        count = max(1, round(float(steps[-1]) / budget))
        cuts = np.searchsorted(steps, np.arange(1, count) * (steps[-1] / count))
        batches += [piece for batch in np.split(part, cuts) if len(batch) for piece in _bounded(batch, lengths, size)]
    return [batches[place] for place in rng.permutation(len(batches))]


def _bounded(batch: IntArray, lengths: IntArray, size: int) -> list[IntArray]:
    """The batch in as few pieces as keep each, padded, to about `size` rows of the longest of all."""
    padded = len(batch) * int(lengths[batch].max())
    return np.array_split(batch, -(-padded // (size * int(lengths.max()))))


class Windows:
    """Epochs of (steps (n, T), the next step of each (n, T), times of the steps (n, T), negatives (k,)).

    Args:
        sequences: What to learn from.
        length: Most steps that are read.
        size: Windows per batch, on average: windows of like length stand together, and every batch has as many steps.
        ordered: Whether order means anything; else histories come in a new random order every epoch.
        negatives: Where items are drawn that all rows of a batch share.
        count: How many; 0 for the whole catalogue, which needs none.

    Raises:
        DataError: No history has a next item.
    """

    def __init__(
        self, sequences: Sequences, length: int, size: int, *, ordered: bool, negatives: Negatives, count: int
    ) -> None:
        self._sequences, self._size, self._ordered = sequences, size, ordered
        self._negatives, self._count = negatives, count
        self._starts, self._stops = windows(sequences.indptr, length)
        if not len(self._starts):
            raise DataError(
                "No history has two liked items that can be read, so there is no next item to learn.",
                hint="Use a model that reads no order, such as 'linear'.",
            )

    def __call__(self, rng: np.random.Generator) -> Iterator[tuple[IntArray, IntArray, FloatArray, IntArray]]:
        """One epoch."""
        sequences = self._sequences if self._ordered else self._sequences.shuffled(rng)
        for part in alike_in_length(self._stops - self._starts, self._size, rng):
            items, times = sequences.padded(self._starts[part], self._stops[part])
            times[rng.random(len(part)) < WITHOUT_TIMES] = np.nan
            yield items[:, :-1], items[:, 1:], times[:, :-1], self._negatives.draw_any(self._count, rng)
