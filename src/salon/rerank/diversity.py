"""Lists whose items differ: maximal marginal relevance, and determinantal point processes.

MMR (Carbonell, Goldstein 1998) takes at each place the item with the largest

    (1 - d) relevance(i) - d max over items taken j of similarity(i, j)

DPP takes the items whose determinant of L = diag(q) S diag(q), q = exp(a relevance), a = (1 - d) / d, is largest,
greedily, by the incremental Cholesky factor of Chen, Zhang and Zhou (NeurIPS 2018); S = (1 + cosine) / 2 as there, so
that it is positive definite on vectors and opposite items are the most different ones. d is the diversity, 0 (by score
alone) to 1; relevance is the score mapped to 0..1 on the pool.
"""

from __future__ import annotations

import numpy as np

from salon.arrays import unit_rows
from salon.errors import SettingError
from salon.types import FloatArray, IntArray

JITTER = 1e-6
"""Added to the diagonal of S: doubles of an item are then taken last, not never."""


def relevance(scores: FloatArray) -> FloatArray:
    """(n,) float64 scores mapped to 0..1; all alike become 1."""
    scores = np.asarray(scores, np.float64)
    low, high = scores.min(initial=np.inf), scores.max(initial=-np.inf)
    return (scores - low) / (high - low) if high > low else np.ones(len(scores))


def mmr(scores: FloatArray, vectors: FloatArray, k: int, diversity: float) -> IntArray:
    """Places of k items, by maximal marginal relevance.

    Args:
        scores: (n,) finite float, best first or in any order.
        vectors: (n, d) float; rows of 0 (nothing known) are similar to nothing.
        k: Places.
        diversity: 0 to 1.

    Returns:
        (min(k, n),) int64 places in the order they are shown.

    Raises:
        SettingError: The diversity is outside of 0..1.
    """
    _check(diversity)
    value, unit = relevance(scores) * (1 - diversity), unit_rows(vectors)
    nearest = np.zeros(len(value))
    free = np.ones(len(value), bool)
    chosen: list[int] = []
    for _ in range(min(k, len(value))):
        place = int(np.argmax(np.where(free, value - diversity * nearest, -np.inf)))
        chosen.append(place)
        free[place] = False
        similar = unit @ unit[place]
        nearest = similar if len(chosen) == 1 else np.maximum(nearest, similar)
    return np.array(chosen, np.int64)


def dpp(scores: FloatArray, vectors: FloatArray, k: int, diversity: float) -> IntArray:
    """Places of k items, by greedy inference in a determinantal point process; arguments as for `mmr`.

    Diversity 0 is the order of the scores.
    """
    _check(diversity)
    value, unit = relevance(scores), np.asarray(unit_rows(vectors), np.float64)
    if diversity == 0:
        return np.argsort(-value, kind="stable")[: min(k, len(value))]
    log_quality = np.minimum((1 - diversity) / diversity, 300.0) * (value - 1.0)
    n, k = len(value), min(k, len(value))
    factor = np.zeros((k, n))
    left = np.full(n, 1.0 + JITTER)
    free = np.ones(n, bool)
    chosen: list[int] = []
    for step in range(k):
        place = int(np.argmax(np.where(free, 2 * log_quality + np.log(left), -np.inf)))
        chosen.append(place)
        free[place] = False
        row = (1.0 + unit @ unit[place]) / 2
        row[place] += JITTER
        row = (row - factor[:step].T @ factor[:step, place]) / np.sqrt(left[place])
        factor[step] = row
        left = np.maximum(left - row**2, 1e-12)
    return np.array(chosen, np.int64)


def _check(diversity: float) -> None:
    if not 0 <= diversity <= 1:
        raise SettingError(f"The diversity is {diversity}.", hint="Give a number from 0 to 1.")


def intra_list_distance(vectors: FloatArray) -> float:
    """Mean of 1 - cosine over the pairs of a list of (n, d) vectors; 0 for fewer than two."""
    unit = np.asarray(unit_rows(vectors), np.float64)
    n = len(unit)
    if n < 2:
        return 0.0
    total = float((unit.sum(axis=0) ** 2).sum() - (unit**2).sum())
    return 1.0 - total / (n * (n - 1))
