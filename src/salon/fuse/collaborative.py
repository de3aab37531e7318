"""The collaborative space: vectors of items made of who acted on them, for aligners and fusers to learn from."""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.sparse import linalg

from salon.arrays import power_or_zero, scale_columns, scale_rows, unit_rows
from salon.data import Events
from salon.encode.base import Features

EVENTS = "events"
"""The name of the collaborative space among modalities."""


def collaborative_features(events: Events, n_items: int, dim: int) -> Features:
    """Items as the leading right singular vectors of the normalised matrix of users and items.

    With X the matrix of positive actions, 0 or 1, the vectors are the rows of V sqrt(S) from the truncated singular
    value decomposition of D_u^(-1/2) X D_i^(-1/2), scaled to unit length. Items without a positive action are masked.

    Args:
        events: Only those with a positive weight count.
        n_items: How many items there are.
        dim: Most numbers per vector; fewer where there are fewer users or items.

    Source: Sarwar et al., "Application of Dimensionality Reduction in Recommender System", WebKDD 2000.
    """
    liked = events.weights > 0
    users, items = events.users[liked], events.items[liked]
    shape = (int(users.max(initial=-1)) + 1, n_items)
    matrix = sparse.csr_array((np.ones(len(users), np.float64), (users, items)), shape=shape)
    matrix.data[:] = 1.0  # repeated actions count once
    per_user, per_item = matrix.sum(axis=1), matrix.sum(axis=0)
    matrix = scale_columns(scale_rows(matrix, power_or_zero(per_user, -0.5)), power_or_zero(per_item, -0.5))
    vectors = _right_vectors(matrix, dim)
    return Features(unit_rows(vectors), np.asarray(per_item > 0), f"events-{vectors.shape[1]}")


def _right_vectors(matrix: sparse.csr_array, dim: int) -> np.ndarray:
    """(items, k) V sqrt(S), the largest singular values first, the largest number of each column positive."""
    smaller = min(matrix.shape)
    if smaller == 0 or not matrix.nnz:
        return np.zeros((matrix.shape[1], 1))
    if smaller <= dim + 1:
        _, values, right = np.linalg.svd(matrix.toarray(), full_matrices=False)
    else:
        start = np.random.default_rng(0).standard_normal(smaller)
        _, values, right = linalg.svds(matrix, k=dim, v0=start, return_singular_vectors="vh")
    order = np.argsort(-values)[: min(dim, int((values > 1e-9).sum()))]
    vectors = right[order].T * np.sqrt(values[order])
    return vectors * np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(vectors.shape[1])])
