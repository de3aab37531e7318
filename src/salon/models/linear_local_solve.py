"""The local form of the linear model: each column of B is solved for on its neighbourhood alone.

With A and M as in `linear_solve`, and N = N(j) the neighbourhood of j,

    B_Nj = A_NN^-1 M_Nj,    B_ij = 0 elsewhere,    1 / P_jj = A_jj - A_jN A_NN^-1 A_Nj

which is the dense solution when N holds all others. On the rows of N the conditions for a minimum hold as they do for
the dense form, so every B_ij splits into clicks, order and modalities in the same exact way:

    (L + g I) B_j = G (e_j - B_j) + nu (T e_j - S B_j) + sum_m alpha_m K_m (e_j - B_j) + g C e_j     on the rows of N

Columns that share neighbours are solved together: the entries of G they need are looked up once. Each system goes to
LAPACK (posv). No matrix over all pairs is made, so time and memory grow with the number of items.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse
from scipy.linalg import lapack

from salon.errors import DataError
from salon.models.linear_local_near import Near
from salon.models.linear_media import Media
from salon.models.linear_point import Point
from salon.models.linear_solve import DOUBLE, Scales, Touched
from salon.models.linear_statistics import Statistics
from salon.types import FloatArray, IntArray

TOGETHER = 16
"""Columns that are looked up together at most."""
WIDEST = 3000
"""Rows of a block of A; columns with more neighbours in all are looked up in smaller groups."""


@dataclass(frozen=True)
class Upper:
    """Half a symmetric matrix over the n touched rows, as CSR, with its rows and columns in another order.

    Rows that are looked up together stand together: with a million of them a lookup would else miss the processor's
    caches nearly always.

    Attributes:
        at: (n,) int32, where each place stands.
        indptr: (n + 1,) int64.
        indices: int32, where the columns stand.
        data: float32.
    """

    at: IntArray
    indptr: IntArray
    indices: IntArray
    data: FloatArray


@dataclass(frozen=True)
class LocalSolution:
    """B on the neighbourhoods.

    Attributes:
        scales: Units and scalings.
        weights: (n, n) sparse float32, B; the diagonal is 0. Columns that were not asked for are empty.
        precision: (n,) float64, diag(P); NaN for columns that were not asked for.
    """

    scales: Scales
    weights: sparse.csr_array
    precision: FloatArray


class LocalSystem:
    """A and M of one point, to be read in pieces.

    Args:
        stats: Sums over users.
        touched: Who takes part.
        media: Vectors.
        point: Settings.
        scales: Units and scalings of the point.
        order: (n,) places, such that those who share neighbours stand together.
        graph: C, (n, n) sparse, or None without a prior.
        upper: What `upper_half` gives for the sums of the clicks, where it is known already.
    """

    def __init__(
        self,
        stats: Statistics,
        touched: Touched,
        media: Media,
        point: Point,
        scales: Scales,
        order: IntArray,
        graph: sparse.csr_array | None = None,
        upper: Upper | None = None,
    ) -> None:
        self.touched, self.scales = touched, scales
        self.dtype: type[Any] = np.float64 if len(touched.rows) <= DOUBLE else np.float32
        self.pull = point.prior * scales.unit
        self.graph = None if graph is None or not self.pull else sparse.csc_array(graph)
        self.media = [
            (media.rows[name], alpha * scales.unit)
            for name, alpha in point.media.items()
            if alpha and name in media.rows
        ]
        matrix, self.turn = stats.gram, None
        if scales.order_unit:
            assert stats.past is not None
            assert stats.follow is not None
            matrix = sparse.csr_array(matrix + np.float32(scales.order_unit) * stats.past)
            self.turn = sparse.csc_array(np.float32(scales.order_unit) * (stats.follow - stats.past))
        self.diagonal = np.asarray(matrix.diagonal()[touched.rows] * scales.into.astype(np.float64) ** 2)
        self.upper = upper_half(matrix, touched, order) if upper is None or scales.order_unit else upper
        self.position = np.full(len(touched.rows), -1, np.int32)

    @property
    def plain(self) -> bool:
        """Whether M is A off the diagonal, so that one right-hand side is enough."""
        return self.turn is None and self.graph is None

    def block(self, places: IntArray) -> FloatArray:
        """(u, u) what clicks and order add to A among some rows (ascending), without the ridge."""
        upper, at = self.upper, self.upper.at[places]
        self.position[at] = np.arange(len(places), dtype=np.int32)
        entries, lengths = _ranges(upper.indptr, at)
        columns = self.position[upper.indices[entries]]
        kept = columns >= 0
        rows, columns = np.repeat(np.arange(len(places)), lengths)[kept], columns[kept]
        self.position[at] = -1
        into = self.scales.into[places]
        values = upper.data[entries[kept]] * into[rows] * into[columns]
        found = np.zeros((len(places), len(places)), self.dtype)
        found[rows, columns] = values
        found[columns, rows] = values
        found[np.diag_indices(len(places))] = self.diagonal[places]
        return found

    def add_media(self, system: FloatArray, column: FloatArray, near: IntArray, j: int) -> float:
        """Adds the media to A_NN and A_Nj in place, and gives what they add to A_jj."""
        items, item = self.touched.rows[near], self.touched.rows[j]
        diagonal = 0.0
        for vectors, weight in self.media:
            found = vectors[np.minimum(items, len(vectors) - 1)].astype(self.dtype, copy=False)
            found[items >= len(vectors)] = 0.0  # attributes have none
            system += found @ (found * self.dtype(weight)).T
            if item < len(vectors):
                own = vectors[item].astype(self.dtype)
                column += found @ (own * self.dtype(weight))
                diagonal += weight * float(own @ own)
        return diagonal

    def target(self, column: FloatArray, near: IntArray, j: int) -> FloatArray:
        """M_Nj from A_Nj."""
        found = column.copy()
        if self.turn is not None:
            into = self.scales.into
            rows, row = self.touched.rows[near], int(self.touched.rows[j])
            found += _entries(self.turn, rows, row) * into[near] * into[j]
        if self.graph is not None:
            found += self.pull * _entries(self.graph, near, j)
        return found


def solve_local(system: LocalSystem, near: Near, columns: IntArray | None = None) -> LocalSolution:
    """B on the neighbourhoods, column by column.

    Args:
        system: A and M.
        near: The neighbourhoods.
        columns: Places of the columns to solve for, or None for all.

    Raises:
        DataError: A system is not positive definite.
    """
    n = len(system.touched.rows)
    asked = np.zeros(n, bool)
    asked[slice(None) if columns is None else columns] = True
    lengths = np.where(asked, np.diff(near.indptr), 0)
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    data = np.zeros(indptr[-1], np.float32)
    precision = np.full(n, np.nan)
    order = near.order[asked[near.order]]
    for start in range(0, len(order), TOGETHER):
        for group, rows in _groups(near, order[start : start + TOGETHER]):
            block = system.block(rows)
            for j in group:
                place = slice(indptr[j], indptr[j + 1])
                data[place], precision[j] = _solve_column(system, block, rows, near.of(int(j)), int(j))
    indices = near.indices if asked.all() else near.indices[_ranges(near.indptr, np.flatnonzero(asked))[0]]
    weights = sparse.csc_array((data, indices, indptr), shape=(n, n)).tocsr()
    return LocalSolution(system.scales, sparse.csr_array(weights), precision)


def _groups(near: Near, columns: IntArray) -> Iterator[tuple[IntArray, IntArray]]:
    """The columns in groups with the rows they need, at most `WIDEST` unless one column alone needs more."""
    rows = np.unique(np.concatenate([columns, *[near.of(int(j)) for j in columns]]))
    if len(rows) <= WIDEST or len(columns) == 1:
        yield columns, rows
    else:
        half = len(columns) // 2
        yield from _groups(near, columns[:half])
        yield from _groups(near, columns[half:])


def _solve_column(
    system: LocalSystem, block: FloatArray, rows: IntArray, near: IntArray, j: int
) -> tuple[FloatArray, float]:
    """(B_Nj, diag(P)_j) of one column; `block` is over `rows`."""
    inside, own = np.searchsorted(rows, near), int(np.searchsorted(rows, j))
    left = block.ravel().take(inside[:, None] * len(rows) + inside)
    column = block[own].take(inside)
    ridge = system.scales.ridge + system.pull
    diagonal = float(block[own, own] + ridge[j]) + system.add_media(left, column, near, j)
    left[np.diag_indices(len(near))] += ridge[near]
    sides = column[:, None] if system.plain else np.stack([column, system.target(column, near, j)], axis=1)
    if not len(near):
        return column, 1.0 / diagonal
    posv = lapack.sposv if system.dtype is np.float32 else lapack.dposv
    _, found, info = posv(left.T, np.asfortranarray(sides), lower=1, overwrite_a=1)
    if info != 0:
        raise DataError(f"The system of {len(near)} neighbours is not positive definite.", hint="Raise the ridge.")
    return found[:, -1], 1.0 / (diagonal - float(column @ found[:, 0]))


def upper_half(matrix: sparse.csr_array, touched: Touched, order: IntArray) -> Upper:
    """Of a symmetric matrix the entries whose column has more users than their row, over the touched rows.

    Every pair is there once, in the row of the rarer one, so no row is long however popular an item is.

    Args:
        matrix: (J, J) sparse.
        touched: Who takes part, n rows.
        order: (n,) places, in the order in which they shall stand.
    """
    n = len(touched.rows)
    rank, at = np.empty((2, n), np.int32)
    rank[np.lexsort((np.arange(n), touched.counts[touched.rows]))] = np.arange(n)
    at[order] = np.arange(n)
    size = matrix.nnz // 2 + 1
    indices, data = np.empty(size, np.int32), np.empty(size, np.float32)
    indptr = np.zeros(n + 1, np.int64)
    end = 0
    for start in range(0, n, STEP):
        places = order[start : start + STEP]
        entries, lengths = _ranges(matrix.indptr, touched.rows[places])
        columns = touched.place[matrix.indices[entries]]
        owner = np.repeat(np.arange(len(places)), lengths)
        kept = rank[columns] > rank[places[owner]]
        count = int(kept.sum())
        indices[end : end + count], data[end : end + count] = at[columns[kept]], matrix.data[entries[kept]]
        indptr[start + 1 : start + 1 + len(places)] = np.bincount(owner[kept], minlength=len(places))
        end += count
    return Upper(at, np.cumsum(indptr), indices[:end], data[:end])


STEP = 4096
"""Rows that are read at once."""


def _ranges(indptr: IntArray, rows: IntArray) -> tuple[IntArray, IntArray]:
    """Where the entries of some rows of a CSR matrix are, one row behind the other, and how many each has."""
    starts, lengths = indptr[rows].astype(np.int64), (indptr[rows + 1] - indptr[rows]).astype(np.int64)
    offsets = np.cumsum(lengths) - lengths
    return np.repeat(starts - offsets, lengths) + np.arange(lengths.sum()), lengths


def _entries(matrix: sparse.csc_array, rows: IntArray, column: int) -> FloatArray:
    """(len(rows),) the entries of a column, whose indices are sorted."""
    span = slice(matrix.indptr[column], matrix.indptr[column + 1])
    there, values = matrix.indices[span], matrix.data[span]
    if not len(there):
        return np.zeros(len(rows), np.float32)
    place = np.minimum(np.searchsorted(there, rows), len(there) - 1)
    return np.where(there[place] == rows, values[place], np.float32(0))
