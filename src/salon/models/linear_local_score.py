"""From histories to scores in the local form: the products of `linear_score`, over sparse B and sparse twins."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from salon.models.linear_local_twins import LocalTwins
from salon.models.linear_score import Scorer
from salon.types import FloatArray, IntArray


@dataclass(frozen=True)
class LocalScorer(Scorer):
    """A `Scorer` whose `weights`, `handed` and `twins.weights` are sparse; see there."""

    weights: sparse.csr_array
    handed: sparse.csr_array
    twins: LocalTwins

    def folded(self, queries: sparse.csr_array) -> sparse.csr_array:
        """As in `Scorer`; a catalogue without cold items is not copied for every request."""
        if len(self.rows) < queries.shape[1]:
            return super().folded(queries)
        return sparse.csr_array(queries @ sparse.diags_array(self.into), dtype=np.float32)

    def scores(self, queries: sparse.csr_array) -> FloatArray:
        """As in `Scorer`; a touched item that nothing in the history is a neighbour of scores 0."""
        count, folded = self.warm_count, self.folded(queries)
        scores = np.full((queries.shape[0], self.n_items), -np.inf, np.float32)
        scores[:, self.rows[:count]] = 0.0
        warm = sparse.coo_array(folded @ self.weights)
        kept = warm.col < count
        query, place = warm.row[kept], warm.col[kept]
        scores[query, self.rows[place]] = warm.data[kept] * self.out[place]
        if len(self.twins.cold):
            scores[:, self.twins.cold] = self._cold(queries, folded)
        scores[np.diff(folded.indptr) == 0] = -np.inf
        return scores

    def _cold(self, queries: sparse.csr_array, folded: sparse.csr_array) -> FloatArray:
        twins = self.twins
        found: FloatArray = (self._passed(folded) @ twins.weights).toarray()
        history = sparse.coo_array(queries[:, twins.cold])
        if history.nnz:  # an item is not its own twin
            found[history.row, history.col] -= history.data * self.own_scores(history.col)
        found *= twins.gain
        return found

    def _passed(self, folded: sparse.csr_array) -> sparse.csr_array:
        """(n, t) sparse: what the touched items hand on, folded (handed + s I)."""
        count = self.warm_count
        passed = sparse.csr_array((folded @ self.handed)[:, :count])
        return passed + np.float32(self.twins.own) * folded[:, :count] if self.twins.own else passed

    def own_scores(self, cold: IntArray) -> FloatArray:
        """As in `Scorer`."""
        columns = sparse.csr_array(self.twins.weights[:, cold].T)  # (c, t)
        scaled = columns @ sparse.diags_array(self.into[: self.warm_count])
        empty = sparse.csr_array((len(cold), len(self.rows) - self.warm_count), dtype=np.float32)
        passed = self._passed(sparse.csr_array(sparse.hstack([scaled, empty], format="csr", dtype=np.float32)))
        own: FloatArray = np.asarray(passed.multiply(columns).sum(axis=1), np.float32)
        return own


def mean_column_of(weights: sparse.csr_array) -> float:
    """The root mean square length of the columns of a sparse B."""
    return float(np.sqrt(np.dot(weights.data.astype(np.float64), weights.data) / max(weights.shape[1], 1)))


def with_columns_scaled(weights: sparse.csr_array, factors: FloatArray) -> sparse.csr_array:
    """weights diag(factors), sparse float32; only the values are new."""
    return sparse.csr_array((weights.data * factors[weights.indices], weights.indices, weights.indptr), weights.shape)
