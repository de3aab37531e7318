"""Residual k-means: a vector told by a few codes, each of which names the centre nearest to what is left to tell.

    r_0 = x,   c_l = argmin_j |r_l - C_l[j]|,   r_(l+1) = r_l - C_l[c_l],   x is about the sum over l of C_l[c_l]

Numbers may be unknown, such as those of a picture that an item lacks: they count neither in a distance nor in a mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np

from salon.arrays import block_size, blocks
from salon.errors import DataError, SettingError
from salon.types import BoolArray, FloatArray, IntArray

NO_CODE = -1
"""The codes of a row of which nothing is known."""
ROUNDS = 30
"""Most rounds of Lloyd's algorithm."""
SAMPLE = 256
"""Rows per code that centres are learned from; of more a random sample is taken."""
SAME = 1e-5
"""Parts of the squared length of a row below which a squared distance is rounding of float32."""


class Quantiser(Protocol):
    """Vectors to codes and back."""

    def assign(self, vectors: FloatArray, present: BoolArray) -> IntArray:
        """(n, levels) int64 codes of (n, d) vectors; -1 throughout a row of which nothing is present."""

    def decode(self, codes: IntArray) -> FloatArray:
        """(n, d) float32 that codes (n, levels) stand for; 0 for rows of -1."""


@dataclass(frozen=True)
class ResidualBooks:
    """The centres of every level.

    Attributes:
        books: (levels, codes, d) float32.
    """

    books: FloatArray

    @classmethod
    def fit(cls, vectors: FloatArray, present: BoolArray, *, levels: int, codes: int, rng: np.random.Generator) -> Self:
        """Learns centres level by level from what the levels above leave over.

        With fewer distinct rows than codes, the codes that are left over are used by nobody.

        Args:
            vectors: (n, d) float, best centred.
            present: (n,) or (n, d) bool, the rows or the single numbers that are known.
            levels: Codes per vector, at least 1.
            codes: Centres per level, at least 1.
            rng: Where centres begin.

        Raises:
            DataError: Shapes do not fit, or nothing is known.
            SettingError: There would be no level or no code.
        """
        if levels < 1 or codes < 1:
            raise SettingError(f"{levels} levels of {codes} codes.", hint="Ask for at least one of each.")
        left, known = known_numbers(vectors, present)
        rows = np.flatnonzero(known.any(axis=1))
        if not len(rows):
            raise DataError("There is no vector to learn codes from.", hint="At least one row must be present.")
        if len(rows) > codes * SAMPLE:
            rows = np.sort(rng.choice(rows, codes * SAMPLE, replace=False))
        left, known, books = left[rows], known[rows], []
        for _ in range(levels):
            books.append(k_means(left, known, codes, rng))
            left = np.where(known, left - books[-1][nearest(left, known, books[-1])[0]], np.float32(0))
        return cls(np.stack(books))

    def assign(self, vectors: FloatArray, present: BoolArray) -> IntArray:
        """(n, levels) int64; see `Quantiser`."""
        left, known = known_numbers(vectors, present)
        codes = np.empty((len(left), len(self.books)), np.int64)
        for level, book in enumerate(self.books):
            codes[:, level] = nearest(left, known, book)[0]
            left = np.where(known, left - book[codes[:, level]], np.float32(0))
        codes[~known.any(axis=1)] = NO_CODE
        return codes

    def decode(self, codes: IntArray) -> FloatArray:
        """(n, d) float32; see `Quantiser`."""
        total = np.zeros((len(codes), self.books.shape[2]), np.float32)
        for book, named in zip(self.books, codes.T, strict=True):
            total += book[named]
        return np.where(codes[:, :1] == NO_CODE, np.float32(0), total)


def known_numbers(vectors: FloatArray, present: BoolArray) -> tuple[FloatArray, BoolArray]:
    """(n, d) float32 with 0 for what is unknown, and (n, d) bool of what is known.

    Raises:
        DataError: Shapes do not fit, or a known number is not finite.
    """
    vectors, present = np.asarray(vectors, np.float32), np.asarray(present, bool)
    known = np.broadcast_to(present[:, None], vectors.shape) if present.shape == vectors.shape[:1] else present
    if vectors.ndim != 2 or known.shape != vectors.shape:
        raise DataError(f"Vectors {vectors.shape} and present {present.shape} do not fit.", hint="One row per item.")
    left = np.where(known, vectors, np.float32(0))
    if not np.isfinite(left).all():
        raise DataError("A present vector is not finite.", hint="Mark broken vectors as absent.")
    return left, known


def k_means(rows: FloatArray, known: BoolArray, count: int, rng: np.random.Generator) -> FloatArray:
    """(count, d) float32 centres by Lloyd's algorithm, each the mean of the known numbers of the rows nearest to it.

    Centres begin as the means of a random partition. To begin with rows, as k-means++ does, suits wide vectors badly:
    most of what is left of a row is its own alone, so that one centre near the mean takes nearly all rows and the
    others keep the one they began with. A centre that loses its last row moves to one of the rows that are worst off.
    """
    cell: IntArray = rng.permutation(len(rows)) % count
    centres = _means(rows, known, cell, np.repeat(rows[:1], count, axis=0))
    for _ in range(ROUNDS):
        cell, distance = nearest(rows, known, centres)
        moved = _means(rows, known, cell, centres)
        idle = np.setdiff1d(np.arange(count), cell)
        worst = np.argsort(-distance, kind="stable")[: len(idle)]
        worst = worst[distance[worst] > 0]
        moved[idle[: len(worst)]] = rows[worst]
        if np.array_equal(moved, centres):
            break
        centres = moved
    return centres


def nearest(rows: FloatArray, known: BoolArray, centres: FloatArray) -> tuple[IntArray, FloatArray]:
    """(n,) the nearest centre by the known numbers, equal ones by the smaller place, and the squared distance to it."""
    cell, distance = np.empty(len(rows), np.int64), np.empty(len(rows), np.float32)
    for part in blocks(len(rows), block_size(len(centres))):
        squares = _squared_distances(rows[part], known[part], centres)
        cell[part] = squares.argmin(axis=1)
        distance[part] = squares[np.arange(len(squares)), cell[part]]
    return cell, distance


def _squared_distances(rows: FloatArray, known: BoolArray, centres: FloatArray) -> FloatArray:
    """(n, centres); rows are 0 where not known."""
    lengths = (rows**2).sum(axis=1, keepdims=True)
    squares = lengths - 2 * (rows @ centres.T) + known.astype(np.float32) @ (centres**2).T
    return np.where(squares < SAME * lengths, np.float32(0), squares)


def _means(rows: FloatArray, known: BoolArray, cell: IntArray, centres: FloatArray) -> FloatArray:
    """The mean of the known numbers of each cell; 0 where a cell knows none, centres without a row as they were."""
    order = np.argsort(cell, kind="stable")
    there, starts = np.unique(cell[order], return_index=True)
    sums = np.add.reduceat(rows[order], starts, axis=0, dtype=np.float64)
    counts = np.add.reduceat(known[order], starts, axis=0, dtype=np.float64)
    moved = centres.copy()
    moved[there] = sums / np.maximum(counts, 1)
    return moved
