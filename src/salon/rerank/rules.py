"""Rules of the house: boosted scores, and no more than so many of a kind."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from salon.errors import SettingError
from salon.types import FloatArray, IntArray

LEAST, MOST = 1e-3, 1e3
"""Bounds of a boost."""


def boosted(scores: FloatArray, boosts: FloatArray) -> FloatArray:
    """Scores raised where the boost is above 1 and lowered where it is below, whatever their sign.

    A score above 0 is multiplied by its boost, one below 0 divided by it, so that a boost of 2 never harms. A boost
    that is missing counts as 1; others are held within 0.001 and 1,000.

    Args:
        scores: (..., items) float; -inf stays.
        boosts: (items,) float, NaN where missing.

    Returns:
        (..., items) float32.
    """
    factors = np.clip(np.where(np.isnan(boosts), 1.0, boosts), LEAST, MOST)
    return np.asarray(np.where(scores > 0, scores * factors, scores / factors), np.float32)


def capped(ids: IntArray, labels: sparse.csr_array, cap: int, k: int) -> IntArray:
    """Places of the first k items of a ranking such that no label comes more than `cap` times.

    Greedy from the best: an item is passed over when one of its labels is used up. Items without a label are free.

    Args:
        ids: (n,) int item rows, best first.
        labels: (items, labels) sparse, 1 where an item has a label.
        cap: Most items with one label.
        k: Places.

    Returns:
        (m,) int64 places in `ids`, m <= k, in their order.

    Raises:
        SettingError: The cap is below 1.
    """
    if cap < 1:
        raise SettingError(f"The cap is {cap}.", hint="Allow at least one item of a kind.")
    rows = sparse.csr_array(labels)
    used = np.zeros(rows.shape[1], np.int64)
    kept: list[int] = []
    for place, item in enumerate(ids):
        mine = rows.indices[rows.indptr[item] : rows.indptr[item + 1]]
        if (used[mine] < cap).all():
            used[mine] += 1
            kept.append(place)
            if len(kept) == k:
                break
    return np.array(kept, np.int64)
