"""Items that nobody has touched take what their content twins suggest.

Over the touched items T and the others N, with the content kernel K = sum_m beta_m F_m F_m^T,

    W = (K_TT + rho I)^-1 K_TN                (|T|, |N|)

is the kernel ridge regression of "which touched items am I": a cold column is (B + s I) W, a cold item of the history
is read as W times the touched ones, and both together are W^T (B + s I) W with a zero diagonal. W is a sum over
modalities, so cold scores split by modality like warm ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from salon.models.linear_media import Media
from salon.models.linear_point import Point
from salon.types import FloatArray, IntArray


@dataclass(frozen=True)
class Twins:
    """Who is whose content twin.

    Attributes:
        warm: (t,) int64, the touched items.
        cold: (c,) int64, the items without any action that have media.
        weights: (t, c) float32, W.
        factor: (t, t) float32, lower Cholesky factor of K_TT + rho I.
        gain: (c,) float32, what cold scores are multiplied by: kappa / |W_j|^twin_norm.
        own: s in units of the scores of B.
    """

    warm: IntArray
    cold: IntArray
    weights: FloatArray
    factor: FloatArray
    gain: FloatArray
    own: float

    def part(self, media: Media, point: Point, name: str, cold: IntArray) -> FloatArray:
        """(t, len(cold)) float32, the part of one modality in the columns of W for the items `cold`."""
        share = point.twins[name] * media.gram(name, self.warm, cold)
        return np.asarray(cho_solve((self.factor, True), share), np.float32)


def kernel(media: Media, point: Point, rows: IntArray, columns: IntArray | None = None) -> FloatArray:
    """sum_m beta_m F_m F_m^T, (rows, columns) float32."""
    total = np.zeros((len(rows), len(rows if columns is None else columns)), np.float32)
    for name, share in point.twins.items():
        if share:
            total += np.float32(share) * media.gram(name, rows, columns)
    return total


def find_twins(media: Media, point: Point, warm: IntArray, cold: IntArray, own: float) -> Twins:
    """The twins of the items `cold` among the items `warm`.

    Args:
        media: Vectors of all items.
        point: beta, rho, kappa and the norm's exponent.
        warm: (t,) int64 touched items.
        cold: (c,) int64 other items; those that no shared modality describes get an empty column.
        own: s in units of the scores of B.
    """
    if not len(cold) or not any(point.twins.values()):
        nothing = np.zeros((len(warm), 0), np.float32)
        return Twins(warm, cold[:0], nothing, np.zeros((0, 0), np.float32), np.zeros(0, np.float32), own)
    among = kernel(media, point, warm)
    among[np.diag_indices_from(among)] += np.float32(point.twin_ridge * max(float(among.diagonal().mean()), 1e-6))
    factor, _ = cho_factor(among, lower=True, overwrite_a=True, check_finite=False)
    weights = np.asarray(cho_solve((factor, True), kernel(media, point, warm, cold)), np.float32)
    there = np.abs(weights).max(axis=0, initial=0.0) > 0
    return Twins(warm, cold[there], weights[:, there], np.tril(factor), gains(point, weights[:, there]), own)


def gains(point: Point, weights: FloatArray) -> FloatArray:
    """(c,) float32 kappa / |W_j|^twin_norm, relative to the median norm; faint twins are not blown up."""
    norms = np.linalg.norm(weights, axis=0)
    middle = float(np.median(norms)) if len(norms) else 1.0
    relative = np.maximum(norms / max(middle, 1e-12), 0.3)
    return np.asarray(point.cold_scale * relative**-point.twin_norm, np.float32)
