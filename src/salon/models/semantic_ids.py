"""Semantic ids of items: codes of their vectors, a last digit that tells apart what shares its codes, and a report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from salon.errors import DataError
from salon.models.semantic_books import NO_CODE, Quantiser, known_numbers
from salon.types import BoolArray, FloatArray, IntArray


def with_digit(codes: IntArray) -> IntArray:
    """(n, levels + 1): the codes, and the place of each row among the rows of the same codes; -1 where there are none.

    Source: Rajput et al., "Recommender Systems with Generative Retrieval" (TIGER), NeurIPS 2023, section 3.1.
    """
    _, group, counts = np.unique(codes, axis=0, return_inverse=True, return_counts=True)
    order = np.argsort(group, kind="stable")
    digit = np.empty(len(codes), np.int64)
    digit[order] = np.arange(len(codes)) - np.repeat(np.cumsum(counts) - counts, counts)
    digit[codes[:, 0] == NO_CODE] = NO_CODE
    return np.concatenate([codes, digit[:, None]], axis=1)


@dataclass(frozen=True)
class IdReport:
    """How well codes tell items apart.

    Attributes:
        items: Items of the catalogue.
        coded: Items with codes; of the others nothing is known.
        collisions: Share of the coded items that share all their codes with another, so that the last digit decides.
        largest: Items of the largest such group; 1 where all codes differ.
        used: Share of the codes of each level that some item has.
        perplexity: Codes of each level that would be in use if all were used alike, exp of the entropy.
        error: Squared length of what the codes leave untold, as a share of that of the vectors.
    """

    items: int
    coded: int
    collisions: float
    largest: int
    used: tuple[float, ...]
    perplexity: tuple[float, ...]
    error: float

    @classmethod
    def of(cls, quantiser: Quantiser, vectors: FloatArray, present: BoolArray, *, codes: int) -> Self:
        """The report of (n, d) vectors under a quantiser of `codes` codes per level; `present` as in its `fit`.

        Raises:
            DataError: No row is present.
        """
        given, known = known_numbers(vectors, present)
        named = quantiser.assign(given, known)
        there = named[:, 0] != NO_CODE
        if not there.any():
            raise DataError("There is no vector to report on.", hint="At least one row must be present.")
        left = np.where(known, given - quantiser.decode(named), np.float32(0))
        _, counts = np.unique(named[there], axis=0, return_counts=True)
        usage = [np.bincount(level, minlength=codes) / there.sum() for level in named[there].T]
        return cls(
            items=len(named),
            coded=int(there.sum()),
            collisions=float(counts[counts > 1].sum() / there.sum()),
            largest=int(counts.max()),
            used=tuple(float((share > 0).mean()) for share in usage),
            perplexity=tuple(float(np.exp(-(share[share > 0] * np.log(share[share > 0])).sum())) for share in usage),
            error=float((left**2).sum(dtype=np.float64) / max((given**2).sum(dtype=np.float64), 1e-12)),
        )

    def __str__(self) -> str:
        levels = zip(self.used, self.perplexity, strict=True)
        lines = [f"{self.coded} of {self.items} items have codes"]
        lines += [f"collisions {self.collisions:.1%}, largest group {self.largest}, error {self.error:.3f}"]
        lines += [
            f"level {n}: {used:.0%} of the codes used, perplexity {p:.1f}" for n, (used, p) in enumerate(levels, 1)
        ]
        return "\n".join(lines)
