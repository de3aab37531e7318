"""Approximate search by a navigable small-world graph (HNSW, Malkov and Yashunin, TPAMI 2020), by Faiss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import faiss
import numpy as np
from pydantic import Field
from scipy import sparse

from salon.config import Settings
from salon.index.exact import ExactIndex
from salon.types import MISSING_ID, BoolArray, FloatArray, TopK


class HnswSettings(Settings):
    """Settings of `HnswIndex`."""

    links: int = Field(default=32, ge=2)
    """Links per vector; more find more, and take memory."""
    build_width: int = Field(default=80, ge=1)
    """Candidates while the graph is built; more make a better graph."""
    search_width: int = Field(default=128, ge=1)
    """Candidates while searching; more find more, and take longer."""
    exact_below: int = Field(default=1000, ge=0)
    """With so few vectors, or so few allowed, all are compared."""


class HnswIndex(ExactIndex):
    """The k largest dot products, nearly: most of the true ones are found, in time that grows with the logarithm.

    A narrow filter (`exact_below`) and items left out per query are honoured exactly. What is saved are the vectors:
    the graph is built again when the index is loaded, since reading a stored one would mean to trust its bytes.
    """

    settings: HnswSettings

    def build(self, vectors: FloatArray, *, fingerprint: str = "") -> Self:
        """Takes a copy of (items, d) float vectors and links them; remembers what made them.

        Raises:
            DataError: The vectors are no finite matrix.
        """
        super().build(vectors, fingerprint=fingerprint)
        self._link()
        return self

    def add(self, vectors: FloatArray, *, fingerprint: str = "") -> Self:
        """Appends (new, d) float vectors; see `ExactIndex.add`."""
        before = len(self.vectors_) if self.is_fitted else 0
        super().add(vectors, fingerprint=fingerprint)
        self._graph.add(self.vectors_[before:])
        return self

    def restore(self, state: Mapping[str, Any]) -> Self:
        """Takes back what `state` gave, and links it again."""
        super().restore(state)
        self._link()
        return self

    def _link(self) -> None:
        threads = faiss.omp_get_max_threads()
        faiss.omp_set_num_threads(1)  # more threads would link differently on every run
        try:
            self._graph = faiss.IndexHNSWFlat(self.vectors_.shape[1], self.settings.links, faiss.METRIC_INNER_PRODUCT)
            self._graph.hnsw.efConstruction = self.settings.build_width
            self._graph.add(self.vectors_)
        finally:
            faiss.omp_set_num_threads(threads)

    def _search_block(self, vectors: FloatArray, k: int, ids: Any, exclude: sparse.csr_array | None) -> TopK:
        out = 0 if exclude is None else int(np.diff(exclude.indptr).max(initial=0))
        if len(ids) <= max(self.settings.exact_below, k + out):
            return super()._search_block(vectors, k, ids, exclude)
        options: dict[str, Any] = {"efSearch": max(self.settings.search_width, k + out)}
        if len(ids) < len(self.vectors_):
            options["sel"] = faiss.IDSelectorBatch(ids)
        scores, found = self._graph.search(vectors, k + out, params=faiss.SearchParametersHNSW(**options))
        if exclude is not None:
            scores[_stored(exclude, found)] = -np.inf
        scores = np.where(found < 0, -np.inf, scores).astype(np.float32)
        order = np.lexsort((found, -scores), axis=1)[:, :k]
        best = np.take_along_axis(scores, order, axis=1)
        return TopK(np.where(best > -np.inf, np.take_along_axis(found, order, axis=1), MISSING_ID), best)


def _stored(exclude: sparse.csr_array, found: Any) -> BoolArray:
    """(n, columns) bool, where an id of the row is stored in the row of `exclude`."""
    out = np.zeros(found.shape, bool)
    for row, ids in enumerate(found):
        out[row] = np.isin(ids, exclude.indices[exclude.indptr[row] : exclude.indptr[row + 1]])
    return out
