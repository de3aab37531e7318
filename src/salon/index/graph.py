"""Graphs of nearest neighbours: who resembles whom, as sparse matrices over the items."""

from __future__ import annotations

from typing import Literal

import numpy as np
from scipy import sparse

from salon.arrays import centred_unit_rows, nearest_rows, power_or_zero, scale_columns, scale_rows, unit_rows
from salon.errors import DataError, SettingError
from salon.index.approximate import nearest_by_cells
from salon.types import BoolArray, FloatArray

Metric = Literal["cosine", "centred"]
EXACT = 30_000
"""Up to so many present items all pairs are compared."""


def knn_graph(
    vectors: FloatArray, present: BoolArray, k: int, *, metric: Metric = "cosine", exact_up_to: int = EXACT
) -> sparse.csr_array:
    """The k nearest neighbours of every item, as a weighted graph.

    Args:
        vectors: (items, d) float; rows of absent items are not read.
        present: (items,) bool, which items have a vector; the others get no edge.
        k: Neighbours per item, at least 1.
        metric: "cosine", or "centred": the cosine after the mean of the present vectors is taken off.
        exact_up_to: With more present items than this the neighbours are approximate; see `recall`.

    Returns:
        (items, items) sparse float32: row i holds the k largest cosines of i with other present items, equal ones by
        the smaller column, without self edges. Cosines of 0 or less are no edges, so a row may run short.

    Raises:
        DataError: Shapes do not fit, or a present vector is not finite.
        SettingError: k is below 1.
    """
    vectors, present = np.asarray(vectors, np.float32), np.asarray(present, bool)
    if vectors.ndim != 2 or present.shape != vectors.shape[:1]:
        raise DataError(f"Vectors {vectors.shape} and present {present.shape} do not fit.", hint="One row per item.")
    if k < 1:
        raise SettingError(f"k is {k}.", hint="Ask for at least one neighbour.")
    here = np.flatnonzero(present)
    if not np.isfinite(vectors[here]).all():
        raise DataError("A present vector is not finite.", hint="Mark broken vectors as absent.")
    units = centred_unit_rows(vectors, present)[here] if metric == "centred" else unit_rows(vectors[here])
    exact = len(here) <= exact_up_to
    found = nearest_rows(units, units, k, skip_self=True) if exact else nearest_by_cells(units, k)
    kept = (found.ids >= 0) & (found.scores > 0)
    rows = np.broadcast_to(here[:, None], found.ids.shape)[kept]
    graph = sparse.csr_array((found.scores[kept], (rows, here[found.ids[kept]])), shape=(len(vectors), len(vectors)))
    graph.sort_indices()
    return graph


def recall(graph: sparse.csr_array, vectors: FloatArray, present: BoolArray, k: int, *, sample: int = 200) -> float:
    """The share of the true k nearest neighbours (by cosine) that a graph holds, over an even sample of the items.

    Neighbours at the same distance as the k-th count as true; NaN when no item has a neighbour.
    """
    here = np.flatnonzero(present)
    chosen = np.unique(np.linspace(0, max(len(here) - 1, 0), min(sample, len(here)), dtype=np.int64))
    units = unit_rows(np.asarray(vectors, np.float32)[here])
    scores = units[chosen] @ units.T
    scores[np.arange(len(chosen)), chosen] = -np.inf
    wanted = found = 0
    for row, item in enumerate(here[chosen]):
        true = min(k, int((scores[row] > 0).sum()))
        if true:
            edge = np.partition(scores[row], len(here) - true)[len(here) - true]
            held = graph.data[graph.indptr[item] : graph.indptr[item + 1]]
            wanted, found = wanted + true, found + min(true, int((held >= edge - 1e-6).sum()))
    return found / wanted if wanted else float("nan")


def symmetrised(graph: sparse.csr_array) -> sparse.csr_array:
    """max(A, A^T): an edge where either end names the other."""
    return sparse.csr_array(graph.maximum(graph.T))


def symmetric_normalised(graph: sparse.csr_array) -> sparse.csr_array:
    """D^(-1/2) A D^(-1/2) with D the row sums of A >= 0, sparse float32; rows without an edge stay empty.

    The eigenvalues lie in [-1, 1] when A is symmetric; see `symmetrised`.
    """
    factors = power_or_zero(np.asarray(graph.sum(axis=1)), -0.5).astype(np.float32)
    return sparse.csr_array(scale_columns(scale_rows(graph, factors), factors), dtype=np.float32)
