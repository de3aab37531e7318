"""From histories to scores in the local form: the products of `linear_score`, over sparse B and sparse twins."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

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

    @cached_property
    def place(self) -> IntArray:
        """(rows,) int64 place of each row among those that took part, -1 for the others."""
        found: IntArray = np.full(int(self.rows.max(initial=-1)) + 1, -1, np.int64)
        found[self.rows] = np.arange(len(self.rows))
        return found

    @cached_property
    def cold_place(self) -> IntArray:
        """(items,) int64 place of each item among the cold ones, -1 for the others."""
        found: IntArray = np.full(self.n_items, -1, np.int64)
        found[self.twins.cold] = np.arange(len(self.twins.cold))
        return found

    @cached_property
    def start(self) -> FloatArray:
        """(items,) float32 scores before anything is added: 0 for touched items, -inf for the others."""
        found = np.full(self.n_items, -np.inf, np.float32)
        found[self.rows[: self.warm_count]] = 0.0
        return found

    @cached_property
    def weights_by_column(self) -> sparse.csc_array:
        """B by column, for explanations."""
        return sparse.csc_array(self.weights)

    @cached_property
    def handed_by_column(self) -> sparse.csc_array:
        """What cold items take over by column."""
        return sparse.csc_array(self.handed)

    def folded(self, queries: sparse.csr_array) -> sparse.csr_array:
        """As in `Scorer`; columns are not copied for histories of touched items alone."""
        places = looked_up(self.place, queries.indices)
        kept = places >= 0
        if not kept.all() and (looked_up(self.cold_place, queries.indices[~kept]) >= 0).any():
            return super().folded(queries)
        counts = np.add.reduceat(np.append(kept, False).astype(np.int64), queries.indptr[:-1])
        counts[np.diff(queries.indptr) == 0] = 0
        values = queries.data[kept] * self.into[places[kept]]
        indptr = np.concatenate([[0], np.cumsum(counts)])
        return sparse.csr_array((values, places[kept], indptr), (queries.shape[0], len(self.rows)), dtype=np.float32)

    def scores(self, queries: sparse.csr_array, *, own: bool = True) -> FloatArray:
        """As in `Scorer`; a touched item that nothing in the history is a neighbour of scores 0."""
        folded = self.folded(queries)
        scores = np.tile(self.start, (queries.shape[0], 1))
        for query, (start, end) in enumerate(pairwise(folded.indptr.tolist())):
            if start == end:
                scores[query] = -np.inf
                continue
            entries = folded.indices[start:end], folded.data[start:end]
            columns, total = spread(*entries, self.weights)
            columns = columns[columns < self.warm_count]
            scores[query, self.rows[columns]] = total[columns] * self.out[columns]
            if len(self.twins.cold):
                scores[query, self.twins.cold] = self._cold_of(*entries)
        if own and len(self.twins.cold):
            self._without_own(queries, scores)
        return scores

    def _cold_of(self, places: IntArray, values: FloatArray) -> FloatArray:
        """(c,) float32 scores of the cold items for one folded history."""
        twins, count = self.twins, self.warm_count
        passed = spread(places, values, self.handed)[1][:count]
        warm = places < count
        if twins.own:
            np.add.at(passed, places[warm], twins.own * values[warm])
        there = np.flatnonzero(passed)
        return np.asarray(spread(there, passed[there], twins.weights)[1] * twins.gain, np.float32)

    def _without_own(self, queries: sparse.csr_array, scores: FloatArray) -> None:
        """Takes off what cold items of a history say of themselves: an item is not its own twin."""
        cold = looked_up(self.cold_place, queries.indices)
        entries = np.flatnonzero(cold >= 0)
        if len(entries):
            rows = np.repeat(np.arange(queries.shape[0]), np.diff(queries.indptr))[entries]
            cold, data = cold[entries], queries.data[entries]
            scores[rows, self.twins.cold[cold]] -= data * self.own_scores(cold) * self.twins.gain[cold]

    def _passed(self, folded: sparse.csr_array) -> sparse.csr_array:
        """(n, t) sparse: what the touched items hand on, folded (handed + s I)."""
        count = self.warm_count
        passed = sparse.csr_array((folded @ self.handed)[:, :count])
        return passed + np.float32(self.twins.own) * folded[:, :count] if self.twins.own else passed

    def _own_scores(self, cold: IntArray) -> FloatArray:
        columns = sparse.csr_array(self.twins.weights[:, cold].T)  # (c, t)
        scaled = columns @ sparse.diags_array(self.into[: self.warm_count])
        empty = sparse.csr_array((len(cold), len(self.rows) - self.warm_count), dtype=np.float32)
        passed = self._passed(sparse.csr_array(sparse.hstack([scaled, empty], format="csr", dtype=np.float32)))
        own: FloatArray = np.asarray(passed.multiply(columns).sum(axis=1), np.float32)
        return own


def looked_up(table: IntArray, rows: IntArray) -> IntArray:
    """(m,) int64 entries of a table of places, -1 for rows behind its end."""
    if not len(table):
        return np.full(len(rows), -1, np.int64)
    return np.where(rows < len(table), table[np.minimum(rows, len(table) - 1)], -1)


def spread(rows: IntArray, values: FloatArray, matrix: sparse.csr_array) -> tuple[IntArray, FloatArray]:
    """The sum of some rows of a sparse matrix, each times its value, without a matrix product's overhead.

    Returns:
        (m,) the columns that were met, some of them twice, and (columns,) float64 the sum.
    """
    starts = matrix.indptr[rows].astype(np.int64)
    lengths = matrix.indptr[rows + 1] - starts
    ends = np.cumsum(lengths)
    flat = np.repeat(starts - ends + lengths, lengths) + np.arange(ends[-1] if len(ends) else 0)
    columns = matrix.indices[flat]
    weights = np.repeat(values, lengths) * matrix.data[flat]
    total = np.bincount(columns, weights, minlength=matrix.shape[1])
    return columns, np.asarray(total, np.float64)


def mean_column_of(weights: sparse.csr_array) -> float:
    """The root mean square length of the columns of a sparse B."""
    return float(np.sqrt(np.dot(weights.data.astype(np.float64), weights.data) / max(weights.shape[1], 1)))


def with_columns_scaled(weights: sparse.csr_array, factors: FloatArray) -> sparse.csr_array:
    """weights diag(factors), sparse float32; only the values are new."""
    return sparse.csr_array((weights.data * factors[weights.indices], weights.indices, weights.indptr), weights.shape)
