"""The contract of indexes: vectors in, nearest ids out; an index knows no model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Self

from scipy import sparse

from salon.component import Component
from salon.types import BoolArray, FloatArray, TopK


class Index(Component, ABC):
    """Searches vectors by dot product."""

    kind = "index"

    @abstractmethod
    def build(self, vectors: FloatArray, *, fingerprint: str = "") -> Self:
        """Takes (items, d) float vectors; remembers what made them."""

    @abstractmethod
    def search(
        self,
        vectors: FloatArray,
        k: int,
        *,
        exclude: sparse.csr_array | None = None,
        allow: BoolArray | None = None,
    ) -> TopK:
        """The k items with the largest dot product per query vector.

        Args:
            vectors: (n, d) float.
            k: How many per query.
            exclude: (n, items) sparse, nonzero where an item is left out for that query.
            allow: (items,) bool, the items that may be found; filtering comes before the search.
        """
