"""How a trained table of people answers a history: by what was learned for exactly this history, else folded in.

A query carries a history and may be of a person never met. The key of a history is a number made of the set of its
liked items. Where somebody in training had exactly these likes, the trained vector is the answer; any other history is
mapped to a vector by

    z = A [mean of v_i over the liked items that were touched or placed, 1],

A being fitted over the people in training, min sum_u n_u |z_u - A x_u|^2 + r |A|^2 (the last column free of ridge).
Hence an answer depends on the history alone: not on whose it is, nor on what else is asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from salon.types import BoolArray, FloatArray, IntArray

RIDGE = 1e-3
"""r of the fold-in, in parts of the mean square of its inputs."""


def history_keys(rows: sparse.csr_array) -> IntArray:
    """(n,) uint64, a hash of the set of columns of each row; the order of the entries does not matter.

    The sum of mixed column numbers (the finaliser of SplitMix64), modulo 2^64; an empty row has 0.
    """
    mixed = rows.indices.astype(np.uint64) + np.uint64(1)
    mixed = mixed * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    total = np.concatenate([np.zeros(1, np.uint64), np.cumsum(mixed ^ (mixed >> np.uint64(31)), dtype=np.uint64)])
    keys: IntArray = total[rows.indptr[1:]] - total[rows.indptr[:-1]]
    return keys


def history_means(history: sparse.csr_array, vectors: FloatArray, placed: BoolArray) -> FloatArray:
    """(n, d + 1) float64: the mean vector of the placed items of each history, and 1."""
    counts = np.maximum(np.asarray(history @ placed.astype(np.float64)), 1)[:, None]
    total = np.asarray(history @ np.where(placed[:, None], vectors, 0).astype(np.float64))
    return np.concatenate([total / counts, np.ones_like(counts)], axis=1)


@dataclass(frozen=True)
class Answers:
    """What is kept of a training run.

    Attributes:
        keys: (m,) uint64 keys of the training histories, ascending, each once.
        users: (m, d) float32 their vectors; people of equal history have their mean.
        items: (items, d) float32; 0 for items that are not placed.
        placed: (items,) bool, the items that can be scored.
        fold: (d + 1, d) float64, the map A.
    """

    keys: IntArray
    users: FloatArray
    items: FloatArray
    placed: BoolArray
    fold: FloatArray

    @classmethod
    def of(cls, rows: sparse.csr_array, users: FloatArray, items: FloatArray, placed: BoolArray) -> Answers:
        """From (users, items) sparse of ones, the trained (users, d) and (items, d), and which items can be scored."""
        items = np.where(placed[:, None], items, np.float32(0)).astype(np.float32)
        active = np.flatnonzero(np.diff(rows.indptr))
        rows, users = sparse.csr_array(rows[active]), users[active]
        keys, place, counts = np.unique(history_keys(rows), return_inverse=True, return_counts=True)
        owners = sparse.csr_array((np.ones(len(users)), (place.ravel(), np.arange(len(users)))))
        merged = owners @ users
        fold = _fold(history_means(rows, items, placed), users, np.diff(rows.indptr))
        return cls(keys, (merged / counts[:, None]).astype(np.float32), items, placed, fold)

    @classmethod
    def of_items(cls, items: FloatArray, placed: BoolArray) -> Answers:
        """Of (items, d) alone, where nobody has been met: a person is the mean of the vectors of their likes."""
        dim = items.shape[1]
        items = np.where(placed[:, None], items, np.float32(0)).astype(np.float32)
        return cls(np.zeros(1, np.uint64), np.zeros((1, dim), np.float32), items, placed, np.eye(dim + 1, dim))

    def state(self) -> dict[str, Any]:
        """As learned attributes."""
        return {f"{name}_": value for name, value in vars(self).items()}

    def people(self, history: sparse.csr_array) -> FloatArray:
        """(n, d) float32 of (n, items) sparse likes; the zero vector where no liked item is placed."""
        found = (history_means(history, self.items, self.placed) @ self.fold).astype(np.float32)
        keys = history_keys(history)
        place = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        known = self.keys[place] == keys
        found[known] = self.users[place[known]]
        found[~self.known(history)] = 0
        return found

    def known(self, history: sparse.csr_array) -> BoolArray:
        """(n,) bool, the histories with a placed item."""
        return np.asarray(history @ self.placed.astype(np.float32)) > 0

    def scores(self, history: sparse.csr_array) -> FloatArray:
        """(n, items) float32; -inf for items that are not placed and for histories without one that is."""
        scores: FloatArray = self.people(history) @ self.items.T
        scores[:, ~self.placed] = -np.inf
        scores[~self.known(history)] = -np.inf
        return scores


def _fold(inputs: FloatArray, targets: FloatArray, weights: IntArray) -> FloatArray:
    """(d + 1, d) float64 solution of min sum_u w_u |t_u - x_u A|^2 + r |A|^2, no ridge on the last row."""
    weighted = inputs * weights[:, None]
    left = inputs.T @ weighted
    size = max(float(np.trace(left[:-1, :-1])) / max(len(left) - 1, 1), 1e-12)
    ridge = np.full(len(left), RIDGE * size)
    ridge[-1] = 1e-9
    return np.asarray(np.linalg.solve(left + np.diag(ridge), weighted.T @ targets.astype(np.float64)))
