"""From histories to scores: x D^-b B for the touched items, and the columns of their twins for the others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from salon.models.linear_twins import Twins
from salon.types import FloatArray, IntArray


@dataclass(frozen=True)
class Scorer:
    """What scoring needs, over the n rows that took part (items first, attributes behind) and c cold items.

    Attributes:
        rows: (n,) int64.
        into: (n,) float32.
        weights: (n, n) float32, B.
        out: (n,) float32, what warm scores are multiplied by.
        handed: (n, n) float32, the B that cold items take over, columns scaled.
        twins: The cold items.
        n_items: Number of items.
    """

    rows: IntArray
    into: FloatArray
    weights: FloatArray
    out: FloatArray
    handed: FloatArray
    twins: Twins
    n_items: int

    @property
    def warm_count(self) -> int:
        """How many of the rows are items."""
        return len(self.twins.warm)

    def folded(self, queries: sparse.csr_array) -> sparse.csr_array:
        """(n queries, n) sparse float32: scaled histories, cold items of a history read as their twins."""
        direct = sparse.csr_array(queries[:, self.rows])
        cold = sparse.csr_array(queries[:, self.twins.cold])
        if cold.nnz:
            spread = sparse.csr_array(cold @ self.twins.weights.T)
            empty = sparse.csr_array((queries.shape[0], len(self.rows) - self.warm_count), dtype=np.float32)
            direct = direct + sparse.hstack([spread, empty], format="csr")
        return sparse.csr_array(direct @ sparse.diags_array(self.into), dtype=np.float32)

    def scores(self, queries: sparse.csr_array) -> FloatArray:
        """(n queries, items) float32; -inf for items without actions and media, and for histories that say nothing.

        Args:
            queries: (n, items + attributes) sparse, from `query_rows`.
        """
        count = self.warm_count
        folded = self.folded(queries)
        warm = (folded @ self.weights)[:, :count]  # slicing B first would copy it for every request
        scores = np.full((queries.shape[0], self.n_items), -np.inf, np.float32)
        scores[:, self.rows[:count]] = warm * self.out[:count]
        if len(self.twins.cold):
            scores[:, self.twins.cold] = self._cold(queries, folded)
        scores[np.diff(folded.indptr) == 0] = -np.inf
        return scores

    def _cold(self, queries: sparse.csr_array, folded: sparse.csr_array) -> FloatArray:
        twins, count = self.twins, self.warm_count
        found: FloatArray = (folded @ self.handed)[:, :count] @ twins.weights
        if twins.own:
            found += np.float32(twins.own) * (folded[:, :count] @ twins.weights)
        history = sparse.coo_array(queries[:, twins.cold])
        if history.nnz:  # an item is not its own twin: W^T (B + s I) W has a zero diagonal
            found[history.row, history.col] -= history.data * self.own_scores(history.col)
        found *= twins.gain
        return found

    def own_scores(self, cold: IntArray) -> FloatArray:
        """(len(cold),) what an action on a cold item (place in `twins.cold`) would add to its own score, gain aside."""
        count = self.warm_count
        columns = self.twins.weights[:, cold]
        scaled = columns * self.into[:count, None]
        passed = self.handed[:count, :count].T @ scaled
        own: FloatArray = ((passed + np.float32(self.twins.own) * scaled) * columns).sum(axis=0)
        return own


def mean_column(weights: FloatArray) -> float:
    """The root mean square length of the columns, the unit of s."""
    return float(np.sqrt(np.einsum("ij,ij->j", weights, weights).mean()))
