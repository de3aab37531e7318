"""The exact split of scores in the local form: as in `linear_parts`, on the rows of a column's neighbourhood."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from salon.models.linear_local_score import LocalScorer
from salon.models.linear_parts import Ledger
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

    def _handed(self, places: IntArray, by_modality: FloatArray) -> FloatArray:
        there = np.flatnonzero(by_modality.any(axis=1))
        found: FloatArray = sparse.csc_array(self.scorer.handed_by_column[:, there]) @ by_modality[there]
        return found[places]
