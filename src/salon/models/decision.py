"""Decision-level fusion: one model per modality, and their answers joined.

With s_m the scores of the model of modality m for one person, r_m their ranks as shares (1 the best item, ties take
their mean), and all means over the models that can score an item, weighted:

    rank    mean of r_m (Borda count; Aslam and Montague, SIGIR 2001)
    score   mean of (s_m - mean) / standard deviation, both over the items of one person (Fox and Shaw, 1994)
    vote    share of the models that have the item among their best `top`, ties by `rank`
    stack   sum over m of w_m z_m + b_m, z_m as for "score"; w and b by logistic regression on held-out actions
            (Wolpert, "Stacked Generalization", Neural Networks 1992)

A model that cannot score an item, because the item lacks its modality, has no say in it. Ranks and votes of models that
know different items are not on one scale: where many items lack a modality, "score" and "stack" are the better choice.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from salon.config import Settings
from salon.data import Dataset, Holdout, Queries
from salon.encode.base import FeatureSet
from salon.errors import SettingError, did_you_mean
from salon.models.base import Recommender
from salon.models.decision_stack import hold_out, stacked
from salon.models.joining import Combined, learned_sum, rank_shares, standardised, weighted_mean
from salon.registry import create
from salon.types import BoolArray, FloatArray

TIE = 1e-3
"""What a whole rank is worth beside a vote."""

Weight = Annotated[float, Field(ge=0)]


class DecisionSettings(Settings):
    """Settings of `Decision`."""

    model: str = "contentknn"
    """Short name of the model that is fitted once per modality; it should read content."""
    inner: dict[str, Any] = {}  # noqa: RUF012  pydantic copies it
    """The settings of that model."""
    join: Literal["score", "rank", "vote", "stack"] = "score"
    """How the answers are joined."""
    weights: dict[str, Weight] = {}  # noqa: RUF012  pydantic copies it
    """Weight of each modality's model by name; those not named have 1. "stack" learns its own."""
    top: int = Field(100, ge=1)
    """Items that a model votes for, of those that are not in the history."""


class Decision(Combined):
    """One model per modality, their answers joined by ranks, scores, votes or learned weights."""

    needs_features = True
    handles_cold_items = True
    handles_cold_users = True
    settings: DecisionSettings
    names_: list[str]
    weights_: FloatArray
    bias_: FloatArray

    def _fit(
        self, data: Dataset, items: FeatureSet, rng: np.random.Generator, validation: Holdout | None
    ) -> dict[str, Any]:
        weights = self._declared(items)
        bias: FloatArray = np.zeros(len(weights))
        seeds = rng.integers(2**62, size=len(weights))
        models = self._models(data, items, seeds, validation)
        if self.settings.join == "stack":
            questions, known = (validation, data) if validation is not None else hold_out(data, rng)
            judges = models if known is data else self._models(known, items, seeds, None)
            weights, bias = stacked(questions, lambda queries: [standardised(m.score(queries)) for m in judges], rng)
        return {
            "names_": list(items),
            "models_": models,
            "weights_": weights.astype(np.float32),
            "bias_": bias.astype(np.float32),
        }

    def _declared(self, items: FeatureSet) -> FloatArray:
        """(modalities,) the weights that were set."""
        given = self.settings.weights
        for name in given:
            if name not in items:
                hint = did_you_mean(name, items)
                raise SettingError(f"There is a weight for {name!r}, but no such features.", hint=hint)
        weights: FloatArray = np.array([given.get(name, 1.0) for name in items])
        if not weights.any():
            raise SettingError("All weights are 0.", hint="Give at least one model a say.")
        return weights

    def _models(self, data: Dataset, items: FeatureSet, seeds: Any, validation: Holdout | None) -> list[Recommender]:
        """One fitted model per modality."""
        return [
            self._blank(number).fit(data, items.only([name]), rng=int(seed), validation=validation)
            for number, (name, seed) in enumerate(zip(items, seeds, strict=True))
        ]

    def _blank(self, number: int) -> Recommender:
        model: Recommender = create("model", self.settings.model, self.settings.inner)
        return model

    def _score(self, queries: Queries) -> FloatArray:
        scores = [model.score(queries) for model in self.models_]
        join = self.settings.join
        if join in ("score", "stack"):
            standard = [standardised(part) for part in scores]
            if join == "stack":
                return learned_sum(standard, self.weights_, self.bias_)
            return weighted_mean(standard, self.weights_)
        ranks = weighted_mean([rank_shares(part) for part in scores], self.weights_)
        if join == "rank":
            return ranks
        seen = queries.seen(self.n_items_).toarray() > 0
        votes = [np.where(np.isfinite(part), _votes(part, seen, self.settings.top), -np.inf) for part in scores]
        return weighted_mean(votes, self.weights_) + np.float32(TIE) * ranks


def _votes(scores: FloatArray, seen: BoolArray, top: int) -> FloatArray:
    """(n, items) float32, 1 where an item scores at least as well as the last of the `top` best unseen ones."""
    unseen = np.where(seen, -np.inf, scores)
    place = min(top, scores.shape[1])
    edge = -np.partition(-unseen, place - 1, axis=1)[:, place - 1 : place]
    return ((scores >= edge) & np.isfinite(scores)).astype(np.float32)
