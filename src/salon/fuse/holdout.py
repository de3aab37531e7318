"""Questions that a fuser asks itself: do the fused vectors of a history find what the same person liked besides?

Held out are every action on a tenth of the touched items, as if nobody had met them, and a tenth of the other actions.
All items with media are ranked, so one number says how well the vectors serve both known and new items.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from salon.arrays import block_size, blocks, top_k
from salon.data import Events
from salon.errors import DataError
from salon.metrics import hit_matrix, ndcg, relevant_counts
from salon.types import BoolArray, FloatArray, IntArray

SHARE = 0.1
CUT = 20
"""Vectors are judged by nDCG at this length."""
FEWEST = 20
"""With fewer questions than this nothing is held out: the answer would be noise."""


def likes_of(events: Events | None, able: BoolArray) -> sparse.csr_array:
    """(users, items) float32, 1 where a user liked an item that has media.

    Args:
        events: The log; exposures, dislikes and neutral actions are left out. None is an empty log.
        able: (items,) bool, the items with at least one modality.

    Raises:
        DataError: An event names an item without a row in the features.
    """
    if events is None or not len(events):
        return sparse.csr_array((0, len(able)), dtype=np.float32)
    if int(events.items.max()) >= len(able):
        raise DataError(f"An event names item row {int(events.items.max())}, but there are {len(able)} items.")
    kept = np.flatnonzero((events.weights > 0) & ~events.shown & able[events.items])
    users, items = events.users[kept], events.items[kept]
    pairs = np.unique(users * len(able) + items)
    place = (pairs // len(able), pairs % len(able))
    shape = (int(events.users.max()) + 1, len(able))
    return sparse.csr_array((np.ones(len(pairs), np.float32), place), shape=shape)


@dataclass(frozen=True)
class HeldOut:
    """What is learned from, and what is asked.

    Attributes:
        train: (users, items) float32, the actions to learn from.
        history: (asked, items) float32, the actions in `train` of those who are asked for.
        targets: (asked, items) float32, their held-out actions.
        able: (items,) bool, the items that are ranked.
    """

    train: sparse.csr_array
    history: sparse.csr_array
    targets: sparse.csr_array
    able: BoolArray

    def of_vectors(self, vectors: FloatArray) -> float:
        """Mean nDCG when items are ranked by the dot product with the sum of the history's vectors, (items, d)."""
        total = 0.0
        for rows in blocks(self.history.shape[0], block_size(len(vectors))):
            profiles = sparse.csr_array(self.history[rows]) @ vectors
            total += float(self.values(profiles @ vectors.T, rows).sum())
        return total / max(1, self.history.shape[0])

    def values(self, scores: FloatArray, rows: slice = slice(None)) -> FloatArray:
        """(n,) nDCG of (n, items) scores for some of those asked; the scores are written into."""
        scores[sparse.csr_array(self.history[rows]).nonzero()] = -np.inf
        scores[:, ~self.able] = -np.inf
        targets = sparse.csr_array(self.targets[rows])
        return ndcg(hit_matrix(top_k(scores, CUT).ids, targets), relevant_counts(targets), CUT)


def hold_out(likes: sparse.csr_array, able: BoolArray, rng: np.random.Generator, *, most: int = 1000) -> HeldOut | None:
    """Parts the likes; None where too few questions would come of it.

    Args:
        likes: (users, items), as `likes_of` gives them.
        able: (items,) bool, the items with media.
        rng: Which actions, items and people.
        most: At most so many people are asked for.
    """
    users, items = likes.nonzero()
    touched = np.unique(items)
    new = np.zeros(likes.shape[1], bool)
    new[rng.permutation(touched)[: int(SHARE * len(touched))]] = True
    asked = new[items] | (rng.random(len(items)) < SHARE)
    train, held = _picked(likes.shape, users, items, ~asked), _picked(likes.shape, users, items, asked)
    rows = np.flatnonzero((np.diff(train.indptr) > 0) & (np.diff(held.indptr) > 0))
    if len(rows) < FEWEST:
        return None
    if len(rows) > most:
        rows = np.sort(rng.choice(rows, most, replace=False))
    return HeldOut(train, sparse.csr_array(train[rows]), sparse.csr_array(held[rows]), able)


def _picked(shape: tuple[int, int], users: IntArray, items: IntArray, kept: BoolArray) -> sparse.csr_array:
    return sparse.csr_array((np.ones(int(kept.sum()), np.float32), (users[kept], items[kept])), shape=shape)
