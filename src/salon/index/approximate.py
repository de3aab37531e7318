"""Approximate nearest neighbours of many vectors among themselves, by cells: only what lies near is compared.

k-means (Lloyd) puts the vectors into cells of about `CELL` members; every vector is compared with the members of the
`probes` cells whose centres are most like its own cell's (an inverted file, Sivic and Zisserman, ICCV 2003). All
members of a cell share their candidates, so the work is a few large matrix products.
"""

from __future__ import annotations

import numpy as np

from salon.arrays import blocks, unit_rows
from salon.types import MISSING_ID, FloatArray, IntArray, TopK

CELL = 256
"""Members of a cell, on average."""
PROBES = 16
"""Cells that are looked into."""
SAMPLE, ROUNDS = 32, 6
"""Vectors per cell that k-means learns from, and how often it moves the centres."""
ROWS = 8192


def nearest_by_cells(
    units: FloatArray, k: int, *, queries: FloatArray | None = None, probes: int = PROBES, seed: int = 0
) -> TopK:
    """About the k rows with the largest dot product for every query, or for every row, itself left out.

    Args:
        units: (n, d) float32 rows of unit length.
        k: Neighbours per query; rows run short where the cells hold fewer.
        queries: (q, d) float32 of unit length, or None to compare the rows among themselves.
        probes: Cells that are looked into; more find more of the true neighbours, and take longer.
        seed: Chooses what k-means learns from.

    Returns:
        ids (q, k) and dot products (q, k).
    """
    centres = _centres(units, max(1, len(units) // CELL), np.random.default_rng(seed))
    members = _members(units, centres)
    asking = members if queries is None else _members(queries, centres)
    asked = units if queries is None else queries
    ids = np.full((len(asked), k), MISSING_ID)
    best = np.full((len(asked), k), -np.inf, np.float32)
    for rows in blocks(len(centres), ROWS):
        near = np.argsort(-(centres[rows] @ centres.T), axis=1, kind="stable")[:, :probes]
        for own, cells in zip(asking[rows], near, strict=True):
            if len(own):
                others = np.sort(np.concatenate([members[c] for c in cells]))
                scores = asked[own] @ units[others].T
                if queries is None:
                    _strike_out(scores, own, others)
                ids[own], best[own] = _best(scores, others, k)
    return TopK(ids, best)


def _members(units: FloatArray, centres: FloatArray) -> list[IntArray]:
    """The ascending rows of every cell."""
    cell = _nearest_centre(units, centres)
    order = np.argsort(cell, kind="stable")
    return np.split(order, np.searchsorted(cell[order], np.arange(1, len(centres))))


def _strike_out(scores: FloatArray, own: IntArray, others: IntArray) -> None:
    """Nobody is their own neighbour."""
    place = np.minimum(np.searchsorted(others, own), len(others) - 1)
    itself = np.flatnonzero(others[place] == own)
    scores[itself, place[itself]] = -np.inf


def _best(scores: FloatArray, others: IntArray, k: int) -> tuple[IntArray, FloatArray]:
    """The k best of `others` by the (n, others) scores; padded."""
    kept = min(k, len(others))
    chosen = np.argpartition(scores, len(others) - kept, axis=1)[:, len(others) - kept :]
    values = np.take_along_axis(scores, chosen, axis=1)
    order = np.argsort(-values, axis=1, kind="stable")
    values, chosen = np.take_along_axis(values, order, axis=1), np.take_along_axis(chosen, order, axis=1)
    ids = np.full((len(scores), k), MISSING_ID)
    best = np.full((len(scores), k), -np.inf, np.float32)
    ids[:, :kept] = np.where(values > -np.inf, others[chosen], MISSING_ID)
    best[:, :kept] = values
    return ids, best


def _centres(units: FloatArray, count: int, rng: np.random.Generator) -> FloatArray:
    """(count, d) float32 of unit length; a centre that nobody is nearest to stays where it was."""
    chosen = rng.choice(len(units), min(len(units), count * SAMPLE), replace=False)
    sample = units[np.sort(chosen)]
    centres = sample[np.sort(rng.choice(len(sample), count, replace=False))]
    for _ in range(ROUNDS):
        cell = _nearest_centre(sample, centres)
        order = np.argsort(cell, kind="stable")
        there, starts = np.unique(cell[order], return_index=True)
        centres[there] = unit_rows(np.add.reduceat(sample[order], starts, axis=0))
    return centres


def _nearest_centre(units: FloatArray, centres: FloatArray) -> IntArray:
    """(n,) the cell of every row."""
    return np.concatenate([(units[rows] @ centres.T).argmax(axis=1) for rows in blocks(len(units), ROWS)])
