"""Who is regressed on whom in the local form of the linear model: items met together, and items alike in content.

From the column G_.j the k items with the largest G_ij^2 / A_ii are taken, which is what regressing on i alone would
gain, and from every modality the nearest neighbours by cosine, exact or by cells (`salon.index.graph`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import reverse_cuthill_mckee

from salon.index.graph import knn_graph, recall
from salon.models.linear_media import Media
from salon.models.linear_solve import Scales, Touched
from salon.types import FloatArray, IntArray


@dataclass(frozen=True)
class Near:
    """The neighbourhoods N(j) of the n touched rows.

    Attributes:
        indptr: (n + 1,) int64.
        indices: int32, the places of N(j) among the touched rows, ascending.
        order: (n,) places, such that those who share neighbours stand together.
    """

    indptr: IntArray
    indices: IntArray
    order: IntArray

    def of(self, place: int) -> IntArray:
        """N(j)."""
        found: IntArray = self.indices[self.indptr[place] : self.indptr[place + 1]]
        return found


def content_graphs(
    media: Media, rows: IntArray, k: int, names: tuple[str, ...]
) -> tuple[dict[str, sparse.csr_array], dict[str, float]]:
    """The k nearest among the items `rows` by modality, (rows, rows) sparse, and the share that is truly nearest."""
    graphs, shares = {}, {}
    for name in names:
        vectors = media.rows[name][rows]
        present = np.asarray(vectors.any(axis=1))
        graphs[name] = knn_graph(vectors, present, k)
        shares[name] = recall(graphs[name], vectors, present, k)
    return graphs, shares


def everybody(n: int) -> Near:
    """All others are neighbours, and the local form is the dense one."""
    indices = np.tile(np.arange(n, dtype=np.int32), n).reshape(n, n)[~np.eye(n, dtype=bool)]
    return Near(np.arange(n + 1) * (n - 1), indices, np.arange(n))


def find_near(
    gram: sparse.csr_array, touched: Touched, scales: Scales, k: int, graphs: Mapping[str, sparse.csr_array]
) -> Near:
    """The neighbourhoods.

    Args:
        gram: (J, J) sparse G0.
        touched: Who takes part, n rows.
        scales: The scaling and the diagonal of L.
        k: Neighbours from G.
        graphs: Neighbours in content by modality, (items, items) over the touched items.
    """
    n = len(touched.rows)
    if k >= n - 1:
        return everybody(n)
    clicks = np.asarray(gram.diagonal()[touched.rows] * scales.into.astype(np.float64) ** 2 + scales.ridge)
    worth = np.asarray(scales.into / np.sqrt(clicks), np.float32)  # G_ij^2 / A_ii up to what all candidates share
    counts, best, parts = np.zeros(n, np.int64), np.arange(n), []
    for j, row in enumerate(touched.rows):
        span = slice(gram.indptr[row], gram.indptr[row + 1])
        places = touched.place[gram.indices[span]]
        gains = np.abs(gram.data[span]) * worth[places]
        gains[places == j] = -1.0
        if len(gains):
            best[j] = places[gains.argmax()]
        kept = places[gains >= 0] if len(gains) <= k else places[_top(gains, k)]
        alike = [g.indices[g.indptr[j] : g.indptr[j + 1]] for g in graphs.values()] if j < touched.items else []
        found = np.unique(np.concatenate([kept, *alike])).astype(np.int32) if alike else np.sort(kept)
        parts.append(found.astype(np.int32, copy=False))
        counts[j] = len(found)
    tree = sparse.csr_array((np.ones(n, np.float32), (np.arange(n), best)), shape=(n, n))
    order = reverse_cuthill_mckee(sparse.csr_array(tree + tree.T), symmetric_mode=True)
    return Near(np.concatenate([[0], np.cumsum(counts)]), np.concatenate(parts), order.astype(np.int64))


def _top(gains: FloatArray, k: int) -> IntArray:
    """Places of the k largest of more than k gains, the entry below 0 never among them."""
    chosen = np.argpartition(gains, len(gains) - k)[len(gains) - k :]
    return chosen[gains[chosen] >= 0]
