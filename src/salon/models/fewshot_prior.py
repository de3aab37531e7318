"""Bayesian linear regression of a person's taste: a normal prior learned from people, a posterior in closed form.

    u ~ N(mu, S),   y_a = v_a . u + e_a,   e_a ~ N(0, s)
    E[u | y] = mu + S V' (V S V' + s I)^-1 (y - V mu)  =  (S^-1 + V'V / s)^-1 (S^-1 mu + V'y / s)

V holds the vectors of the k items of the history. With S = L L' and z_i = L' v_i the posterior is mu + L t, where t
solves a system of k or of d equations, whichever are fewer, and the score of item i is v_i . mu + z_i . t.

Source: Bishop, "Pattern Recognition and Machine Learning", 2006, section 3.3.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from salon.arrays import block_size, blocks
from salon.data import Queries
from salon.types import BoolArray, FloatArray

TASTE_RIDGE = 1e-2
"""Ridge of the taste of a person in training, in parts of the mean square of a direction."""
JITTER = 1e-6
"""Added to the variance of every direction, in parts of the mean variance."""


@dataclass(frozen=True)
class Prior:
    """What is believed of a person before the first action.

    Attributes:
        mean: (d,) float64, mu.
        root: (d, d) float64 lower triangular, L.
    """

    mean: FloatArray
    root: FloatArray

    @classmethod
    def of(cls, tastes: FloatArray, before: Prior | None = None, weight: float = 0.0) -> Prior:
        """Mean and covariance of (people, d) tastes, or of these and `weight` more people spread as `before` says."""
        n = len(tastes)
        mean = tastes.mean(axis=0)
        spread = (tastes - mean).T @ (tastes - mean) / n
        if before is not None:
            share = weight / (weight + n)
            apart = (mean - before.mean)[:, None]
            spread = (1 - share) * spread + share * before.covariance() + share * (1 - share) * (apart @ apart.T)
            mean = (1 - share) * mean + share * before.mean
        jitter = JITTER * max(float(np.trace(spread)) / len(spread), JITTER)
        return cls(mean, np.linalg.cholesky(spread + jitter * np.eye(len(spread))))

    def covariance(self) -> FloatArray:
        """(d, d) float64, S."""
        return np.asarray(self.root @ self.root.T)


def tastes_of(rows: sparse.csr_array, vectors: FloatArray, touched: BoolArray) -> FloatArray:
    """(people, d) float64: the ridge regression of each row of likes on the vectors of all touched items.

    Args:
        rows: (people, items) sparse, what is not liked counts as 0.
        vectors: (items, d).
        touched: (items,) bool.
    """
    known = np.where(touched[:, None], vectors, 0).astype(np.float64)
    square = known.T @ known
    square += TASTE_RIDGE * max(float(np.trace(square)) / len(square), 1e-12) * np.eye(len(square))
    return np.asarray(np.linalg.solve(square, np.asarray(rows @ known).T).T)


def shifts(queries: Queries, units: FloatArray, base: FloatArray, noise: float) -> FloatArray:
    """(n, d) float64, t of every query: how a history moves the taste from the mean, in units of the prior.

    Args:
        queries: n histories; an action counts as 1 where it was liked, -1 disliked, 0 neither.
        units: (items, d), z_i.
        base: (items,) v_i . mu.
        noise: s.
    """
    dim = units.shape[1]
    found = np.zeros((len(queries), dim))
    counts = np.diff(queries.indptr)
    for k in np.unique(counts[counts > 0]):
        rows = np.flatnonzero(counts == k)
        for part in blocks(len(rows), block_size(int(k) * dim + min(int(k), dim) ** 2, itemsize=8)):
            places = queries.indptr[rows[part], None] + np.arange(k)
            seen = units[queries.items[places]].astype(np.float64)  # (m, k, d)
            left = np.sign(queries.weights[places]) - base[queries.items[places]]
            found[rows[part]] = _solved(seen, left.astype(np.float64), noise)
    return found


def _solved(seen: FloatArray, left: FloatArray, noise: float) -> FloatArray:
    """(m, d) Z'(ZZ' + s I)^-1 r, which is (Z'Z + s I)^-1 Z'r, of Z (m, k, d) and r (m, k)."""
    _, k, dim = seen.shape
    back = seen.transpose(0, 2, 1)
    if k <= dim:
        return np.asarray((back @ np.linalg.solve(seen @ back + noise * np.eye(k), left[:, :, None]))[:, :, 0])
    return np.asarray(np.linalg.solve(back @ seen + noise * np.eye(dim), back @ left[:, :, None])[:, :, 0])
