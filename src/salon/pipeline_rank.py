"""The best items for each person: from the model first, and from a fallback, told apart, where it has no answer."""

from __future__ import annotations

import numpy as np

from salon.data import Dataset, Queries
from salon.models.base import Recommender
from salon.models.popular import Popular
from salon.registry import name_of
from salon.types import BoolArray, FloatArray, IntArray, TopK

POPULAR = "popular"
"""The source of items where the model has no answer."""


def ranked(model: Recommender, fallback: Popular, queries: Queries, k: int, allow: BoolArray | None = None) -> TopK:
    """(n, k) rows of the best items with their sources; scores of different sources cannot be compared.

    Args:
        model: The fitted model.
        fallback: What answers for people whom the model does not know, and where its rows run short.
        queries: n histories.
        k: How many items.
        allow: (items,) or (n, items) bool, what may be recommended.
    """
    found = model.recommend(queries, k, allow=allow)
    more = fallback.recommend(queries, k, allow=allow)
    ids, scores, sources = found.ids.copy(), found.scores.copy(), np.zeros(found.ids.shape, np.int8)
    unknown = ~known(model, queries)
    ids[unknown], scores[unknown] = -1, -np.inf
    for row in np.flatnonzero((ids < 0).any(axis=1)):
        _fill(ids[row], scores[row], sources[row], more.ids[row], more.scores[row])
    return TopK(ids, scores, sources, (name_of("model", type(model)), POPULAR))


def fallback_of(data: Dataset) -> Popular:
    """What is popular; nothing is where nobody has liked anything yet."""
    if data.touched().any():
        return Popular().fit(data)
    nothing = np.full(data.n_items, -np.inf, np.float32)
    return Popular().restore({"n_items_": data.n_items, "counts_": nothing})


def known(model: Recommender, queries: Queries) -> BoolArray:
    """(n,) whether the model has something to go by: a liked item, or attributes if it reads them."""
    liked: BoolArray = np.bincount(queries.row_of()[queries.weights > 0], minlength=len(queries)) > 0
    if queries.profiles is None or not model.reads_profiles:
        return liked
    return liked | (np.diff(queries.profiles.indptr) > 0)


def _fill(ids: IntArray, scores: FloatArray, sources: IntArray, more: IntArray, more_scores: FloatArray) -> None:
    """Fills the free places at the end of one row with further items, in place."""
    taken = set(ids[ids >= 0].tolist())
    place = len(taken)
    for item, score in zip(more, more_scores, strict=True):
        if place < len(ids) and item >= 0 and int(item) not in taken:
            ids[place], scores[place], sources[place] = item, score, 1
            place += 1
