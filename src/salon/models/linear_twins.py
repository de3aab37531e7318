"""Items that nobody has touched take what their content twins suggest.

Over the touched items T and the others N, with the content kernel K = sum_m beta_m (F_m F_m^T)^p, entry by entry,

    W = (K_TT + rho I)^-1 K_TN                (|T|, |N|)

is the kernel ridge regression of "which touched items am I": a cold column is (B + s I) W, a cold item of the history
is read as W times the touched ones, and both together are W^T (B + s I) W with a zero diagonal. W is a sum over
modalities, so cold scores split by modality like warm ones.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

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
        norm: Median |W_j|, frozen at fit; 0 before there was a cold item.
    """

    warm: IntArray
    cold: IntArray
    weights: FloatArray
    factor: FloatArray
    gain: FloatArray
    own: float
    norm: float = 0.0

    def columns(self, places: IntArray) -> FloatArray:
        """(t, len(places)) float32, columns of W."""
        return self.weights[:, places]

    def part(self, media: Media, point: Point, name: str, cold: IntArray) -> FloatArray:
        """(t, len(cold)) float32, the part of one modality in the columns of W for the items `cold`."""
        if not point.twins[name]:
            return np.zeros((len(self.warm), len(cold)), np.float32)
        share = point.twins[name] * likeness(media, point, name, self.warm, cold)
        return solved(self.factor, share)


def likeness(media: Media, point: Point, name: str, rows: IntArray, columns: IntArray | None = None) -> FloatArray:
    """(rows, columns) float32, the p-th power of the cosines of one modality: positive semidefinite for whole p."""
    cosines = media.gram(name, rows, columns)
    return cosines if point.twin_power == 1 else cosines**point.twin_power


def kernel(media: Media, point: Point, rows: IntArray, columns: IntArray | None = None) -> FloatArray:
    """sum_m beta_m (F_m F_m^T)^p, entry by entry, (rows, columns) float32."""
    total = np.zeros((len(rows), len(rows if columns is None else columns)), np.float32)
    for name, share in point.twins.items():
        if share:
            total += np.float32(share) * likeness(media, point, name, rows, columns)
    return total


def find_twins(media: Media, point: Point, cold: IntArray, known: Twins) -> Twins:
    """The twins of the items `cold` behind those that are `known`; what was known stays as it is.

    Args:
        media: Vectors of all items.
        point: beta, rho, kappa and the norm's exponent.
        cold: (c,) int64 further items without actions; those that no shared modality describes are left out.
        known: Where to begin; `no_twins` for a start from nothing.
    """
    if not len(cold) or not any(point.twins.values()):
        return known
    factor = known.factor if len(known.factor) else _factor(media, point, known.warm)
    weights = solved(factor, kernel(media, point, known.warm, cold))
    there = np.abs(weights).max(axis=0, initial=0.0) > 0
    norms = np.linalg.norm(weights[:, there], axis=0)
    norm = known.norm or (float(np.median(norms)) if len(norms) else 0.0)
    gain = gains(norms, norm, point)
    return replace(
        known,
        cold=np.concatenate([known.cold, cold[there]]),
        weights=np.concatenate([known.weights, weights[:, there]], axis=1),
        factor=factor,
        gain=np.concatenate([known.gain, gain]),
        norm=norm,
    )


def solved(factor: FloatArray, right: FloatArray) -> FloatArray:
    """(t, c) float32 K^-1 right, from the lower factor (t, t) of K in C order."""
    upper = factor.T  # LAPACK reads by column: of the lower one it would first make a copy
    return np.asarray(cho_solve((upper, False), right, check_finite=False), np.float32)


def gains(norms: FloatArray, norm: float, point: Point) -> FloatArray:
    """(c,) float32, what cold columns of length `norms` are multiplied by; `norm` is the usual length."""
    relative = np.maximum(norms / (norm or 1.0), 0.3)  # faint twins are not blown up
    return np.asarray(point.cold_scale * relative**-point.twin_norm, np.float32)


def rescaled(twins: Twins, point: Point, own: float) -> Twins:
    """The same twins under settings that differ in scales only: kappa, the norm's exponent and s."""
    norms = np.linalg.norm(twins.weights, axis=0)
    return replace(twins, own=own, gain=gains(norms, twins.norm, point))


def _factor(media: Media, point: Point, warm: IntArray) -> FloatArray:
    """(t, t) float32, the lower Cholesky factor of K_TT + rho I."""
    among = kernel(media, point, warm)
    among[np.diag_indices_from(among)] += np.float32(point.twin_ridge * max(float(among.diagonal().mean()), 1e-6))
    factor, _ = cho_factor(among, lower=True, overwrite_a=True, check_finite=False)
    return np.tril(factor)


def no_twins(warm: IntArray, own: float = 0.0) -> Twins:
    """Twins of a catalogue without cold items."""
    nothing = np.zeros((len(warm), 0), np.float32)
    return Twins(warm, np.zeros(0, np.int64), nothing, nothing[:0], np.zeros(0, np.float32), own)


def twin_state(twins: Twins) -> dict[str, Any]:
    """The twins by attribute name."""
    return {
        "cold_": twins.cold,
        "twins_": twins.weights,
        "twin_factor_": twins.factor,
        "gain_": twins.gain,
        "twin_units_": [twins.own, twins.norm],
    }
