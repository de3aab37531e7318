"""Content twins in the local form: each cold item is regressed on the touched items that are most like it.

With T(j) the nearest touched items of the cold item j by modality, W_Tj = (K_TT + rho I)^-1 K_Tj and 0 elsewhere; with
all touched items it is the kernel ridge regression of `linear_twins`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse
from scipy.linalg import cho_factor, cho_solve

from salon.arrays import nearest_rows
from salon.index.approximate import nearest_by_cells
from salon.models.linear_media import Media
from salon.models.linear_point import Point
from salon.models.linear_twins import Twins, gains, kernel, likeness
from salon.types import FloatArray, IntArray

EXACT = 2e12
"""Multiplications up to which all pairs of cold and touched items are compared."""


@dataclass(frozen=True)
class LocalTwins(Twins):
    """`Twins` with sparse `weights` (t, c) and an empty `factor`.

    Attributes:
        near: How many twins an item has per modality.
        rho: What is added to the diagonal of K_TT; 0 before there was a cold item.
    """

    weights: sparse.csr_array
    near: int = 0
    rho: float = 0.0

    def columns(self, places: IntArray) -> FloatArray:
        """(t, len(places)) float32, columns of W."""
        return np.asarray(self.weights[:, places].toarray())

    def part(self, media: Media, point: Point, name: str, cold: IntArray) -> FloatArray:
        """(t, len(cold)) float32, the part of one modality in the columns of W for the items `cold`."""
        found = np.zeros((len(self.warm), len(cold)), np.float32)
        places = np.searchsorted(self.cold, cold)
        columns = sparse.csc_array(self.weights[:, places])
        for k, item in enumerate(cold):
            there = columns.indices[columns.indptr[k] : columns.indptr[k + 1]]
            share = point.twins[name] * likeness(media, point, name, self.warm[there], np.array([item]))
            found[there, k] = cho_solve((_factor(media, point, self.warm[there], self.rho), True), share)[:, 0]
        return found


def no_local_twins(warm: IntArray, own: float, near: int) -> LocalTwins:
    """Twins of a catalogue without cold items."""
    nothing = sparse.csr_array((len(warm), 0), dtype=np.float32)
    empty = np.zeros((0, 0), np.float32)
    return LocalTwins(warm, np.zeros(0, np.int64), nothing, empty, np.zeros(0, np.float32), own, near=near)


def find_local_twins(media: Media, point: Point, cold: IntArray, known: LocalTwins) -> LocalTwins:
    """The twins of the items `cold` behind those that are `known`; see `linear_twins.find_twins`."""
    if not len(cold) or not any(point.twins.values()):
        return known
    rho = known.rho or _rho(media, point, known.warm)
    indices, data, counts = [], [], []
    for item, there in zip(cold, _twin_lists(media, point, cold, known), strict=True):
        near = known.warm[there]
        column = kernel(media, point, near, np.array([item]))[:, 0]
        found = cho_solve((_factor(media, point, near, rho), True), column) if len(near) else column
        indices.append(there[found != 0])
        data.append(found[found != 0])
        counts.append(len(data[-1]))
    indptr = np.concatenate([[0], np.cumsum(counts)])
    shape = (len(known.warm), len(cold))
    columns = sparse.csc_array((np.concatenate(data), np.concatenate(indices), indptr), shape=shape, dtype=np.float32)
    has = np.flatnonzero(np.asarray(counts) > 0)
    columns = columns[:, has]
    norms = np.sqrt(np.asarray(columns.multiply(columns).sum(axis=0)))
    norm = known.norm or (float(np.median(norms)) if len(norms) else 0.0)
    return replace(
        known,
        cold=np.concatenate([known.cold, cold[has]]),
        weights=sparse.csr_array(sparse.hstack([known.weights, columns], format="csr", dtype=np.float32)),
        gain=np.concatenate([known.gain, gains(norms, norm, point)]),
        norm=norm,
        rho=rho,
    )


def _twin_lists(media: Media, point: Point, cold: IntArray, known: LocalTwins) -> list[IntArray]:
    """For each cold item the ascending places of its nearest touched items, by any modality that has a share."""
    lists: list[list[IntArray]] = [[] for _ in cold]
    for name, share in point.twins.items():
        vectors = media.rows[name]
        able = np.flatnonzero(vectors[known.warm].any(axis=1))
        asked = np.flatnonzero(vectors[cold].any(axis=1))
        if not share or not len(able) or not len(asked):
            continue
        among, queries = vectors[known.warm[able]], vectors[cold[asked]]
        exact = float(len(able)) * len(asked) * vectors.shape[1] <= EXACT
        look = (
            nearest_rows(queries, among, known.near) if exact else nearest_by_cells(among, known.near, queries=queries)
        )
        for row, ids in zip(asked, look.ids, strict=True):
            lists[row].append(able[ids[ids >= 0]])
    return [np.unique(np.concatenate(found)) if found else np.zeros(0, np.int64) for found in lists]


def _rho(media: Media, point: Point, warm: IntArray) -> float:
    """rho in units of the mean diagonal of K_TT, which is the sum of the shares of the modalities that are there."""
    diagonal = sum(beta * float(media.rows[name][warm].any(axis=1).mean()) for name, beta in point.twins.items())
    return point.twin_ridge * max(diagonal, 1e-6)


def _factor(media: Media, point: Point, near: IntArray, rho: float) -> FloatArray:
    """Lower Cholesky factor of K + rho I among some items."""
    among = kernel(media, point, near)
    among[np.diag_indices_from(among)] += np.float32(rho)
    factor, _ = cho_factor(among, lower=True, overwrite_a=True, check_finite=False)
    return np.tril(factor)
