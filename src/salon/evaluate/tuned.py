"""What tuning takes and gives, as frozen values; needs no extra package."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from salon import metrics, registry
from salon.config import build
from salon.data import Holdout
from salon.errors import SettingError, did_you_mean
from salon.evaluate.space import Space, as_plain
from salon.evaluate.trial import Trial, rank
from salon.models.base import Recommender
from salon.types import FloatArray

MEASURES = {
    "ndcg": metrics.ndcg,
    "recall": metrics.recall,
    "map": metrics.average_precision,
    "hit_rate": lambda hits, relevant, k: metrics.hit_rate(hits, k),
    "mrr": lambda hits, relevant, k: metrics.reciprocal_rank(hits, k),
    "precision": lambda hits, relevant, k: metrics.precision(hits, k),
}
"""What can be tuned for, as in "ndcg@10"."""


@dataclass(frozen=True)
class Plan:
    """What is to be tuned, and how long.

    Attributes:
        model: Registered name.
        space: What is tried.
        base: Settings that stay as they are.
        metric: Such as "ndcg@10".
        seed: Of the fits and of the search.
        seconds: Budget in seconds on the clock, over all runs into one folder; the trial that passes it is finished.
        trials: Most trials, over all runs into one folder.
        prune: Whether trials far behind the others are stopped while they train.
    """

    model: str
    space: Space
    base: Mapping[str, Any] = field(default_factory=dict)
    metric: str = "ndcg@10"
    seed: int = 0
    seconds: float | None = None
    trials: int | None = None
    prune: bool = True


@dataclass(frozen=True)
class Tried:
    """One trial: its settings, "complete", "pruned" or "failed", its value, seconds, and why it failed."""

    settings: Mapping[str, Any]
    state: str
    value: float | None
    seconds: float
    error: str = ""


@dataclass(frozen=True)
class Tuned:
    """What came of it.

    Attributes:
        plan: What was asked for.
        default: Validation value of the settings that are not tuned.
        value: Of the best settings.
        settings: The tuned ones with the best value; empty where no trial beat the defaults.
        trials: All of them, in order.
        importance: Setting to its share in what the trials differ by; empty where that cannot be told.
        seconds: Spent, over all runs.
        complete: Whether the whole space was tried.
    """

    plan: Plan
    default: float
    value: float
    settings: Mapping[str, Any]
    trials: tuple[Tried, ...]
    importance: Mapping[str, float]
    seconds: float
    complete: bool

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        plan = self.plan
        return {
            "model": plan.model,
            "metric": plan.metric,
            "measured_on": "validation",
            "seed": plan.seed,
            "base": dict(plan.base),
            "space": as_plain(plan.space),
            "default": self.default,
            "best": self.value,
            "settings": dict(self.settings),
            "importance": dict(self.importance),
            "seconds": self.seconds,
            "complete": self.complete,
            "trials": [dict(vars(one)) for one in self.trials],
        }


def holdout_value(model: Recommender, holdout: Holdout, metric: str) -> float:
    """Mean of a metric such as "ndcg@10" over the people of a holdout."""
    return float(np.mean(holdout_values(model, holdout, metric)))


def holdout_values(model: Recommender, holdout: Holdout, metric: str) -> FloatArray:
    """(n,) the metric of each person of a holdout with a target that can be listed."""
    measure, k = measure_of(metric)
    trial = Trial.of(holdout)
    hits = metrics.hit_matrix(rank(model, trial, k).lists.ids, trial.targets)
    return np.asarray(measure(hits, metrics.relevant_counts(trial.targets), k))


def measure_of(metric: str) -> tuple[Any, int]:
    """The function of a metric such as "ndcg@10", and its k.

    Raises:
        SettingError: There is no such metric.
    """
    name, _, cut = metric.partition("@")
    if name not in MEASURES or not cut.isdigit() or int(cut) < 1:
        raise SettingError(f"There is no metric {metric!r} to tune for.", hint=did_you_mean(name, MEASURES))
    return MEASURES[name], int(cut)


def model_of(plan: Plan, settings: Mapping[str, Any]) -> Recommender:
    """A new model; nothing refits on validation answers, and no checkpoint of another trial is taken up."""
    cls = registry.resolve("model", plan.model)
    kind = cls.settings_class()
    fixed = {name: value for name, value in (("refit", False), ("checkpoint", "")) if name in kind.model_fields}
    model: Recommender = cls(build(kind, {**plan.base, **settings, **fixed}, where=f"trial of {plan.model!r}"))
    return model
