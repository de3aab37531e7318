"""Episodes: of some actions of a person, what else do they like."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from salon.data import Queries
from salon.errors import DataError
from salon.training.batches import Negatives, shuffled
from salon.types import BoolArray, FloatArray, IntArray

ASKED = 20
"""Likes of a person that a step of training asks for, at most."""
PAD = -1


class Episodes:
    """Epochs of (histories (n, k), their signs (n, k), further likes of the same people (n, q), negatives (m,)).

    Args:
        queries: Liked and disliked items that have features.
        n_items: Items.
        size: People per batch.
        support: Most actions of a history.
        negatives: Items drawn for each batch.

    Raises:
        DataError: Nobody has two actions of which one is a like.
    """

    def __init__(self, queries: Queries, n_items: int, *, size: int, support: int, negatives: int) -> None:
        likes = queries.positives(n_items)
        rows = np.flatnonzero((np.diff(queries.indptr) > 1) & (np.diff(likes.indptr) > 0))
        if not len(rows):
            raise DataError("Nobody has a like beside another action to learn from.", hint="Use 'popular'.")
        self._queries, self._negatives = queries.take(rows), Negatives(likes)
        self._size, self._support, self._count = size, support, negatives

    def __call__(self, rng: np.random.Generator) -> Iterator[tuple[IntArray, FloatArray, IntArray, IntArray]]:
        """One epoch."""
        for part in shuffled(len(self._queries), self._size, rng):
            queries = mixed(self._queries.take(part), rng)
            counts = np.diff(queries.indptr)
            most = np.minimum(counts - 1, self._support)
            shown = (1 + rng.integers(most))[queries.row_of()]
            place = np.arange(len(queries.items)) - np.repeat(queries.indptr[:-1], counts)
            rows, signs = padded(queries, place < shown, self._support)
            asked, _ = padded(queries, (place >= shown) & (queries.weights > 0), ASKED)
            some = (asked >= 0).any(axis=1)
            if some.any():
                yield rows[some], signs[some], asked[some], self._negatives.draw_any(self._count, rng)


def mixed(queries: Queries, rng: np.random.Generator) -> Queries:
    """Every history in random order."""
    order = np.lexsort((rng.random(len(queries.items)), queries.row_of()))
    return Queries(queries.indptr, queries.items[order], queries.weights[order], queries.users)


def padded(queries: Queries, chosen: BoolArray, most: int) -> tuple[IntArray, FloatArray]:
    """(n, k) int64 rows of the first `most` chosen actions, and (n, k) float32 their signs; -1 and 0 behind them."""
    kept = queries.only(chosen)
    place = np.arange(len(kept.items)) - np.repeat(kept.indptr[:-1], np.diff(kept.indptr))
    width = min(most, int(np.diff(kept.indptr).max(initial=0)))
    owner, inside = kept.row_of(), place < width
    rows: IntArray = np.full((len(kept), width), PAD, np.int64)
    signs = np.zeros((len(kept), width), np.float32)
    rows[owner[inside], place[inside]] = kept.items[inside]
    signs[owner[inside], place[inside]] = np.sign(kept.weights[inside])
    return rows, signs
