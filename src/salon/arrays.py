"""Small array functions that every layer shares: top-k, normalising, blockwise similarity, sparse rows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import sparse

from salon.types import MISSING_ID, BoolArray, FloatArray, IntArray, TopK

ROUNDING = 1e-6
"""Parts of the largest number of a row below which differences are rounding of float32."""


def top_k(scores: FloatArray, k: int) -> TopK:
    """The `k` largest scores per row, largest first; equal scores by the smaller column.

    Args:
        scores: (n, columns) float; -inf marks a column that may not be chosen, NaN counts as -inf.
        k: How many to take, at least 1; rows run short when fewer columns may be chosen.

    Returns:
        ids (n, k) int64 and scores (n, k) float32.
    """
    scores = np.asarray(scores, dtype=np.float32)
    rows, columns = scores.shape
    if np.isnan(scores).any():
        scores = np.where(np.isnan(scores), -np.inf, scores)
    kept = min(k, columns)
    ids = np.full((rows, k), MISSING_ID, dtype=np.int64)
    best = np.full((rows, k), -np.inf, dtype=np.float32)
    if rows and kept:
        chosen = _largest(scores, kept)
        values = np.take_along_axis(scores, chosen, axis=1)
        order = np.lexsort((chosen, -values), axis=1)
        best[:, :kept] = np.take_along_axis(values, order, axis=1)
        ids[:, :kept] = np.take_along_axis(chosen, order, axis=1)
        ids[best == -np.inf] = MISSING_ID
    return TopK(ids, best)


def _largest(scores: FloatArray, k: int) -> IntArray:
    """(n, k) columns of the k largest scores per row, ties at the edge broken by the smaller column."""
    rows, columns = scores.shape
    if k == columns:
        return np.broadcast_to(np.arange(columns), (rows, columns)).astype(np.int64)
    if columns >= WIDE and k * FEW <= columns:
        return np.stack([_largest_of_row(row, k) for row in scores])
    return _partitioned(scores, k)


WIDE, FEW = 4_096, 64
"""Columns from which on rows are looked at one by one, and for how small a part of them that pays."""


def _largest_of_row(row: FloatArray, k: int) -> IntArray:
    """The same for one long row: what is below the k-th largest of the maxima of its pieces is not among them."""
    width = len(row) // (8 * k)
    most = np.maximum.reduceat(row, np.arange(0, len(row), width))
    bound = np.partition(most, len(most) - k)[len(most) - k]
    if bound > -np.inf:
        found = np.flatnonzero(row >= bound)
        if len(found) * 4 <= len(row):
            return found[np.lexsort((found, -row[found]))[:k]]
    return _partitioned(row[None], k)[0]


def _partitioned(scores: FloatArray, k: int) -> IntArray:
    """The same by partition, which takes its time where many columns are equal."""
    columns = scores.shape[1]
    chosen = np.argpartition(scores, columns - k, axis=1)[:, columns - k :]
    edge = np.take_along_axis(scores, chosen, axis=1).min(axis=1)
    tied = (edge > -np.inf) & ((scores >= edge[:, None]).sum(axis=1) > k)
    for row in np.flatnonzero(tied):
        above = np.flatnonzero(scores[row] > edge[row])
        level = np.flatnonzero(scores[row] == edge[row])[: k - above.size]
        chosen[row] = np.concatenate([above, level])
    return chosen


def unit_rows(matrix: FloatArray) -> FloatArray:
    """Rows of length 1 (L2); rows of length 0 stay 0, NaN stays NaN. (n, d) float in, (n, d) float32 out."""
    matrix = np.asarray(matrix, dtype=np.float32)
    norms = np.linalg.norm(matrix, axis=1, keepdims=True)
    return np.divide(matrix, norms, out=np.zeros_like(matrix), where=norms != 0)


def centred_unit_rows(vectors: FloatArray, present: BoolArray, mean: FloatArray | None = None) -> FloatArray:
    """Rows centred on the mean of the present ones and of unit length; absent rows are 0.

    Args:
        vectors: (n, d) float.
        present: (n,) bool.
        mean: (d,) float, the centre to use instead, such as the one frozen at fit.

    Returns:
        (n, d) float32.
    """
    vectors = np.asarray(vectors, dtype=np.float32)
    if mean is None:
        mean = vectors[present].mean(axis=0, dtype=np.float64) if present.any() else np.zeros(vectors.shape[1])
    mean = np.asarray(mean, dtype=np.float32)
    centred = np.where(present[:, None], vectors - mean, np.float32(0))
    # what is left of a row at the mean is rounding, not a direction
    size = np.abs(vectors).max(axis=1, initial=0)
    centred[np.abs(centred).max(axis=1, initial=0) <= ROUNDING * size] = 0
    return unit_rows(centred)


def blocks(n: int, size: int) -> Iterator[slice]:
    """Slices that cover 0..n in pieces of `size`."""
    for start in range(0, n, size):
        yield slice(start, min(start + size, n))


def block_size(columns: int, *, budget_bytes: int = 64 << 20, itemsize: int = 4) -> int:
    """How many rows of `columns` numbers fit `budget_bytes`; at least 1."""
    return max(1, budget_bytes // max(1, columns * itemsize))


def nearest_rows(
    queries: FloatArray, vectors: FloatArray, k: int, *, skip_self: bool = False, guess: IntArray | None = None
) -> TopK:
    """The k rows of `vectors` with the largest dot product, blockwise in bounded memory.

    Args:
        queries: (n, d) float.
        vectors: (m, d) float.
        k: Neighbours per query.
        skip_self: Leave out row i for query i (both matrices are the same).
        guess: (n, k) k different rows that are likely near, such as the nearest of a moment ago. The answer is the
            same; the better the guess, the sooner it is there.

    Returns:
        ids (n, k) and dot products (n, k).
    """
    parts = []
    for rows in blocks(len(queries), block_size(len(vectors))):
        scores = queries[rows] @ vectors.T
        if skip_self:
            scores[np.arange(scores.shape[0]), np.arange(rows.start, rows.stop)] = -np.inf
        parts.append(top_k(scores, k) if guess is None else _top_k_from(scores, guess[rows]))
    if not parts:
        return TopK(np.zeros((0, k), np.int64), np.zeros((0, k), np.float32))
    return TopK(np.concatenate([p.ids for p in parts]), np.concatenate([p.scores for p in parts]))


def _top_k_from(scores: FloatArray, guess: IntArray) -> TopK:
    """`top_k` for k columns (n, k) named: nothing below the least of them is among the k largest of its row."""
    n, k = guess.shape
    bound = np.take_along_axis(scores, guess, axis=1).min(axis=1)
    near = scores >= bound[:, None]
    counts = near.sum(axis=1)
    many = (counts > MANY * k) | (bound == -np.inf)
    near[many] = False
    row, column = np.divmod(np.flatnonzero(near), scores.shape[1])  # of two dimensions it would take many times as long
    values, counts = scores[row, column], np.where(many, 0, counts)
    order = np.lexsort((column, -values, row))
    first = (np.cumsum(counts) - counts)[~many, None] + np.arange(k)
    ids, best = np.empty((n, k), np.int64), np.empty((n, k), np.float32)
    ids[~many], best[~many] = column[order[first]], values[order[first]]
    searched = top_k(scores[many], k)
    ids[many], best[many] = searched.ids, searched.scores
    return TopK(ids, best)


MANY = 16
"""How many times k columns of a row are sorted rather than searched."""


def keep_top_per_row(matrix: sparse.csr_array, k: int) -> sparse.csr_array:
    """The matrix with only the k largest stored values of every row; equal values by the smaller column."""
    matrix = sparse.csr_array(matrix)
    counts = np.diff(matrix.indptr)
    if counts.max(initial=0) <= k:
        return matrix
    rows = np.repeat(np.arange(matrix.shape[0]), counts)
    order = np.lexsort((matrix.indices, -matrix.data, rows))
    rank = np.arange(matrix.nnz) - np.repeat(matrix.indptr[:-1], counts)
    kept = np.sort(order[rank < k])
    return sparse.csr_array(
        (matrix.data[kept], (rows[kept], matrix.indices[kept])), shape=matrix.shape, dtype=matrix.dtype
    )


def scale_rows(matrix: sparse.csr_array, factors: FloatArray) -> sparse.csr_array:
    """diag(factors) @ matrix, sparse."""
    return sparse.csr_array(sparse.diags_array(np.asarray(factors)) @ matrix)


def scale_columns(matrix: sparse.csr_array, factors: FloatArray) -> sparse.csr_array:
    """matrix @ diag(factors), sparse."""
    return sparse.csr_array(matrix @ sparse.diags_array(np.asarray(factors)))


def power_or_zero(values: FloatArray, exponent: float) -> FloatArray:
    """values ** exponent where values > 0, else 0; float64."""
    values = np.asarray(values, dtype=np.float64)
    return np.power(values, exponent, out=np.zeros_like(values), where=values > 0)
