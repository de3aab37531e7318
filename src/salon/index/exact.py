"""Exact search: every vector is compared, block by block, so it is always right and memory stays bounded."""

from __future__ import annotations

from typing import Self

import numpy as np
from scipy import sparse

from salon.arrays import blocks, top_k
from salon.errors import DataError, FingerprintError, SettingError
from salon.index.base import Index
from salon.types import MISSING_ID, BoolArray, FloatArray, IntArray, TopK

QUERIES_AT_ONCE = 512
ITEMS_AT_ONCE = 16384
"""A block of scores has 512 x 16384 float32, 32 MiB."""


class ExactIndex(Index):
    """The k largest dot products, by comparing all; equal scores by the smaller id.

    The filter comes first: only the allowed vectors are compared, so a narrow filter makes the search faster.
    """

    vectors_: FloatArray
    fingerprint_: str

    def build(self, vectors: FloatArray, *, fingerprint: str = "") -> Self:
        """Takes a copy of (items, d) float vectors; remembers what made them.

        Raises:
            DataError: The vectors are no finite matrix.
        """
        vectors = np.array(vectors, dtype=np.float32, order="C")
        _check_finite(vectors)
        self.vectors_, self.fingerprint_ = vectors, fingerprint
        return self

    def add(self, vectors: FloatArray, *, fingerprint: str = "") -> Self:
        """Appends (new, d) float vectors, whose ids follow those already here.

        Raises:
            FingerprintError: Another encoder made them.
            DataError: They have another length or are not finite.
        """
        self.check_fitted()
        self.check_fingerprint(fingerprint)
        vectors = np.asarray(vectors, np.float32)
        self._check_length(vectors)
        self.vectors_ = np.concatenate([self.vectors_, vectors])
        return self

    def check_fingerprint(self, fingerprint: str) -> None:
        """Raises FingerprintError unless `fingerprint` is that of the vectors in here."""
        if fingerprint != self.fingerprint_:
            raise FingerprintError(
                f"The index holds vectors of {self.fingerprint_!r}, not of {fingerprint!r}.",
                hint="Build the index again from vectors of the same model or encoder.",
            )

    def _check_length(self, vectors: FloatArray) -> None:
        _check_finite(vectors)
        if vectors.shape[1] != self.vectors_.shape[1]:
            raise DataError(f"Vectors of length {vectors.shape[1]}; the index holds length {self.vectors_.shape[1]}.")

    def search(
        self,
        vectors: FloatArray,
        k: int,
        *,
        exclude: sparse.csr_array | None = None,
        allow: BoolArray | None = None,
        fingerprint: str | None = None,
    ) -> TopK:
        """The k items with the largest dot product per query vector.

        Args:
            vectors: (n, d) float.
            k: How many per query, at least 1; rows run short when fewer items may be found.
            exclude: (n, items) sparse, stored where an item is left out for that query.
            allow: (items,) bool, the items that may be found.
            fingerprint: What made the query vectors, where the caller wants it compared.

        Returns:
            ids (n, k) and dot products (n, k).

        Raises:
            FingerprintError: The query vectors are of another space.
        """
        self.check_fitted()
        if k < 1:
            raise SettingError(f"k is {k}.", hint="Ask for at least one item.")
        if fingerprint is not None:
            self.check_fingerprint(fingerprint)
        vectors = np.asarray(vectors, np.float32)
        self._check_length(vectors)
        ids = np.arange(len(self.vectors_)) if allow is None else np.flatnonzero(allow)
        parts = [TopK(np.zeros((0, k), np.int64), np.zeros((0, k), np.float32))]
        for rows in blocks(len(vectors), QUERIES_AT_ONCE):
            left_out = None if exclude is None else sparse.csr_array(exclude[rows])
            parts.append(self._search_block(vectors[rows], k, ids, left_out))
        return TopK(np.concatenate([p.ids for p in parts]), np.concatenate([p.scores for p in parts]))

    def _search_block(self, vectors: FloatArray, k: int, ids: IntArray, exclude: sparse.csr_array | None) -> TopK:
        """The best of a block of queries among `ids`, carried from one block of items to the next."""
        best = TopK(np.full((len(vectors), k), MISSING_ID), np.full((len(vectors), k), -np.inf, np.float32))
        for part in blocks(len(ids), ITEMS_AT_ONCE):
            here = ids[part]
            scores = vectors @ self.vectors_[here].T
            if exclude is not None:
                rows, columns = _among(exclude, here)
                scores[rows, columns] = -np.inf
            found = top_k(scores, min(k, len(here)))
            names = np.where(found.ids >= 0, here[found.ids], MISSING_ID)
            both = np.concatenate([best.scores, found.scores], axis=1)
            merged = top_k(both, k)  # ids rise from block to block, so ties still fall to the smaller id
            known = np.concatenate([best.ids, names], axis=1)
            kept = np.take_along_axis(known, np.maximum(merged.ids, 0), axis=1)
            best = TopK(np.where(merged.ids >= 0, kept, MISSING_ID), merged.scores)
        return best


def _check_finite(vectors: FloatArray) -> None:
    if vectors.ndim != 2 or not np.isfinite(vectors).all():
        raise DataError(f"Vectors of shape {vectors.shape} are no finite matrix.", hint="Give one row per vector.")


def _among(exclude: sparse.csr_array, ids: IntArray) -> tuple[IntArray, IntArray]:
    """Stored entries of (n, items) whose column is among the sorted `ids`, as (row, place in `ids`)."""
    rows = np.repeat(np.arange(exclude.shape[0]), np.diff(exclude.indptr))
    place = np.minimum(np.searchsorted(ids, exclude.indices), len(ids) - 1)
    inside = ids[place] == exclude.indices
    return rows[inside], place[inside]
