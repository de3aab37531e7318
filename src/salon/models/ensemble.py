"""An ensemble of models of any kind, joined by ranks, scores, stacking, bagging or boosting.

With s_m the scores of member m for one person, z_m = (s_m - mean) / standard deviation over the items that it can score
and r_m the ranks as shares (1 the best, ties take their mean):

    rank    weighted mean of r_m (Borda count; Aslam and Montague, SIGIR 2001)
    score   weighted mean of z_m (Fox and Shaw, 1994)
    stack   sum over m of w_m z_m + b_m by logistic regression on held-out actions (Wolpert 1992)
    bag     weighted mean of z over members fitted on bootstrap samples of the people (Breiman 1996)
    boost   sum of z_m, each time of the member that helps most on held-out actions (Caruana et al., ICML 2004)
    auto    whichever of these has the highest nDCG@20 on held-out actions

Means and sums are over the members that can score an item: who cannot has no say. Ranks of members that know different
items are not on one scale.

Held-out actions are those of `validation`, else a tenth of everybody's likes. In the latter case weights and the way of
joining are found with members that were fitted without them, and the members of the ensemble are fitted on everything.
Members that are trained by gradients see in held-out actions when to stop, but for bags; others never see them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from salon.config import Settings
from salon.data import Dataset, Holdout, Queries
from salon.encode.base import FeatureSet
from salon.errors import SettingError, did_you_mean
from salon.models.base import Recommender
from salon.models.decision_stack import hold_out, stacked
from salon.models.ensemble_bags import bootstrap
from salon.models.ensemble_choice import asked, boosted, quality, some
from salon.models.joining import (
    Combined,
    Members,
    check_members,
    learned_sum,
    member,
    rank_shares,
    standardised,
    weighted_mean,
)
from salon.training.settings import TrainingSettings
from salon.types import FloatArray

Join = Literal["rank", "score", "stack", "bag", "boost"]
JOINS: tuple[Join, ...] = ("rank", "score", "stack", "bag", "boost")
Weight = Annotated[float, Field(ge=0)]


class EnsembleSettings(Settings):
    """Settings of `Ensemble`."""

    members: Members = {"linear": {}, "itemknn": {}, "rp3beta": {}}  # noqa: RUF012  pydantic copies it
    """Name of each member to its settings; the name is that of the model, unless the settings name one as `model`."""
    join: Literal["rank", "score", "stack", "bag", "boost", "auto"] = "score"
    """How the answers are joined; "auto" chooses on validation."""
    weights: dict[str, Weight] = {}  # noqa: RUF012  pydantic copies it
    """Weight of each member by name; those not named have 1. "stack" and "boost" learn their own."""
    bags: int = Field(5, ge=1)
    """Bootstrap samples that each member is fitted on when bagged."""
    rounds: int = Field(20, ge=1)
    """How often boosting adds a member; the best sum on the way is kept."""


@dataclass(frozen=True)
class Joined:
    """A way of joining, with what it learned.

    Attributes:
        join: The way.
        weights: (models,) float64.
        bias: (models,) float64, 0 except for "stack".
    """

    join: Join
    weights: FloatArray
    bias: FloatArray

    def __call__(self, scores: Sequence[FloatArray]) -> FloatArray:
        """(n, items) float32 from one (n, items) per model."""
        if self.join == "rank":
            return weighted_mean([rank_shares(part) for part in scores], self.weights)
        standard = [standardised(part) for part in scores]
        if self.join == "stack":
            return learned_sum(standard, self.weights, self.bias)
        return weighted_mean(standard, self.weights)


class Ensemble(Combined):
    """Several models, their answers joined by ranks, scores, stacking, bagging or boosting.

    An item without actions is scored where one of the members can. `weights_` holds the weight of every model in
    `models_` (members in their order, each as often as it was bagged), `tried_` the mean nDCG@20 of every way that
    "auto" tried.
    """

    handles_cold_items = True
    handles_cold_users = True
    reads_profiles = True
    settings: EnsembleSettings
    names_: list[str]
    join_: Join
    weights_: FloatArray
    bias_: FloatArray
    tried_: dict[str, float]

    def _fit(
        self, data: Dataset, items: FeatureSet, rng: np.random.Generator, validation: Holdout | None
    ) -> dict[str, Any]:
        declared, join = self._declared(), self.settings.join
        seed, (bag_rng, ask_rng) = int(rng.integers(2**62)), rng.spawn(2)
        tried: dict[str, float] = {}
        models: list[Recommender] = []
        way = Joined("score" if join == "auto" else join, declared, np.zeros(len(declared)))
        if join in ("stack", "boost", "auto"):
            questions, known = (validation, data) if validation is not None else hold_out(data, ask_rng)
            judges = self._members(known, items, seed, questions)
            models = judges if known is data else []
            questions = asked(questions, ask_rng)
            if join == "auto":
                way, tried = self._best(judges, self._bagged(known, items, bag_rng.spawn(1)[0]), questions, ask_rng)
            else:
                way = self._learned(way.join, judges, questions, ask_rng)
        if way.join == "bag":
            models = self._bagged(data, items, bag_rng)
            way = Joined("bag", np.repeat(declared, self.settings.bags), np.zeros(len(models)))
        return {
            "models_": models or self._members(data, items, seed, validation),
            "names_": list(self.settings.members),
            "join_": way.join,
            "weights_": way.weights.astype(np.float32),
            "bias_": way.bias.astype(np.float32),
            "tried_": tried,
        }

    def _declared(self) -> FloatArray:
        """(members,) the weights that were set; members and weights are checked."""
        given, members = self.settings.weights, self.settings.members
        check_members(members)
        for name in given:
            if name not in members:
                hint = did_you_mean(name, members)
                raise SettingError(f"There is a weight for {name!r}, but no such member.", hint=hint)
        weights: FloatArray = np.array([given.get(name, 1.0) for name in members])
        if not weights.any():
            raise SettingError("All weights are 0.", hint="Give at least one member a say.")
        return weights

    def _members(self, data: Dataset, items: FeatureSet, seed: int, held: Holdout | None) -> list[Recommender]:
        """Every member fitted once; who is fitted with the same seed again learns the same."""
        seeds = np.random.default_rng(seed).integers(2**62, size=len(self.settings.members))
        models = [member(name, given) for name, given in self.settings.members.items()]
        for model, one in zip(models, seeds, strict=True):
            stop_by = held if isinstance(model.settings, TrainingSettings) else None
            model.fit(data, items, rng=int(one), validation=stop_by)
        return models

    def _bagged(self, data: Dataset, items: FeatureSet, rng: np.random.Generator) -> list[Recommender]:
        """Every member fitted on each bootstrap sample; the samples are the same for all members."""
        bags = [(bootstrap(data, rng), int(rng.integers(2**62))) for _ in range(self.settings.bags)]
        members = self.settings.members.items()
        return [member(name, given).fit(bag, items, rng=seed) for name, given in members for bag, seed in bags]

    def _learned(
        self, join: Join, judges: Sequence[Recommender], questions: Holdout, rng: np.random.Generator
    ) -> Joined:
        """The way of joining with its weights learned from questions, where it learns any."""
        nothing: FloatArray = np.zeros(len(judges))
        if join == "stack":
            return Joined(join, *stacked(questions, lambda q: [standardised(m.score(q)) for m in judges], rng))
        if join == "boost":
            parts = [standardised(model.score(questions.queries)) for model in judges]
            return Joined(join, boosted(parts, questions, self.settings.rounds), nothing)
        return Joined(join, self._declared(), nothing)

    def _best(
        self, judges: list[Recommender], bagged: list[Recommender], questions: Holdout, rng: np.random.Generator
    ) -> tuple[Joined, dict[str, float]]:
        """The way with the highest nDCG@20 on one half of the questions; what it learns comes from the other half, and
        once it is chosen from both. Without two questions it is "score"."""
        if len(questions) < 2:
            return self._learned("score", judges, questions, rng), {}
        order = rng.permutation(len(questions))
        half = len(order) // 2
        learn, judge = some(questions, np.sort(order[:half])), some(questions, np.sort(order[half:]))
        each = [model.score(judge.queries) for model in judges]
        tried: dict[str, float] = {}
        for join in JOINS:
            if join == "bag":
                weights = np.repeat(self._declared(), self.settings.bags)
                way, scores = Joined(join, weights, np.zeros_like(weights)), [m.score(judge.queries) for m in bagged]
            else:
                way, scores = self._learned(join, judges, learn, rng), each
            tried[join] = float(quality(way(scores), judge).mean())
        return self._learned(max(JOINS, key=lambda join: tried[join]), judges, questions, rng), tried

    def _blank(self, number: int) -> Recommender:
        place = number // self.settings.bags if self.join_ == "bag" else number
        return member(self.names_[place], self.settings.members[self.names_[place]])

    def _score(self, queries: Queries) -> FloatArray:
        scores = [model.score(queries) for model in self.models_]
        return Joined(self.join_, self.weights_, self.bias_)(scores)
