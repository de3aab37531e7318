"""Batches from arrays, and negatives for positive pairs, without Python per row."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import sparse

from salon.errors import DataError
from salon.types import BoolArray, FloatArray, IntArray

MARKED = 1 << 26
"""Largest users x items for which every pair has a mark in memory; beyond, pairs are searched for in a sorted list."""


def shuffled(n: int, size: int, rng: np.random.Generator, *, drop_single: bool = False) -> Iterator[IntArray]:
    """The rows 0..n-1 in random order, `size` at a time.

    Args:
        n: How many rows.
        size: Rows per batch; the last one may be smaller.
        rng: The order.
        drop_single: Leave out a last batch of one row, which contrastive losses cannot use.
    """
    order = rng.permutation(n)
    for start in range(0, n, size):
        part = order[start : start + size]
        if not (drop_single and len(part) == 1 and n > 1):
            yield part


class Negatives:
    """Draws items that a user has not acted on.

    Args:
        positives: (users, items) sparse, stored entries are positive.
        power: 0 draws uniformly over the items that anybody acted on, 1 by popularity, 0.75 between.
        rounds: How often a draw that hits a positive is repeated; one that still does is kept, which is rare unless
            somebody has acted on nearly everything.
    """

    def __init__(self, positives: sparse.csr_array, *, power: float = 0.0, rounds: int = 10) -> None:
        matrix = sparse.csr_array(positives)
        matrix.sort_indices()
        self._items = matrix.shape[1]
        rows = np.repeat(np.arange(matrix.shape[0], dtype=np.int64), np.diff(matrix.indptr))
        self._codes = rows * self._items + matrix.indices
        self._marks: BoolArray | None = None
        if matrix.shape[0] * self._items <= MARKED:
            self._marks = np.zeros(matrix.shape[0] * self._items, bool)
            self._marks[self._codes] = True
        counts = np.bincount(matrix.indices, minlength=self._items).astype(np.float64)
        weights = np.where(counts > 0, counts**power, 0.0)
        if not weights.sum():
            raise DataError("There are no positive actions to draw negatives against.")
        self._cumulative = np.cumsum(weights / weights.sum())
        self._rounds = rounds
        with np.errstate(divide="ignore"):
            self.log_q: FloatArray = np.log(weights / weights.sum()).astype(np.float32)

    def draw(self, users: IntArray, count: int, rng: np.random.Generator) -> IntArray:
        """(n, count) int64 item rows for n users."""
        owners = np.repeat(np.asarray(users, np.int64), count)
        found = self.draw_any(len(owners), rng)
        for _ in range(self._rounds):
            wrong = np.flatnonzero(self._is_positive(owners, found))
            if not len(wrong):
                break
            found[wrong] = self.draw_any(len(wrong), rng)
        return found.reshape(len(users), count)

    def draw_any(self, count: int, rng: np.random.Generator) -> IntArray:
        """(count,) int64 item rows, whoever they are for."""
        places = np.searchsorted(self._cumulative, rng.random(count), side="right")
        return np.minimum(places, self._items - 1)

    def _is_positive(self, users: IntArray, items: IntArray) -> BoolArray:
        codes = users * self._items + items
        if self._marks is not None:
            return self._marks[codes]
        places = np.minimum(np.searchsorted(self._codes, codes), len(self._codes) - 1)
        return self._codes[places] == codes
