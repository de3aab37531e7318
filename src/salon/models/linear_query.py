"""A history as the linear model reads it: recent actions weigh more, disliked ones count against."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from salon.data import Queries
from salon.models.linear_point import Point
from salon.types import FloatArray


def action_weights(queries: Queries, point: Point) -> FloatArray:
    """(actions,) float32: w exp(-rank / delta), negative times `dislike` for dislikes, 0 for neither.

    Recency belongs to the query alone, so it never needs a refit. Histories without order weigh all actions alike.
    """
    weights = queries.weights.astype(np.float64)
    weights = np.where(weights < 0, point.dislike * weights, weights)
    if point.reach and queries.ordered:
        weights = weights * np.exp(-queries.recency_rank() / point.reach)
    return weights.astype(np.float32)


def query_rows(queries: Queries, point: Point, n_items: int, n_attributes: int) -> sparse.csr_array:
    """(n, items + attributes) sparse float32, what the model multiplies; entries that weigh nothing are dropped."""
    weights = action_weights(queries, point)
    kept = weights != 0
    place = (queries.row_of()[kept], queries.items[kept])
    rows = sparse.csr_array((weights[kept], place), shape=(len(queries), n_items))
    if not n_attributes:
        return rows
    profiles = queries.profiles if queries.profiles is not None else sparse.csr_array((len(queries), n_attributes))
    return sparse.csr_array(sparse.hstack([rows, profiles], format="csr", dtype=np.float32))
