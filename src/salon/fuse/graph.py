"""Joining at the level of graphs: who resembles whom in each modality, put together, and vectors made of that.

Each modality gives a graph of k nearest neighbours, and every item is its own neighbour. The graphs are joined by a
weighted mean or by the larger edge, A, and the leading eigenvectors E of D^(-1/2) A D^(-1/2) place the items so that
neighbours in any modality are close (spectral embedding; Belkin and Niyogi, "Laplacian Eigenmaps", Neural Computation
2003). An item, new or not, is placed by its neighbours among the items seen at fit (Nystroem's extension):

    z_i = unit( sum_j a_ij d_j^(-1/2) E_j )
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field
from scipy import sparse
from scipy.sparse.linalg import eigsh

from salon.arrays import nearest_rows, power_or_zero, unit_rows
from salon.data import Events
from salon.encode.base import FeatureSet
from salon.errors import DataError, SettingError, did_you_mean
from salon.fuse.layout import CentreSettings, Layout
from salon.index.graph import knn_graph, symmetric_normalised, symmetrised
from salon.types import BoolArray, FloatArray

Weight = Annotated[float, Field(ge=0)]


class GraphSettings(CentreSettings):
    """Settings of `Graph`."""

    dim: int = Field(128, ge=1)
    """Most numbers per fused vector; fewer when the catalogue has fewer items."""
    k: int = Field(20, ge=1)
    """Neighbours per item and modality."""
    join: Literal["mean", "max"] = "mean"
    """Whether an edge has the weighted mean of its weights in all modalities that its item has, or the largest one."""
    weights: dict[str, Weight] = {}  # noqa: RUF012  pydantic copies it
    """Weight of each modality by name; those not named have 1."""


class Graph(Layout):
    """Graphs of nearest neighbours per modality, joined; vectors are the spectral embedding of the joined graph.

    Keeps the vectors of all items seen at fit, among which neighbours are looked up. An item that resembles none of
    them gets a vector of zeros.
    """

    settings: GraphSettings
    items_: FloatArray
    present_: BoolArray
    places_: FloatArray

    def fit(
        self, features: FeatureSet, events: Events | None = None, *, rng: np.random.Generator | None = None
    ) -> Self:
        """Learns the layout, the joined graph and its eigenvectors; actions are not read.

        Raises:
            DataError: There are no features, or no item has any.
            SettingError: A weight names no modality.
        """
        for name in self.settings.weights:
            if name not in features:
                hint = did_you_mean(name, features)
                raise SettingError(f"There is a weight for {name!r}, but no such features.", hint=hint)
        if not features.having_any().any():
            raise DataError("No item has any modality.", hint="Encode something before joining it.")
        self._layout(features)
        rows, present = self._rows(features)
        graphs = [
            symmetrised(knn_graph(part, present[:, place], self.settings.k))
            + sparse.diags_array(present[:, place].astype(np.float32))
            for place, part in enumerate(rows)
        ]
        joined = sparse.csr_array(self._joined([sparse.csr_array(g, dtype=np.float32) for g in graphs], present))
        joined = symmetrised(joined)
        vectors = _leading(symmetric_normalised(joined), self.settings.dim, rng or np.random.default_rng(0))
        scale = power_or_zero(np.asarray(joined.sum(axis=1)), -0.5)
        self.places_ = (vectors * scale[:, None]).astype(np.float32)
        self.items_, self.present_ = np.concatenate(rows, axis=1), present
        return self

    def transform(self, features: FeatureSet) -> FeatureSet:
        """(n, dim) of unit length under the name "fused"."""
        graphs, present = self._neighbours(features)
        return self._fused(unit_rows(self._joined(graphs, present) @ self.places_), present)

    def item_weights(self, features: FeatureSet) -> FloatArray:
        """(n, modalities) float32, the share of each modality in the edges of an item; rows sum to 1 or 0."""
        graphs, present = self._neighbours(features)
        weights = self._weights()
        mass = np.stack([weights[place] * graph.sum(axis=1) for place, graph in enumerate(graphs)], axis=1) * present
        total = mass.sum(axis=1, keepdims=True)
        return np.divide(mass, total, out=np.zeros_like(mass), where=total > 0).astype(np.float32)

    def _weights(self) -> FloatArray:
        return np.array([self.settings.weights.get(name, 1.0) for name in self.names_], np.float32)

    def _neighbours(self, features: FeatureSet) -> tuple[list[sparse.csr_array], BoolArray]:
        """One graph (n, items at fit) per modality, and which modalities are there, (n, modalities) bool."""
        rows, present = self._rows(features)
        blocks = self._blocks()
        return [
            _edges(part, present[:, place], self.items_[:, blocks[place]], self.present_[:, place], self.settings.k)
            for place, part in enumerate(rows)
        ], present

    def _joined(self, graphs: list[sparse.csr_array], present: BoolArray) -> sparse.csr_array:
        """(n, items) edges of all modalities: their weighted mean over those that the item of the row has, or max."""
        weights = self._weights()
        if self.settings.join == "max":
            joined = sparse.csr_array(graphs[0] * weights[0])
            for weight, graph in zip(weights[1:], graphs[1:], strict=True):
                joined = sparse.csr_array(joined.maximum(graph * weight))
            return joined
        shares = present * weights
        total = shares.sum(axis=1, keepdims=True)
        shares = np.divide(shares, total, out=np.zeros_like(shares), where=total > 0)
        joined = sparse.diags_array(shares[:, 0]) @ graphs[0]
        for place, graph in enumerate(graphs[1:], start=1):
            joined = joined + sparse.diags_array(shares[:, place]) @ graph
        return sparse.csr_array(joined)


def _edges(rows: FloatArray, present: BoolArray, items: FloatArray, known: BoolArray, k: int) -> sparse.csr_array:
    """(n, items) cosines with the k + 1 nearest known items, an item itself being one of them if it is known."""
    here, there = np.flatnonzero(present), np.flatnonzero(known)
    found = nearest_rows(rows[here], items[there], k + 1)
    kept = (found.ids >= 0) & (found.scores > 0)
    owner = np.broadcast_to(here[:, None], found.ids.shape)[kept]
    return sparse.csr_array((found.scores[kept], (owner, there[found.ids[kept]])), shape=(len(rows), len(items)))


def _leading(graph: sparse.csr_array, dim: int, rng: np.random.Generator) -> FloatArray:
    """(n, k) eigenvectors of the largest eigenvalues of a symmetric matrix, largest first."""
    n = graph.shape[0]
    if dim >= n - 1:
        return np.asarray(np.linalg.eigh(graph.toarray())[1][:, ::-1][:, :dim])
    return np.asarray(eigsh(graph, k=dim, which="LA", v0=rng.standard_normal(n))[1][:, ::-1])
