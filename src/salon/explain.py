"""Evidence for a recommendation: how much each item of the history adds to the score, by kind of information.

Models that can split their scores (`salon.models.base.Explainable`) are split exactly: the parts sum to the score.
For any other model the part of a history item is the change of the score when that item is left out of the history
(`method="removal"`); such parts need not sum to the score, and `rest` says what they leave.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from salon.arrays import blocks
from salon.data import Queries
from salon.errors import DataError
from salon.models.base import Explainable, Recommender
from salon.types import FloatArray, IntArray

REMOVAL = "removal"
AT_ONCE = 256
"""Histories scored at once."""


@dataclass(frozen=True)
class Evidence:
    """The parts of one score.

    Attributes:
        target: Row of the recommended item.
        score: Its score.
        items: (actions,) int64 rows of the history items.
        parts: Names of the columns of `values`: "clicks", "text", "image", ...
        values: (actions, parts) float32 contributions; negative ones speak against the item.
        rest: What no history item explains.
        method: "exact" if the contributions and `rest` sum to the score, else "removal".
    """

    target: int
    score: float
    items: IntArray
    parts: tuple[str, ...]
    values: FloatArray
    rest: float
    method: Literal["exact", "removal"]

    def by_item(self) -> dict[int, float]:
        """History item to its contribution, largest first."""
        totals = self.values.sum(axis=1)
        order = np.argsort(-totals, kind="stable")
        return {int(self.items[i]): float(totals[i]) for i in order}

    def by_part(self) -> dict[str, float]:
        """Kind of information to its contribution."""
        totals = self.values.sum(axis=0)
        return {name: float(value) for name, value in zip(self.parts, totals, strict=True)}

    def because(self, most: int = 3) -> list[int]:
        """The history items that contribute most, at least a tenth of the largest each."""
        found = [(item, value) for item, value in self.by_item().items() if value > 0]
        return [item for item, value in found if value >= 0.1 * found[0][1]][:most]

    def despite(self, most: int = 2) -> list[int]:
        """The history items that speak against the item, at least a tenth of the largest part each."""
        totals = self.by_item()
        largest = max((abs(value) for value in totals.values()), default=0.0)
        against = sorted((value, item) for item, value in totals.items() if value < -0.1 * largest)
        return [item for _, item in against][:most]


def explain(model: Recommender, queries: Queries, targets: IntArray) -> list[Evidence]:
    """The evidence for item `targets[i]` in the answer to query i.

    Args:
        model: A fitted recommender.
        queries: n histories, or one for all targets.
        targets: (n,) int rows of items.

    Raises:
        DataError: The model cannot score a target.
    """
    targets = np.asarray(targets, np.int64)
    if len(queries) == 1:
        scores = model.score(queries)[0, targets]  # once for all of them
        queries = queries.take(np.zeros(len(targets), np.int64))
    else:
        scores = _scores(model, queries, targets)
    if not np.isfinite(scores).all():
        row = int(targets[~np.isfinite(scores)][0])
        raise DataError(
            f"{type(model).__name__} cannot score item row {row}.", hint="It has neither actions nor media."
        )
    if isinstance(model, Explainable):
        split = model.contributions(queries, targets)
        values, parts, rest, method = split.values, split.parts, split.rest, "exact"
    else:
        values = _removal(model, queries, targets, scores)
        sums = np.bincount(queries.row_of(), values[:, 0], minlength=len(queries))
        parts, rest, method = (REMOVAL,), scores - sums, REMOVAL
    return [
        Evidence(
            int(targets[i]),
            float(scores[i]),
            queries.items[queries.indptr[i] : queries.indptr[i + 1]],
            parts,
            values[queries.indptr[i] : queries.indptr[i + 1]],
            float(rest[i]),
            method,  # type: ignore[arg-type]
        )
        for i in range(len(queries))
    ]


def without(queries: Queries, actions: IntArray) -> Queries:
    """Copies of histories, each with one action left out: row j is the history of `actions[j]` without it."""
    owner = queries.row_of()[actions]
    copies = queries.take(owner)
    dropped = copies.indptr[:-1] + (actions - queries.indptr[owner])
    kept = np.ones(len(copies.items), bool)
    kept[dropped] = False
    return copies.only(kept)


def _scores(model: Recommender, queries: Queries, targets: IntArray) -> FloatArray:
    """(n,) float32 score of target i in the answer to query i, in bounded memory."""
    found = [np.zeros(0, np.float32)]
    for rows in blocks(len(queries), AT_ONCE):
        scores = model.score(queries.take(rows))
        found.append(scores[np.arange(len(scores)), targets[rows]])
    return np.concatenate(found)


def _removal(model: Recommender, queries: Queries, targets: IntArray, scores: FloatArray) -> FloatArray:
    """(actions, 1) fall of the score of the target when an action is left out."""
    values = np.zeros((len(queries.items), 1), np.float32)
    owner = queries.row_of()
    for part in blocks(len(owner), AT_ONCE):
        actions = np.arange(part.start, part.stop)
        left = _scores(model, without(queries, actions), targets[owner[actions]])
        left = np.where(np.isfinite(left), left, 0.0)
        values[actions, 0] = scores[owner[actions]] - left
    return values
