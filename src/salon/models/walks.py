"""Random walks and filters on the graph of people, items and content: nothing is trained, everything is counted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from pydantic import Field
from scipy import sparse
from scipy.sparse.linalg import LinearOperator, eigsh

from salon.arrays import (
    block_size,
    blocks,
    keep_top_per_row,
    power_or_zero,
    scale_columns,
    scale_rows,
)
from salon.config import Settings
from salon.data import Dataset, Holdout, Queries
from salon.encode.base import Features, FeatureSet
from salon.errors import SettingError, did_you_mean
from salon.index.graph import knn_graph, symmetric_normalised, symmetrised
from salon.models.additive import split_by_clicks
from salon.models.base import Contributions, Recommender
from salon.models.rows import answerable, query_rows, stored_scores, training_rows
from salon.types import BoolArray, FloatArray, IntArray

ENTRY_BYTES = 32
"""Memory of one stored pair while its block is worked on."""


def gram(left: sparse.csr_array, right: sparse.csr_array, k: int, *, skip_self: bool = False) -> sparse.csr_array:
    """left.T @ right, (items, items) sparse float32, with the k largest entries of every row, in bounded memory."""
    rows_of_left = sparse.csr_array(left.T)
    parts = []
    for rows in blocks(rows_of_left.shape[0], block_size(right.shape[1], itemsize=ENTRY_BYTES)):
        block = sparse.coo_array(rows_of_left[rows] @ right)
        kept = (block.row + rows.start != block.col) | (not skip_self)
        data = (block.data[kept].astype(np.float32), (block.row[kept], block.col[kept]))
        parts.append(keep_top_per_row(sparse.csr_array(data, shape=block.shape), k))
    return sparse.csr_array(sparse.vstack(parts))


class RP3BetaSettings(Settings):
    """Settings of `RP3Beta`."""

    alpha: float = Field(default=0.6, gt=0)
    """Exponent of the transition probabilities; below 1 it evens them out."""
    beta: float = Field(default=0.3, ge=0)
    """Exponent of the popularity that the target is divided by; 0 favours what everybody likes."""
    k: int = Field(default=200, ge=1)
    """Sources kept per target item."""
    weighted: bool = False
    """Let the weights of the actions weigh the steps."""


class RP3Beta(Recommender):
    """A walk of three steps, user to item to user to item, with popular targets toned down (Paudel et al. 2017).

    With P_ui = x_ui / sum_j x_uj and P_iu = x_ui / sum_v x_vi, each to the power alpha entry by entry,

        W_ij = sum_u P_iu P_uj / popularity_j^beta,   diag(W) = 0,   score(u, j) = sum_i x_ui W_ij.

    Each column of W keeps its k largest entries. An item that the walk cannot reach gets -inf.
    """

    handles_cold_users = True
    settings: RP3BetaSettings

    def _fit(
        self, data: Dataset, items: FeatureSet, rng: np.random.Generator, validation: Holdout | None
    ) -> dict[str, Any]:
        rows = sparse.csr_array(training_rows(data, weighted=self.settings.weighted), dtype=np.float64)
        popularity = np.bincount(rows.indices, minlength=data.n_items).astype(np.float64)
        forth = scale_rows(rows, power_or_zero(np.asarray(rows.sum(axis=1)), -1)).power(self.settings.alpha)
        back = scale_columns(rows, power_or_zero(np.asarray(rows.sum(axis=0)), -1)).power(self.settings.alpha)
        forth = scale_columns(sparse.csr_array(forth), power_or_zero(popularity, -self.settings.beta))
        by_target = gram(forth, sparse.csr_array(back), self.settings.k, skip_self=True)
        return {"walk_": sparse.csr_array(by_target.T)}

    def _score(self, queries: Queries) -> FloatArray:
        history = query_rows(queries, self.n_items_, weighted=self.settings.weighted)
        return stored_scores(sparse.csr_array(history @ self.walk_))

    def contributions(self, queries: Queries, targets: IntArray) -> Contributions:
        """The walks from each item of the history to its target; see `Explainable`."""
        self.check_fitted()
        strengths = self.walk_[queries.items, targets[queries.row_of()]]
        return split_by_clicks(queries, strengths, weighted=self.settings.weighted)

    walk_: sparse.csr_array


class GraphFilterSettings(Settings):
    """Settings of `GraphFilter`."""

    coefficients: tuple[float, ...] = (1.0,)
    """Of P, P^2, P^3 ...: how far a preference travels along what people liked together."""
    low_pass: float = Field(default=0.5, ge=0)
    """Weight of the ideal low-pass part, the projection on the smoothest `rank` eigenvectors."""
    rank: int = Field(default=64, ge=1)
    """Eigenvectors of the ideal low-pass part."""
    media: dict[str, float] = Field(default_factory=dict)
    """Weight of the content graph of each modality by name; those not named weigh `media_weight`."""
    media_weight: float = Field(default=0.2, ge=0)
    """Weight of the content graph of a modality that `media` does not name."""
    media_coefficients: tuple[float, ...] = (1.0,)
    """Of S, S^2, S^3 ... of every content graph."""
    neighbours: int = Field(default=10, ge=1)
    """Neighbours per item in a content graph."""
    k: int = Field(default=500, ge=1)
    """Entries of P kept per item, which bounds memory."""
    weighted: bool = False
    """Let the weights of the actions weigh the edges."""


class GraphFilter(Recommender):
    """Smooths a history over the item graph (GF-CF, Shen et al. 2021) and content graphs (MM-GF, Park et al. 2025).

    With R~ = D_u^(-1/2) R D_i^(-1/2), P = R~^T R~, U the `rank` leading eigenvectors of P, and S_m the symmetrically
    normalised graph of the cosine neighbours in modality m,

        score(x) = x (sum_p a_p P^p + g D_i^(-1/2) U U^T D_i^(1/2) + sum_m w_m sum_p b_p S_m^p)

    with a = `coefficients`, g = `low_pass`, b = `media_coefficients`. All graphs have a largest eigenvalue of 1, so
    their weights compare. An item in no graph gets -inf, and so does everything for a history of such items alone.
    """

    handles_cold_items = True
    handles_cold_users = True
    settings: GraphFilterSettings

    def _fit(
        self, data: Dataset, items: FeatureSet, rng: np.random.Generator, validation: Holdout | None
    ) -> dict[str, Any]:
        rows = sparse.csr_array(training_rows(data, weighted=self.settings.weighted), dtype=np.float64)
        degree = np.asarray(rows.sum(axis=0))
        smooth = scale_rows(rows, power_or_zero(np.asarray(rows.sum(axis=1)), -0.5))
        smooth = scale_columns(smooth, power_or_zero(degree, -0.5))
        content = self._content(items)
        graph = gram(smooth, smooth, self.settings.k)
        edges = np.diff(graph.indptr) + np.diff(content.indptr)
        return {
            "graph_": graph,
            "content_": content,
            "basis_": leading(smooth, self.settings.rank, rng) if self.settings.low_pass else np.zeros((0, 0)),
            "root_degree_": np.sqrt(degree).astype(np.float32),
            "reachable_": np.asarray(edges > 0),
        }

    def _content(self, items: FeatureSet) -> sparse.csr_array:
        """(items, items) sparse: the filters of all content graphs, weighted and added up."""
        for name in self.settings.media:
            if name not in list(items) and len(items):
                raise SettingError(f"There is no modality {name!r} to weigh.", hint=did_you_mean(name, list(items)))
        total = sparse.csr_array((items.n_items, items.n_items), dtype=np.float32)
        for name, features in items.items():
            weight = self.settings.media.get(name, self.settings.media_weight)
            if weight:
                graph = content_graph(features, self.settings.neighbours)
                total = sparse.csr_array(
                    total + np.float32(weight) * _polynomial(graph, self.settings.media_coefficients)
                )
        return total

    def _score(self, queries: Queries) -> FloatArray:
        history = query_rows(queries, self.n_items_, weighted=self.settings.weighted)
        scores = (history @ self.content_).toarray().astype(np.float32)
        walked: Any = history
        for coefficient in self.settings.coefficients:
            walked = walked @ self.graph_
            walked = walked.toarray() if sparse.issparse(walked) else walked  # dense from the first step on
            scores += np.float32(coefficient) * walked
        if self.settings.low_pass:
            down = power_or_zero(self.root_degree_, -1).astype(np.float32)
            coordinates = scale_columns(history, down) @ self.basis_  # (n, rank)
            scores += np.float32(self.settings.low_pass) * (coordinates @ self.basis_.T) * self.root_degree_
        return answerable(scores, history, self.reachable_)

    graph_: sparse.csr_array
    content_: sparse.csr_array
    basis_: FloatArray
    root_degree_: FloatArray
    reachable_: BoolArray


def content_graph(features: Features, k: int) -> sparse.csr_array:
    """(items, items) sparse float32 D^(-1/2) A D^(-1/2) of the cosines A of the k nearest neighbours, either way."""
    return symmetric_normalised(symmetrised(knn_graph(features.vectors, features.present, k, metric="centred")))


def _polynomial(graph: sparse.csr_array, coefficients: Sequence[float]) -> sparse.csr_array:
    """sum_p c_p graph^p, p = 1, 2, ..., sparse."""
    power = graph
    total = np.float32(coefficients[0]) * graph if coefficients else graph * np.float32(0)
    for coefficient in coefficients[1:]:
        power = power @ graph
        total = total + np.float32(coefficient) * power
    return sparse.csr_array(total)


def leading(smooth: sparse.csr_array, rank: int, rng: np.random.Generator) -> FloatArray:
    """(items, rank) float32 leading eigenvectors of smooth.T @ smooth, whose signs do not matter."""
    n = smooth.shape[1]
    if rank >= n - 1:
        return np.linalg.eigh((smooth.T @ smooth).toarray())[1][:, ::-1][:, :rank].astype(np.float32)
    product = LinearOperator((n, n), matvec=lambda x: smooth.T @ (smooth @ x), dtype=np.float64)  # P is never formed
    _, vectors = eigsh(product, k=rank, v0=rng.standard_normal(n))
    return np.asarray(vectors[:, ::-1], np.float32)
