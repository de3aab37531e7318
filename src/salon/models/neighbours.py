"""Neighbourhood models: people who liked this liked that, by items or by people.

Rows are compared over their whole length, missing entries being 0, and only where they share an entry (c > 0):

    cosine     a.b / |a||b|          pearson   (a.b / n - mean(a) mean(b)) / (std(a) std(b))
    euclidean  1 / (1 + |a - b|)     all times  c / (c + shrink)

The last factor trusts similarities that rest on few common entries less (Bell, Koren 2007). Similarities that are not
positive are dropped. Work goes block by block, so memory is bounded by one block and the k neighbours kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field
from scipy import sparse

from salon.arrays import block_size, blocks, keep_top_per_row
from salon.config import Settings
from salon.data import Dataset, Holdout, Queries
from salon.encode.base import FeatureSet
from salon.models.additive import split_by_clicks
from salon.models.base import Contributions, Grid, Recommender
from salon.models.rows import ones_like, query_rows, stored_scores, training_rows
from salon.types import FloatArray, IntArray

Metric = Literal["cosine", "euclidean", "pearson"]
ENTRY_BYTES = 48
"""Memory of one stored pair while its block is worked on: values, counts, indices and their sorting."""


class NeighbourSettings(Settings):
    """Settings of `ItemKNN` and `UserKNN`."""

    k: int = Field(default=100, ge=1)
    """Neighbours kept."""
    metric: Metric = "cosine"
    """How two rows are compared."""
    shrink: float = Field(default=2.0, ge=0)
    """How many common entries make a similarity count half."""
    weighted: bool = False
    """Compare and add up the weights of the actions instead of ones."""


@dataclass(frozen=True)
class Side:
    """Rows made ready to be compared with many others.

    Attributes:
        columns: (d, m) sparse, the m rows of length d turned over.
        moments: (2, m) float64, mean and mean square of each row.
    """

    columns: sparse.csr_array
    moments: FloatArray

    @classmethod
    def of(cls, rows: sparse.csr_array) -> Side:
        """From (m, d) sparse positive values."""
        return cls(sparse.csr_array(rows.T), _moments(rows))


def similarities(left: sparse.csr_array, right: Side, metric: Metric, shrink: float) -> sparse.csr_array:
    """(n, m) sparse float32 positive similarities of (n, d) rows of positive values and m others."""
    dots = sparse.csr_array(left @ right.columns)
    common = dots
    if (left.data != 1).any() or (right.columns.data != 1).any():
        dots.sort_indices()
        common = sparse.csr_array(ones_like(left) @ ones_like(right.columns))
        common.sort_indices()  # the same pattern, as no value is negative
    rows, columns = np.repeat(np.arange(dots.shape[0]), np.diff(dots.indptr)), dots.indices
    values = _compared(dots.data, _moments(left)[:, rows], right.moments[:, columns], left.shape[1], metric)
    values *= common.data / (common.data + shrink)
    kept = values > 0
    return sparse.csr_array((values[kept].astype(np.float32), (rows[kept], columns[kept])), shape=dots.shape)


def _moments(matrix: sparse.csr_array) -> FloatArray:
    """(2, n) float64 mean and mean square of the rows of an (n, d) matrix."""
    values = sparse.csr_array(matrix, dtype=np.float64)
    sums = np.stack([np.asarray(values.sum(axis=1)), np.asarray((values * values).sum(axis=1))])
    return np.asarray(sums / matrix.shape[1])


def _compared(dots: FloatArray, left: FloatArray, right: FloatArray, n: int, metric: Metric) -> FloatArray:
    """(pairs,) similarities from dot products and the (2, pairs) moments of both sides; rows have length n."""
    (mean_a, square_a), (mean_b, square_b) = left, right
    if metric == "euclidean":
        return np.asarray(1 / (1 + np.sqrt(np.maximum(n * (square_a + square_b) - 2 * dots, 0))))
    top, below = dots / n, square_a * square_b
    if metric == "pearson":
        top = top - mean_a * mean_b
        below = (square_a - mean_a**2) * (square_b - mean_b**2)
    return np.divide(top, np.sqrt(np.maximum(below, 0)), out=np.zeros_like(square_a), where=below > 1e-15)


def nearest(
    left: sparse.csr_array, right: Side, settings: NeighbourSettings, *, skip_self: bool = False
) -> Iterator[tuple[slice, sparse.csr_array]]:
    """The k most similar of m others per row of `left`, as (rows, (block, m) sparse), block by block."""
    for rows in blocks(left.shape[0], block_size(right.columns.shape[1], itemsize=ENTRY_BYTES)):
        found = similarities(sparse.csr_array(left[rows]), right, settings.metric, settings.shrink)
        if skip_self:
            found = _without_diagonal(found, rows.start)
        yield rows, keep_top_per_row(found, settings.k)


def _without_diagonal(block: sparse.csr_array, start: int) -> sparse.csr_array:
    rows = np.repeat(np.arange(block.shape[0]), np.diff(block.indptr))
    kept = block.indices != rows + start
    return sparse.csr_array((block.data[kept], (rows[kept], block.indices[kept])), shape=block.shape)


class ItemKNN(Recommender):
    """Items like those of the history (Sarwar et al. 2001; Deshpande, Karypis 2004).

    score(u, j) = sum of x_ui s(i, j) over the items i of the history in N_k(j), the k items most similar to j.
    An item with no neighbour in the history gets -inf, and so does everything for an empty history.
    """

    handles_cold_users = True
    settings: NeighbourSettings
    grid: ClassVar[Grid] = {"k": (20, 50, 100, 200), "shrink": (0.0, 5.0, 50.0), "metric": ("cosine", "pearson")}

    def _fit(
        self, data: Dataset, items: FeatureSet, rng: np.random.Generator, validation: Holdout | None
    ) -> dict[str, Any]:
        columns = sparse.csr_array(training_rows(data, weighted=self.settings.weighted).T)
        graph = sparse.vstack([part for _, part in nearest(columns, Side.of(columns), self.settings, skip_self=True)])
        return {"similarity_": sparse.csr_array(graph.T)}

    def _score(self, queries: Queries) -> FloatArray:
        history = query_rows(queries, self.n_items_, weighted=self.settings.weighted)
        return stored_scores(sparse.csr_array(history @ self.similarity_))

    def contributions(self, queries: Queries, targets: IntArray) -> Contributions:
        """The neighbours of each target in the history, by their similarity; see `Explainable`."""
        self.check_fitted()
        strengths = self.similarity_[queries.items, targets[queries.row_of()]]
        return split_by_clicks(queries, strengths, weighted=self.settings.weighted)

    similarity_: sparse.csr_array


class UserKNN(Recommender):
    """What people with a similar history liked (Resnick et al. 1994; Herlocker et al. 1999).

    score(u, j) = sum over v in N_k(u) of s(u, v) x_vj. The history of the query is compared with the stored training
    rows, so anybody with a history is answered. The rows themselves are part of the saved model: forgetting a person
    takes a new fit, and the file is as private as the log. Items that no neighbour liked get -inf.
    """

    handles_cold_users = True
    settings: NeighbourSettings
    grid: ClassVar[Grid] = {"k": (50, 100, 200, 400), "shrink": (0.0, 5.0, 50.0), "metric": ("cosine", "pearson")}

    def _fit(
        self, data: Dataset, items: FeatureSet, rng: np.random.Generator, validation: Holdout | None
    ) -> dict[str, Any]:
        rows = training_rows(data, weighted=self.settings.weighted)
        rows = sparse.csr_array(rows[np.diff(rows.indptr) > 0])
        side = Side.of(rows)
        return {"rows_": rows, "columns_": side.columns, "moments_": side.moments}

    def _score(self, queries: Queries) -> FloatArray:
        history = query_rows(queries, self.n_items_, weighted=self.settings.weighted)
        scores = np.full(history.shape, -np.inf, np.float32)
        for rows, similar in nearest(history, Side(self.columns_, self.moments_), self.settings):
            scores[rows] = stored_scores(sparse.csr_array(similar @ self.rows_))
        return scores

    rows_: sparse.csr_array
    columns_: sparse.csr_array
    moments_: FloatArray
