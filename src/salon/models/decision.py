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

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import Field
from scipy.stats import rankdata

from salon.config import Settings
from salon.data import Dataset, Holdout, Queries
from salon.encode.base import FeatureSet
from salon.errors import SettingError, did_you_mean
from salon.models.base import Recommender
from salon.models.decision_stack import hold_out, stacked
from salon.registry import create
from salon.types import BoolArray, FloatArray

PREFIX = "model_."
"""Before the number of an inner model and the names of what it learned, in a saved state."""
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


class Decision(Recommender):
    """One model per modality, their answers joined by ranks, scores, votes or learned weights."""

    needs_features = True
    handles_cold_items = True
    handles_cold_users = True
    settings: DecisionSettings
    names_: list[str]
    models_: list[Recommender]
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
            self._model().fit(data, items.only([name]), rng=int(seed), validation=validation)
            for name, seed in zip(items, seeds, strict=True)
        ]

    def _model(self) -> Recommender:
        model: Recommender = create("model", self.settings.model, self.settings.inner)
        return model

    def _score(self, queries: Queries) -> FloatArray:
        scores = [model.score(queries) for model in self.models_]
        join = self.settings.join
        if join in ("score", "stack"):
            standard = [standardised(part) for part in scores]
            return self._sum(standard) if join == "stack" else self._mean(standard)
        ranks = self._mean([rank_shares(part) for part in scores])
        if join == "rank":
            return ranks
        seen = queries.seen(self.n_items_).toarray() > 0
        votes = [np.where(np.isfinite(part), _votes(part, seen, self.settings.top), -np.inf) for part in scores]
        return self._mean(votes) + np.float32(TIE) * ranks

    def _mean(self, parts: list[FloatArray]) -> FloatArray:
        """The weighted mean over the models that can score an item, -inf where none can."""
        total, weight = np.zeros((2, *parts[0].shape), np.float32)
        for share, part in zip(self.weights_, parts, strict=True):
            able = np.isfinite(part)
            total += share * np.where(able, part, np.float32(0))
            weight += share * able
        return np.divide(total, weight, out=np.full_like(total, -np.inf), where=weight > 0)

    def _sum(self, parts: list[FloatArray]) -> FloatArray:
        """The learned sum over the models that can score an item, -inf where none can."""
        total = np.zeros(parts[0].shape, np.float32)
        some: BoolArray = np.zeros(total.shape, bool)
        for weight, bias, part in zip(self.weights_, self.bias_, parts, strict=True):
            able = np.isfinite(part)
            total += np.where(able, weight * np.where(able, part, 0) + bias, np.float32(0))
            some |= able
        return np.where(some, total, np.float32(-np.inf))

    # -- saving ------------------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Everything learned, what the inner models learned under their numbers."""
        plain = super().state()
        models = plain.pop("models_", [])
        inner = {f"{PREFIX}{i}.{name}": value for i, m in enumerate(models) for name, value in m.state().items()}
        return plain | inner

    def restore(self, state: Mapping[str, Any]) -> Self:
        """Takes back what `state` gave, or whole models under the name "models_"."""
        super().restore({name: value for name, value in state.items() if not name.startswith(PREFIX)})
        inner: dict[int, dict[str, Any]] = {}
        for name, value in state.items():
            if name.startswith(PREFIX):
                number, _, attribute = name.removeprefix(PREFIX).partition(".")
                inner.setdefault(int(number), {})[attribute] = value
        if inner:
            self.models_ = [self._model().restore(inner[number]) for number in sorted(inner)]
        return self


def rank_shares(scores: FloatArray) -> FloatArray:
    """(n, items) float32: rank among the finite scores of the row over their number, so 1 is the best; ties share
    their mean rank; -inf stays."""
    able = np.isfinite(scores)
    ranks = rankdata(scores, axis=1) - (~able).sum(axis=1, keepdims=True)
    shares = ranks / np.maximum(able.sum(axis=1, keepdims=True), 1)
    return np.where(able, shares, -np.inf).astype(np.float32)


def standardised(scores: FloatArray) -> FloatArray:
    """(n, items) float32: minus the mean, over the standard deviation of the finite scores of the row; -inf stays."""
    able = np.isfinite(scores)
    count = np.maximum(able.sum(axis=1, keepdims=True), 1)
    values = np.where(able, scores, 0).astype(np.float64)
    centred = np.where(able, values - values.sum(axis=1, keepdims=True) / count, 0)
    spread = np.sqrt(np.square(centred).sum(axis=1, keepdims=True) / count)
    even = np.divide(centred, spread, out=np.zeros_like(centred), where=spread > 1e-9)
    return np.where(able, even, -np.inf).astype(np.float32)


def _votes(scores: FloatArray, seen: BoolArray, top: int) -> FloatArray:
    """(n, items) float32, 1 where an item scores at least as well as the last of the `top` best unseen ones."""
    unseen = np.where(seen, -np.inf, scores)
    place = min(top, scores.shape[1])
    edge = -np.partition(-unseen, place - 1, axis=1)[:, place - 1 : place]
    return ((scores >= edge) & np.isfinite(scores)).astype(np.float32)
