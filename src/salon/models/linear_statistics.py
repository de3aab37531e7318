"""All that the linear model knows about people: sums over users, which can be added to and subtracted from.

A user with the row x >= 0 of liked items (and attributes) and n = |x|^2 over the items adds

    gram   += x x^T / n^(2a)
    counts += [x > 0]
    sums   += x / n^(2a)                                  people += 1 / n^(2a)

and, where the order of actions means something, with r = exp(-1 / reach) and past_t = sum_{s<t} r^(t-1-s) x_s,

    past   += sum_t past_t past_t^T / n^(2a)        follow += sum_t past_t x_t^T / n^(2a)

Both have closed forms per pair of actions, so one user's term costs the square of the history's length.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import sparse

from salon.arrays import blocks, power_or_zero
from salon.data import Queries
from salon.errors import SettingError
from salon.types import FloatArray, IntArray


@dataclass(frozen=True)
class Statistics:
    """Sums over users, over J = items + user attributes.

    Attributes:
        gram: (J, J) sparse float32.
        counts: (J,) float64, how many users have each item or attribute.
        exponent: a.
        reach: How far back the decayed past goes; 0 when order is not counted.
        past: (J, J) sparse float32, or None.
        follow: (J, J) sparse float32, or None; row before, column after.
        sums: (J,) float64, or None where they were not kept.
        people: The weights of all users together.
    """

    gram: sparse.csr_array
    counts: FloatArray
    exponent: float
    reach: float = 0.0
    past: sparse.csr_array | None = None
    follow: sparse.csr_array | None = None
    sums: FloatArray | None = None
    people: float = 0.0

    def plus(self, other: Statistics, sign: float = 1.0) -> Statistics:
        """The statistics with those of other users added (or, with sign -1, taken out)."""
        if (self.exponent, self.reach, self.gram.shape) != (other.exponent, other.reach, other.gram.shape):
            raise SettingError("Statistics of different exponents, reaches or catalogues cannot be added.")
        counts = self.counts + sign * other.counts
        if (counts < 0).any():
            raise SettingError(
                f"Item row {int(np.argmin(counts))} would have {counts.min():.0f} users.",
                hint="Only a history that was learned can be taken out.",
            )
        emptied = ((counts == 0) & (self.counts > 0)).any()
        parts: dict[str, Any] = {}
        for name in ("gram", "past", "follow"):
            if getattr(self, name) is not None:
                total = sparse.csr_array(getattr(self, name) + sign * getattr(other, name))
                parts[name] = _pruned(total, counts) if emptied else total
        if self.sums is not None and other.sums is not None:
            parts["sums"] = np.where(counts > 0, self.sums + sign * other.sums, 0.0)
        return replace(self, counts=counts, people=self.people + sign * other.people, **parts)

    def minus(self, other: Statistics) -> Statistics:
        """The statistics without those of other users."""
        return self.plus(other, -1.0)


def _pruned(matrix: sparse.csr_array, counts: FloatArray) -> sparse.csr_array:
    """Rows and columns that nobody has any more are exactly empty, whatever rounding left there."""
    there = sparse.diags_array((counts > 0).astype(np.float32))
    kept = sparse.csr_array(there @ matrix @ there)
    kept.eliminate_zeros()
    return kept


def with_empty(matrix: sparse.csr_array | None, at: int, count: int) -> sparse.csr_array | None:
    """The matrix with `count` empty rows and columns put in before row and column `at`."""
    if matrix is None:
        return None
    size, ends, columns = matrix.shape[0] + count, matrix.indptr, matrix.indices
    if at < matrix.shape[1]:
        columns = np.where(columns < at, columns, columns + count).astype(columns.dtype)
    ends = np.concatenate([ends[: at + 1], np.full(count, ends[at]), ends[at + 1 :]]).astype(ends.dtype)
    return sparse.csr_array((matrix.data, columns, ends), shape=(size, size))


def latest(queries: Queries, limit: int) -> Queries:
    """The queries with only the `limit` latest actions of every history."""
    kept = queries.recency_rank() < limit
    return queries if kept.all() else queries.only(kept)


def liked_rows(queries: Queries, n_items: int, n_attributes: int) -> sparse.csr_array:
    """(n, items + attributes) float32 of what is liked and what people are."""
    liked = queries.positives(n_items)
    if not n_attributes:
        return liked
    profiles = queries.profiles if queries.profiles is not None else sparse.csr_array((len(queries), n_attributes))
    return sparse.csr_array(sparse.hstack([liked, profiles], format="csr", dtype=np.float32))


def collect(
    queries: Queries, n_items: int, *, exponent: float, reach: float = 0.0, n_attributes: int = 0
) -> Statistics:
    """The sums over the histories of `queries`; people without a liked item add nothing.

    Args:
        queries: Histories, n of them.
        n_items: Number of items.
        exponent: a.
        reach: How many actions back the decayed past goes, 0 to leave order out.
        n_attributes: Number of user attributes.
    """
    rows = liked_rows(queries, n_items, n_attributes)
    square = rows[:, :n_items].multiply(rows[:, :n_items]).sum(axis=1)  # n = |x|^2
    rows = sparse.csr_array(sparse.diags_array((square > 0).astype(np.float32)) @ rows)
    factors = power_or_zero(square, -2.0 * exponent)
    gram = _gram(rows, factors)
    counts = np.bincount(rows.indices[rows.data > 0], minlength=rows.shape[1]).astype(np.float64)
    found = Statistics(gram, counts, exponent, sums=rows.T @ factors, people=float(factors.sum()))
    if not reach:
        return found
    past, follow = _ordered(queries, factors, reach, rows.shape[1])
    return replace(found, reach=reach, past=past, follow=follow)


MANY_PAIRS = 5e7
"""Sum of the squared lengths of the histories beyond which the sums are made piece by piece."""


def _gram(rows: sparse.csr_array, factors: FloatArray) -> sparse.csr_array:
    """rows^T diag(factors) rows, sparse float32."""
    most = float((np.diff(rows.indptr).astype(np.float64) ** 2).sum())
    if most <= MANY_PAIRS:
        return sparse.csr_array(rows.T @ sparse.diags_array(factors) @ rows, dtype=np.float32)
    by_item, size = sparse.csr_array(rows.T), rows.shape[1]
    weighted = sparse.csr_array(sparse.diags_array(factors) @ rows, dtype=np.float32)
    kind = np.int32 if most < np.iinfo(np.int32).max else np.int64
    indices, data = np.empty(int(most), kind), np.empty(int(most), np.float32)  # memory is taken when it is written
    indptr, end = np.zeros(size + 1, kind), 0
    for part in blocks(size, 20_000):
        product = sparse.csr_array(by_item[part] @ weighted)
        span = slice(end, end + product.nnz)
        indices[span], data[span] = product.indices, product.data
        indptr[part.start + 1 : part.stop + 1] = end + product.indptr[1:]
        end += product.nnz
    return sparse.csr_array((data[:end], indices[:end], indptr), shape=(size, size))


def _ordered(
    queries: Queries, factors: FloatArray, reach: float, size: int
) -> tuple[sparse.csr_array, sparse.csr_array]:
    """`past` and `follow`, each (size, size) sparse float32."""
    if not queries.ordered:
        raise SettingError("Order was asked for, but the histories have none.", hint="Set order to 0.")
    liked = queries.weights > 0
    seen, local = np.unique(queries.items[liked], return_inverse=True)
    weights = queries.weights[liked].astype(np.float64)
    bounds = np.concatenate([[0], np.cumsum(np.bincount(queries.row_of()[liked], minlength=len(queries)))])
    if len(seen) > MANY_ITEMS:
        return _ordered_sparse(seen[local], weights, bounds, factors, reach, size)
    past = np.zeros((len(seen), len(seen)))
    follow = np.zeros_like(past)
    for query in np.flatnonzero(np.diff(bounds) > 1):
        rows = slice(bounds[query], bounds[query + 1])
        seen_past, seen_next = _terms(weights[rows], reach)
        block = np.ix_(local[rows], local[rows])
        past[block] += factors[query] * seen_past
        follow[block] += factors[query] * seen_next
    return _spread(past, seen, size), _spread(follow, seen, size)


MANY_ITEMS = 20_000
"""Items beyond which the ordered sums are never dense."""


def _ordered_sparse(
    items: IntArray, weights: FloatArray, bounds: IntArray, factors: FloatArray, reach: float, size: int
) -> tuple[sparse.csr_array, sparse.csr_array]:
    """The same from sparse pieces: (actions,) items and weights, the histories between `bounds`."""
    totals = [sparse.csr_array((size, size), dtype=np.float32) for _ in range(2)]
    pairs = np.cumsum(np.diff(bounds).astype(np.float64) ** 2)
    piece = (pairs // (MANY_PAIRS / 5)).astype(np.int64)
    for number in np.unique(piece):
        rows, columns = [], []
        values: tuple[list[FloatArray], list[FloatArray]] = ([], [])
        for query in np.flatnonzero((piece == number) & (np.diff(bounds) > 1)):
            span = slice(bounds[query], bounds[query + 1])
            for kept, terms in zip(values, _terms(weights[span], reach), strict=True):
                kept.append((factors[query] * terms).ravel().astype(np.float32))
            rows.append(np.repeat(items[span], len(items[span])))
            columns.append(np.tile(items[span], len(items[span])))
        if rows:
            place = (np.concatenate(rows), np.concatenate(columns))
            for k, kept in enumerate(values):
                totals[k] = totals[k] + sparse.csr_array((np.concatenate(kept), place), shape=(size, size))
    for total in totals:
        total.eliminate_zeros()
    return sparse.csr_array(totals[0]), sparse.csr_array(totals[1])


def _terms(weights: FloatArray, reach: float) -> tuple[FloatArray, FloatArray]:
    """sum_t past_t past_t^T and sum_t past_t x_t^T of one history, each (h, h), by the geometric series."""
    decay = np.exp(-1.0 / reach)
    place = np.arange(len(weights))
    later, gap = np.maximum.outer(place, place), np.abs(np.subtract.outer(place, place))
    tail = -np.expm1(2.0 / reach * (later + 1.0 - len(weights)))  # 1 - r^(2 (h - 1 - later))
    past = decay**gap * tail / (1.0 - decay**2)
    follow = np.where(place[None, :] > place[:, None], decay ** (gap - 1.0), 0.0)
    both = np.outer(weights, weights)
    return past * both, follow * both


def _spread(block: FloatArray, rows: IntArray, size: int) -> sparse.csr_array:
    """A dense block over `rows` as a (size, size) sparse float32 matrix."""
    part = sparse.coo_array(block)
    return sparse.csr_array((part.data.astype(np.float32), (rows[part.row], rows[part.col])), shape=(size, size))
