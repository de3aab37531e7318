"""Training rows and query rows as sparse matrices, and what is said of items without evidence."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from salon.data import Dataset, Queries
from salon.errors import DataError
from salon.types import BoolArray, FloatArray


def training_rows(data: Dataset, *, weighted: bool = True) -> sparse.csr_array:
    """(users, items) float32 of the positive actions: their weights, or ones.

    Raises:
        DataError: There is no positive action to learn from.
    """
    rows = data.positives()
    if rows.nnz == 0:
        raise DataError("There are no positive actions to learn from.", hint="Give events with a weight above 0.")
    return rows if weighted else ones_like(rows)


def query_rows(queries: Queries, n_items: int, *, weighted: bool = True) -> sparse.csr_array:
    """(n, items) float32 of the liked items of the histories: their weights, or ones."""
    rows = queries.positives(n_items)
    return rows if weighted else ones_like(rows)


def ones_like(matrix: sparse.csr_array) -> sparse.csr_array:
    """The same pattern with every stored value 1."""
    return sparse.csr_array((np.ones_like(matrix.data), matrix.indices, matrix.indptr), shape=matrix.shape)


def touched_columns(rows: sparse.csr_array) -> BoolArray:
    """(items,) bool, the columns with a stored value."""
    return np.asarray(np.bincount(rows.indices, minlength=rows.shape[1]) > 0)


def stored_scores(product: sparse.csr_array) -> FloatArray:
    """(n, items) float32: the stored values, -inf where nothing is stored, so that no evidence is not a score of 0."""
    scores = np.full(product.shape, -np.inf, np.float32)
    scores[np.repeat(np.arange(product.shape[0]), np.diff(product.indptr)), product.indices] = product.data
    return scores


def answerable(scores: FloatArray, rows: sparse.csr_array, touched: BoolArray) -> FloatArray:
    """The scores with -inf for untouched items and for histories without a touched item, in place."""
    known = np.asarray(rows @ touched.astype(np.float32)) > 0
    scores[:, ~touched] = -np.inf
    scores[~known] = -np.inf
    return scores
