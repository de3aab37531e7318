"""Ranking and rating metrics as pure functions of arrays; each gives one value per query, so that tests can pair them.

Relevance is binary. `hits[i, j]` says whether the item at place j of the list for query i is relevant; `relevant[i]` is
how many relevant items query i has. Queries without any relevant item have no value and are left out by the caller.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from salon.types import MISSING_ID, BoolArray, FloatArray, IntArray


def hit_matrix(ids: IntArray, targets: sparse.csr_array) -> BoolArray:
    """(n, k) bool, whether each listed id is a target of its query.

    Args:
        ids: (n, k) int, -1 pads.
        targets: (n, items) sparse, nonzero where relevant.
    """
    n, k = ids.shape
    rows, columns = targets.nonzero()
    known = np.sort(rows.astype(np.int64) * targets.shape[1] + columns)
    asked = np.arange(n, dtype=np.int64)[:, None] * targets.shape[1] + ids
    place = np.minimum(np.searchsorted(known, asked), max(len(known) - 1, 0))
    found = known[place] == asked if len(known) else np.zeros((n, k), bool)
    return np.asarray(found & (ids != MISSING_ID))


def relevant_counts(targets: sparse.csr_array) -> IntArray:
    """(n,) number of targets per query."""
    rows, _ = targets.nonzero()
    return np.bincount(rows, minlength=targets.shape[0])


def recall(hits: BoolArray, relevant: IntArray, k: int) -> FloatArray:
    """(n,) share of the relevant items that are among the first k."""
    return hits[:, :k].sum(axis=1) / np.maximum(relevant, 1)


def ndcg(hits: BoolArray, relevant: IntArray, k: int) -> FloatArray:
    """(n,) normalised discounted cumulative gain; the ideal is min(k, relevant) hits (Järvelin, Kekäläinen 2002)."""
    discount = 1.0 / np.log2(np.arange(2, k + 2))
    width = min(k, hits.shape[1])
    gained = hits[:, :width] @ discount[:width]
    ideal = np.concatenate([[0.0], np.cumsum(discount)])[np.minimum(relevant, k)]
    return np.divide(gained, ideal, out=np.zeros_like(gained), where=ideal > 0)
