"""From histories to scores: x D^-b B for the touched items, and the columns of their twins for the others."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

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
            used, place = np.unique(cold.indices, return_inverse=True)  # W as a whole would be copied to be turned
            cold = sparse.csr_array((cold.data, place, cold.indptr), shape=(cold.shape[0], len(used)))
            spread = sparse.csr_array(cold @ self.twins.columns(used).T)
            empty = sparse.csr_array((queries.shape[0], len(self.rows) - self.warm_count), dtype=np.float32)
            direct = direct + sparse.hstack([spread, empty], format="csr")
        return sparse.csr_array(direct @ sparse.diags_array(self.into), dtype=np.float32)

    def scores(self, queries: sparse.csr_array, *, own: bool = True) -> FloatArray:
        """(n queries, items) float32; -inf for items without actions and media, and for histories that say nothing.

        Args:
            queries: (n, items + attributes) sparse, from `query_rows`.
            own: Whether scores of the cold items of a history itself are asked for; they cost more than all others.
        """
        count = self.warm_count
        folded = self.folded(queries)
        warm = (folded @ self.weights)[:, :count]  # slicing B first would copy it for every request
        scores = np.full((queries.shape[0], self.n_items), -np.inf, np.float32)
        scores[:, self.rows[:count]] = warm * self.out[:count]
        if len(self.twins.cold):
            scores[:, self.twins.cold] = self._cold(queries, folded, own)
        scores[np.diff(folded.indptr) == 0] = -np.inf
        return scores

    def _cold(self, queries: sparse.csr_array, folded: sparse.csr_array, own: bool) -> FloatArray:
        twins, count = self.twins, self.warm_count
        passed: FloatArray = (folded @ self.handed)[:, :count]
        if twins.own:
            passed += np.float32(twins.own) * folded[:, :count].toarray()
        found: FloatArray = passed @ twins.weights  # W is large: it is read once
        history = sparse.coo_array(queries[:, twins.cold])
        if own and history.nnz:  # an item is not its own twin: W^T (B + s I) W has a zero diagonal
            found[history.row, history.col] -= history.data * self.own_scores(history.col)
        found *= twins.gain
        return found

    def own_scores(self, cold: IntArray) -> FloatArray:
        """(len(cold),) what an action on a cold item (place in `twins.cold`) would add to its own score, gain aside."""
        new = np.unique(cold[np.isnan(self._own[cold])])
        if len(new):
            self._own[new] = self._own_scores(new)
        return self._own[cold]

    @cached_property
    def _own(self) -> FloatArray:
        """(c,) float32, what was asked of `own_scores` before, else NaN."""
        return np.full(len(self.twins.cold), np.nan, np.float32)

    def _own_scores(self, cold: IntArray) -> FloatArray:
        count = self.warm_count
        columns = self.twins.columns(cold)
        scaled = columns * self.into[:count, None]
        passed = self.handed[:count, :count].T @ scaled
        own: FloatArray = ((passed + np.float32(self.twins.own) * scaled) * columns).sum(axis=0)
        return own


def mean_column(weights: FloatArray) -> float:
    """The root mean square length of the columns, the unit of s."""
    return float(np.sqrt(np.einsum("ij,ij->j", weights, weights).mean()))
