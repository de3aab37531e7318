"""EASE: a linear item-to-item model with a zero diagonal, in closed form (Steck, WWW 2019).

With X the users x items matrix of liked items, G = X^T X and P = (G + reg I)^-1, the minimiser of
|X - X B|^2 + reg |B|^2 with diag(B) = 0 is B = I - P diag(1 / diag P); a history x scores x B. It is the `linear` model
without media, dropout, exponents and recency, and its baseline.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import Field

from salon.config import Settings
from salon.data import Dataset, Holdout, Queries
from salon.encode.base import FeatureSet
from salon.errors import DataError, ResourceError
from salon.models.additive import split_by_clicks
from salon.models.base import Contributions, Recommender
from salon.models.linear_holdout import warm_task
from salon.models.linear_media import Media
from salon.models.linear_point import Point
from salon.models.linear_problem import Budget, Problem
from salon.models.linear_solve import scales_of
from salon.types import FloatArray, IntArray

REGS = (10.0, 30.0, 100.0, 200.0, 300.0, 500.0, 1000.0, 2000.0, 5000.0)

UNASKED = 300.0
"""The ridge where the data are too few to ask any question."""


class EaseSettings(Settings):
    """Settings of `EASE`."""

    reg: float | None = Field(None, gt=0)
    """Ridge; without it, it is chosen from 10 to 5000 on held-out questions."""
    max_items: int = Field(20_000, ge=1)
    """Touched items beyond which the dense solve is refused."""


class EASE(Recommender):
    """Embarrassingly shallow autoencoder."""

    settings: EaseSettings = EaseSettings()
    handles_cold_users = True

    rows_: IntArray
    weights_: FloatArray
    reg_: float

    def _fit(
        self, data: Dataset, items: FeatureSet, rng: np.random.Generator, validation: Holdout | None
    ) -> dict[str, Any]:
        queries = data.queries(data.active_users())
        if not (queries.weights > 0).any():
            raise DataError("There is no positive action to learn from.", hint="Check the weights of the events.")
        problem = Problem(queries, Media.of(FeatureSet({}, data.n_items)), data.n_items)
        grams = problem.grams(PLAIN)
        if grams.items > self.settings.max_items:
            raise ResourceError(
                f"{grams.items} touched items need {4e-9 * grams.items**2:.1f} GB for each of three matrices; "
                f"allowed are {self.settings.max_items} items.",
                hint="Leave out rare items, raise max_items, or use 'itemknn'.",
            )
        unit = scales_of(problem.statistics(PLAIN), grams, PLAIN).unit
        reg = self.settings.reg
        if reg is None:
            task = warm_task(problem, data.touched(), validation, queries.ordered, rng)
            values = [task.value(plain(each / unit), Budget(np.inf)) for each in REGS]
            reg = REGS[int(np.argmax(values))] if len(task.holdout) else UNASKED
        solution = problem.solution(plain(reg / unit), Budget(np.inf))
        return {"rows_": grams.rows, "weights_": solution.weights, "reg_": float(reg)}

    def _score(self, queries: Queries) -> FloatArray:
        scores = np.full((len(queries), self.n_items_), -np.inf, np.float32)
        liked = queries.positives(self.n_items_)[:, self.rows_]
        scores[:, self.rows_] = liked @ self.weights_
        scores[np.diff(liked.indptr) == 0] = -np.inf
        return scores

    def contributions(self, queries: Queries, targets: IntArray) -> Contributions:
        """The weights from each item of the history to its target; see `Explainable`."""
        self.check_fitted()
        place = np.full(self.n_items_, -1, np.int64)
        place[self.rows_] = np.arange(len(self.rows_))
        source, target = place[queries.items], place[targets[queries.row_of()]]
        strengths = np.where((source >= 0) & (target >= 0), self.weights_[source, target], np.float32(0))
        return split_by_clicks(queries, strengths, weighted=True)


def plain(ridge: float) -> Point:
    """The point of the linear model that is EASE; `ridge` in units of mean diag(G)."""
    return Point(user_exponent=0.0, item_exponent=0.0, dropout=0.0, ridge=ridge)


PLAIN = plain(1.0)
