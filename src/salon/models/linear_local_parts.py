"""The exact split of scores in the local form: as in `linear_parts`, on the rows of a column's neighbourhood."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from salon.models.linear_local_score import LocalScorer
from salon.models.linear_parts import Ledger, places_in
from salon.types import FloatArray, IntArray


@dataclass(frozen=True)
class LocalLedger(Ledger):
    """A `Ledger` over a sparse B; only rows of the neighbourhood are read."""

    scorer: LocalScorer

    def _stored(self, j: int) -> tuple[IntArray, FloatArray]:
        """N(j) and B_Nj."""
        weights = self.scorer.weights_by_column
        span = slice(weights.indptr[j], weights.indptr[j + 1])
        return weights.indices[span].astype(np.int64), weights.data[span].astype(np.float64)

    def _weights(self, j: int) -> FloatArray:
        near, values = self._stored(j)
        found = np.zeros(len(self.scorer.rows))
        found[near] = values
        return found

    def _handed(self, by_modality: FloatArray) -> FloatArray:
        there = np.flatnonzero(by_modality.any(axis=1))
        found: FloatArray = sparse.csc_array(self.scorer.handed_by_column[:, there]) @ by_modality[there]
        return found

    def column_at(self, j: int, wanted: IntArray) -> FloatArray:
        """(m, p) float64: B_ij of some rows i of the solve, split by source; 0 off the neighbourhood."""
        near, values = self._stored(j)
        asked = near[np.isin(near, wanted)]
        row, found = places_in(asked, wanted), np.zeros((len(wanted), len(self.names)))
        if not len(asked):
            return found
        places, rest = np.append(near, j), np.append(-values, 1.0)  # e_j - B_j
        split = [self._among(self.statistics.gram, asked, places, rest)]
        if self.order_unit:
            assert self.statistics.past is not None
            assert self.statistics.follow is not None
            gained = self._among(self.statistics.follow, asked, places[-1:], rest[-1:])
            gained -= self._among(self.statistics.past, asked, near, values)
            split.append(self.order_unit * gained)
        split += [self._modality(name, asked, places, rest) for name in self.media.names]
        stacked = np.stack(split, axis=1) / (self.ridge[asked] + self.point.prior * self.unit)[:, None]
        found[row >= 0] = stacked[row[row >= 0]]
        return found

    def _among(self, matrix: sparse.csr_array, near: IntArray, places: IntArray, vector: FloatArray) -> FloatArray:
        """D^-b (matrix) D^-b vector on some rows; the vector stands at `places`."""
        into, rows = self.scorer.into.astype(np.float64), self.scorer.rows
        wide = np.zeros(matrix.shape[0])
        wide[rows[places]] = into[places] * vector
        product: FloatArray = (sparse.csr_array(matrix[rows[near]]) @ wide) * into[near]
        return product

    def _modality(self, name: str, near: IntArray, places: IntArray, vector: FloatArray) -> FloatArray:
        """alpha K (e_j - B_j) on the rows `near`, and the modality's share of the prior."""
        alpha = self.point.media[name]
        if not alpha:
            return np.zeros(len(near))
        taken, vectors = places < self.scorer.warm_count, self.media.rows[name]
        inside = near < self.scorer.warm_count
        mixed = vectors[self.scorer.rows[places[taken]]].astype(np.float64).T @ vector[taken]
        part = np.zeros(len(near))
        part[inside] = alpha * self.unit * (vectors[self.scorer.rows[near[inside]]].astype(np.float64) @ mixed)
        if self.graphs:
            share = alpha / sum(self.point.media.values())
            column = self.graphs[name][:, [int(places[-1])]].toarray().ravel()
            part += self.point.prior * self.unit * share * column[near]
        return part
