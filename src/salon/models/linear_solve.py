"""The closed form of the linear model, and the exact split of what it learned.

With G = D^-b G0 D^-b, S and T the ordered sums scaled alike, F_m the media vectors and C a sparse content graph, B
minimises

    |R - R B|^2 + nu sum_t |x_t - B^T past_t|^2 + sum_m alpha_m |F_m^T - F_m^T B|^2 + g |B - C|^2 + |L^(1/2) B|^2

with diag(B) = 0 and L = lambda I + p / (1 - p) diag(G + nu S). The conditions for a minimum are linear,

    A B = M - diag(gamma)       A = G + nu S + sum_m alpha_m K_m + g I + L      M = G + nu T + sum_m alpha_m K_m + g C
    B = P M - P diag(diag(P M) / diag P)                                         P = A^-1,  K_m = F_m F_m^T

and with nu = g = 0 they are EASE's, B = I - P diag(1 / diag P). Off the diagonal they say where each number comes from:

    (L + g I) B = G (I - B) + nu (T - S B) + sum_m alpha_m K_m (I - B) + g C

Papers: EASE (Steck, WWW 2019), EDLAE's dropout (Steck, NeurIPS 2020), L3AE's content prior (CIKM 2025).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy import sparse
from scipy.linalg import lapack

from salon.arrays import power_or_zero
from salon.errors import DataError
from salon.models.linear_media import Media
from salon.models.linear_point import Point
from salon.models.linear_statistics import Statistics
from salon.types import FloatArray, IntArray


def inverse(matrix: FloatArray) -> FloatArray:
    """The inverse of a symmetric positive definite matrix by Cholesky, float32 or float64 as given; it is overwritten.

    Raises:
        DataError: The matrix is not positive definite.
    """
    single = matrix.dtype == np.float32
    factor, info = (lapack.spotrf if single else lapack.dpotrf)(matrix.T, lower=1, overwrite_a=1, clean=0)
    if info == 0:
        factor, info = (lapack.spotri if single else lapack.dpotri)(factor, lower=1, overwrite_c=1)
    if info != 0:
        raise DataError(f"The system of {len(matrix)} items is not positive definite.", hint="Raise the ridge.")
    lower = np.tril(factor)
    return np.ascontiguousarray(lower + np.tril(lower, -1).T)


KEPT = 6
"""How many dense matrices of clicks a search keeps."""
DOUBLE = 4000
"""Up to so many rows the last solve is in double precision."""


@dataclass(frozen=True)
class Scales:
    """The units and scalings of one solve, over the n rows that took part.

    Attributes:
        rows: (n,) int64, items first, attributes (numbered from the number of items on) behind them.
        into: (n,) float32, a query is multiplied by it: counts^-b, and the profile weight for attributes.
        ridge: (n,) float64, diag(L).
        unit: mean diag(G) over the items.
        order_unit: What nu multiplies S and T by to be relative to the clicks.
    """

    rows: IntArray
    into: FloatArray
    ridge: FloatArray
    unit: float
    order_unit: float


@dataclass(frozen=True)
class Solution:
    """B and what belongs to it.

    Attributes:
        scales: Units and scalings.
        weights: (n, n) float32, B; the diagonal is 0.
        precision: (n,) float64, diag(P).
    """

    scales: Scales
    weights: FloatArray
    precision: FloatArray

    def out(self, counts: FloatArray, popularity: float, confidence: float) -> FloatArray:
        """(n,) float32, what scores are multiplied by: counts^popularity (diag(P) / median)^confidence."""
        return out_scale(self.precision, counts[self.scales.rows], popularity, confidence)


def out_scale(precision: FloatArray, counts: FloatArray, popularity: float, confidence: float) -> FloatArray:
    """(n,) float32 counts^popularity (diag(P) / median)^confidence; 0 where diag(P) is NaN, so not known."""
    known = np.isfinite(precision)
    relative = np.where(known, precision, 0.0) / np.median(precision[known])
    return np.asarray(power_or_zero(counts, popularity) * power_or_zero(relative, confidence), np.float32)


class Touched:
    """Who takes part in a solve: n items and attributes that somebody has.

    Args:
        counts: (J,) float64, users per item and attribute.
        n_items: Number of items.
    """

    def __init__(self, counts: FloatArray, n_items: int) -> None:
        self.counts, self.n_items = counts, n_items
        self.rows: IntArray = np.flatnonzero(counts > 0)
        self.items = int((self.rows < n_items).sum())

    @cached_property
    def place(self) -> IntArray:
        """(J,) int32, where each item or attribute stands among `rows`; -1 for those without users."""
        found = np.full(len(self.counts), -1, np.int32)
        found[self.rows] = np.arange(len(self.rows), dtype=np.int32)
        return found


class Grams(Touched):
    """The dense matrices of one training set, made once and used for every point of a search.

    Args:
        counts: (J,) float64, users per item and attribute; rows without any take no part.
        media: The vectors of the items.
        n_items: Number of items.
        dtype: float32 in a search, float64 at the end.
    """

    def __init__(self, counts: FloatArray, media: Media, n_items: int, dtype: type[Any] = np.float32) -> None:
        super().__init__(counts, n_items)
        self.media, self.dtype = media, dtype
        self._dense: dict[int, tuple[sparse.csr_array, FloatArray]] = {}
        self._media: dict[str, FloatArray] = {}
        self._graphs: dict[str, sparse.csr_array] = {}

    def dense(self, matrix: sparse.csr_array) -> FloatArray:
        """The rows and columns that took part, dense; to be read only."""
        if id(matrix) not in self._dense:
            block = matrix[self.rows][:, self.rows].toarray()
            while len(self._dense) >= KEPT:
                self._dense.pop(next(iter(self._dense)))
            self._dense[id(matrix)] = (matrix, np.asarray(block, self.dtype))  # the matrix is kept, so its id stays its
        return self._dense[id(matrix)][1]

    def of_media(self, name: str) -> FloatArray:
        """(n, n) cosines of one modality."""
        if name not in self._media:
            self._media[name] = np.asarray(self.media.gram(name, self.rows), self.dtype)
        return self._media[name]

    def graph(self, point: Point) -> sparse.csr_array:
        """C: the content graphs of the modalities, mixed by their alphas; it may be empty."""
        total = sum(point.media.values())
        mixed = sparse.csr_array((len(self.rows), len(self.rows)), dtype=np.float32)
        for name, alpha in point.media.items():
            if alpha:
                mixed = mixed + (alpha / total) * self.graph_of(name)
        return sparse.csr_array(mixed)

    def graph_of(self, name: str) -> sparse.csr_array:
        """The content graph of one modality."""
        if name not in self._graphs:
            self._graphs[name] = self.media.graph(name, self.rows)
        return self._graphs[name]


def scales_of(stats: Statistics, touched: Touched, point: Point) -> Scales:
    """Units and scalings; they need the diagonals only."""
    rows = touched.rows
    into = power_or_zero(stats.counts[rows], -point.item_exponent)
    into[touched.items :] *= point.profile
    clicks = stats.gram.diagonal()[rows] * into**2
    unit = float(clicks[: touched.items].mean())
    order_unit, diagonal = 0.0, clicks
    if point.order and stats.past is not None:
        past = stats.past.diagonal()[rows] * into**2
        order_unit = point.order * unit / max(float(past[: touched.items].mean()), 1e-12)
        diagonal = clicks + order_unit * past
    ridge = point.ridge * unit + point.dropout / (1.0 - point.dropout) * diagonal
    return Scales(rows, into.astype(np.float32), ridge, unit, order_unit)


def solve(stats: Statistics, grams: Grams, point: Point) -> Solution:
    """B of one point: one Cholesky inverse, and one product when the order of actions or the prior takes part."""
    scales = scales_of(stats, grams, point)
    into = np.asarray(scales.into, grams.dtype)

    def scaled(matrix: sparse.csr_array, weight: float) -> FloatArray:
        product = grams.dense(matrix) * (grams.dtype(weight) * into)
        product *= into[:, None]
        return product

    system = scaled(stats.gram, 1.0)
    for name, alpha in point.media.items():
        if alpha:
            system += grams.dtype(alpha * scales.unit) * grams.of_media(name)
    target: FloatArray | None = None
    if scales.order_unit:
        target = system + scaled(stats.follow, scales.order_unit)
        system += scaled(stats.past, scales.order_unit)
    pull = point.prior * scales.unit
    if pull:
        target = (system.copy() if target is None else target) + grams.dtype(pull) * grams.graph(point).toarray()
    system[np.diag_indices_from(system)] += np.asarray(scales.ridge + pull, grams.dtype)
    return Solution(scales, *_minimiser(system, target))


def _minimiser(system: FloatArray, target: FloatArray | None) -> tuple[FloatArray, FloatArray]:
    """B (float32) and diag(P) (float64); the system is overwritten."""
    inverted = inverse(system)
    precision = inverted.diagonal().copy()
    if target is None:
        weights = inverted
        weights *= -1.0 / precision
    else:
        weights = inverted @ target
        weights -= inverted * (weights.diagonal() / precision)
    np.fill_diagonal(weights, 0.0)
    return weights.astype(np.float32, copy=False), precision.astype(np.float64)
