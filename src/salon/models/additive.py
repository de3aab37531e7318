"""The exact split of models whose score is a sum over the items of the history, with clicks as the only source."""

from __future__ import annotations

import numpy as np

from salon.data import Queries
from salon.models.base import Contributions
from salon.types import FloatArray

CLICKS = "clicks"


def action_weights(queries: Queries, *, weighted: bool) -> FloatArray:
    """(actions,) float32: the weight of each liked item, or 1; 0 for everything else in the history."""
    liked = queries.weights > 0
    return np.where(liked, queries.weights if weighted else np.float32(1), np.float32(0)).astype(np.float32)


def split_by_clicks(queries: Queries, strengths: FloatArray, *, weighted: bool) -> Contributions:
    """The split of a score that is the sum of weight times strength over the history.

    Args:
        queries: n histories.
        strengths: (actions,) how strongly each item of the history speaks for the target of its query.
        weighted: Whether the weights of the actions count.
    """
    values = action_weights(queries, weighted=weighted) * np.asarray(strengths, np.float32)
    return Contributions(values[:, None], (CLICKS,), np.zeros(len(queries), np.float32))
