"""The tree of all legal ids: level by level, the children of a node side by side, as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np

from salon.models.semantic_books import NO_CODE
from salon.types import BoolArray, IntArray


@dataclass(frozen=True)
class Floor:
    """The nodes at one depth: ids that agree so far.

    Attributes:
        code: (nodes,) the last code of each.
        parent: (nodes,) its node one floor up, ascending.
        first: (parents + 1,) the children of parent p are first[p]:first[p + 1].
        leaf: (nodes + 1,) the ids that begin so are leaf[i]:leaf[i + 1] of the trie's items.
    """

    code: IntArray
    parent: IntArray
    first: IntArray
    leaf: IntArray

    @cached_property
    def choices(self) -> list[tuple[IntArray, IntArray]]:
        """(parents (p,), children (p, k)) of the parents with k children, for every k of 2 or more."""
        counts = np.diff(self.first)
        kinds = [(np.flatnonzero(counts == k), k) for k in np.unique(counts[counts > 1])]
        return [(parents, self.first[parents][:, None] + np.arange(k)) for parents, k in kinds]

    def reaching(self, allowed: BoolArray) -> BoolArray:
        """(n, nodes) bool, the nodes with an allowed id below; `allowed` is (n, ids in the order of the trie)."""
        return np.asarray(np.logical_or.reduceat(allowed, self.leaf[:-1], axis=1))


@dataclass(frozen=True)
class Trie:
    """All legal ids in order.

    Attributes:
        items: (ids,) the item row of each; a node of the last floor is an id.
        floors: One per level of the ids.
    """

    items: IntArray
    floors: tuple[Floor, ...]

    @classmethod
    def of(cls, codes: IntArray, chosen: BoolArray) -> Self:
        """The trie of the codes (items, levels) of the chosen items that have any; no two of them are the same."""
        rows = np.flatnonzero(chosen & (codes[:, 0] != NO_CODE))
        items = rows[np.lexsort(codes[rows].T[::-1])]
        ordered = codes[items]
        new = np.ones(ordered.shape, bool)
        new[1:] = np.logical_or.accumulate(ordered[1:] != ordered[:-1], axis=1)
        above, parents, floors = np.zeros(len(items), np.int64), 1, []
        for level in range(codes.shape[1]):
            starts = np.flatnonzero(new[:, level])
            parent = above[starts]
            first = np.searchsorted(parent, np.arange(parents + 1))
            floors.append(Floor(ordered[starts, level], parent, first, np.append(starts, len(items))))
            above, parents = np.cumsum(new[:, level]) - 1, len(starts)
        return cls(items, tuple(floors))
