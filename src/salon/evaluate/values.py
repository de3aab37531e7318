"""What an evaluation finds, as frozen values that travel to the table, the page and the JSON file.

JSON, `Report.to_dict` (null = not known; arrays per user stay in memory only):

    {"format": 1, "setting": {split, candidates, seen_rule, main, reference, ks: [..], seeds: [..], n_users, n_targets,
                              n_items, n_candidates, draws, runs, rule: "honest" | "literature"},
     "models": [{"name", "baseline": name | null, "metrics": {"ndcg@10": {"mean", "low", "high", "n", "spread"}},
                 "cost": {"cpu_seconds", "wall_seconds", "peak_mb", "recommend_ms", "p50_ms", "p99_ms"} | null}],
     "comparisons": [{"metric", "name", "against", "difference", "low", "high", "p", "p_holm", "n"}],
     "slices": [{"name", "what", "n_users", "n_targets", "models": {name: {metric: {...}}}}],
     "baselines_present": bool, "warnings": [..]}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from types import MappingProxyType
from typing import Any, Literal

from salon.errors import DataError, SettingError, did_you_mean
from salon.types import FloatArray, IntArray, TopK

FORMAT = 1
BASELINES = ("popular", "random", "contentknn")
"""Registered names of the models without which a comparison says little."""
Rule = Literal["honest", "literature"]
RESAMPLING = "bootstrap and sign flips"
"""The seed of the report's own randomness, among the seeds it states."""
SIGNIFICANT = 0.05
"""Adjusted p below which a difference is called resolved."""


@dataclass(frozen=True)
class Measured:
    """A mean over users, with its 95 % bootstrap interval where one makes sense (not for coverage and Gini).

    Attributes:
        mean: The value.
        low: Lower end, or None.
        high: Upper end, or None.
        n: Users it is the mean of.
        spread: Standard deviation between runs (seeds or folds) of their means; None with one run.
    """

    mean: float | None
    low: float | None = None
    high: float | None = None
    n: int = 0
    spread: float | None = None


@dataclass(frozen=True)
class Cost:
    """What a model costs.

    Attributes:
        cpu_seconds: Processor time of the fit, all threads.
        wall_seconds: Time on the clock of the fit.
        peak_mb: Largest resident memory during the fit above that before it, in MiB; None where it cannot be known.
        recommend_ms: Wall milliseconds per query of scoring all items and taking the best, in batches.
        p50_ms: Median of the wall milliseconds of one query asked alone.
        p99_ms: Their 99th percentile; of few queries the slowest one.
    """

    cpu_seconds: float | None = None
    wall_seconds: float | None = None
    peak_mb: float | None = None
    recommend_ms: float | None = None
    p50_ms: float | None = None
    p99_ms: float | None = None


@dataclass(frozen=True)
class ModelResult:
    """One model on one test.

    Attributes:
        name: What the caller calls it.
        metrics: By name, such as "ndcg@10".
        cost: What it cost, as far as known.
        baseline: Which of `BASELINES` it is, or None.
        per_user: metric name -> (n,) float64 in the order of the report's users, NaN where undefined.
        lists: The ranked lists, for slices and examples; None after reading JSON.
    """

    name: str
    metrics: Mapping[str, Measured]
    cost: Cost | None = None
    baseline: str | None = None
    per_user: Mapping[str, FloatArray] = field(default_factory=lambda: MappingProxyType({}), compare=False, repr=False)
    lists: TopK | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class Comparison:
    """One model against the reference, paired by user; `difference` = model - reference.

    Attributes:
        metric: The metric compared.
        name: The model.
        against: The reference.
        difference: Mean difference.
        low: Lower end of its 95 % bootstrap interval.
        high: Upper end.
        p: Two-sided sign-flip permutation p-value.
        p_holm: The same, adjusted for all comparisons of the report (Holm 1979).
        n: Users compared.
    """

    metric: str
    name: str
    against: str
    difference: float
    low: float
    high: float
    p: float
    p_holm: float
    n: int

    @property
    def resolved(self) -> bool:
        """Whether the difference is more than chance after adjustment."""
        return self.p_holm < SIGNIFICANT


@dataclass(frozen=True)
class SliceResult:
    """The same lists, judged on some targets or some users only.

    Attributes:
        name: Such as "cold items".
        what: One sentence on who is in it.
        n_users: Users with a target in it.
        n_targets: Targets in it.
        models: model name -> metric name -> value.
    """

    name: str
    what: str
    n_users: int
    n_targets: int
    models: Mapping[str, Mapping[str, Measured]]


@dataclass(frozen=True)
class Setting:
    """Under which rules the test was made; every report states them.

    Attributes:
        split: How the test was cut from the log, in words.
        candidates: What was ranked, in words.
        seen_rule: What became of items the user already knew, in words.
        main: The metric by which models are put in order and compared.
        reference: The model the others are compared with.
        ks: Lengths of the lists.
        seeds: Seeds of split, fit and bootstrap by name.
        n_users: Users with at least one target.
        n_targets: Targets in all.
        n_items: Items of the catalogue.
        n_candidates: Items that could be ranked.
        draws: Bootstrap samples behind each interval.
        runs: Splits or seeds whose results are put together; users and targets are then per run on average.
        rule: "literature" where items of validation are ranked at test, as papers do; see `Rules`.
    """

    split: str
    candidates: str
    seen_rule: str
    main: str
    reference: str
    ks: tuple[int, ...]
    seeds: Mapping[str, int | str]
    n_users: int
    n_targets: int
    n_items: int
    n_candidates: int
    draws: int
    runs: int = 1
    rule: Rule = "honest"


@dataclass(frozen=True)
class Report:
    """An evaluation: its rules, its results and what to beware of.

    Attributes:
        setting: The rules.
        models: Results, best first by the main metric.
        comparisons: Every other model against the reference, by the main metric.
        slices: Results on parts of the test.
        warnings: What weakens the conclusions, one line each.
        users: (n,) the row of each user in the user table, in the order of the values per user; None after JSON.
    """

    setting: Setting
    models: tuple[ModelResult, ...]
    comparisons: tuple[Comparison, ...] = ()
    slices: tuple[SliceResult, ...] = ()
    warnings: tuple[str, ...] = ()
    users: IntArray | None = field(default=None, compare=False, repr=False)

    @property
    def baselines_present(self) -> bool:
        """Whether the popular, random and content baselines are all among the models."""
        return set(BASELINES) <= {m.baseline for m in self.models}

    @property
    def names(self) -> tuple[str, ...]:
        """The models, best first."""
        return tuple(m.name for m in self.models)

    def __getitem__(self, name: str) -> ModelResult:
        for model in self.models:
            if model.name == name:
                return model
        raise SettingError(f"The report has no model {name!r}.", hint=did_you_mean(name, self.names))

    def comparison(self, name: str) -> Comparison | None:
        """How `name` stands against the reference; None for the reference itself."""
        return next((c for c in self.comparisons if c.name == name), None)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, in the schema at the top of this file."""
        return {
            "format": FORMAT,
            "setting": {**_plain(self.setting), "ks": list(self.setting.ks), "seeds": dict(self.setting.seeds)},
            "models": [
                {
                    "name": m.name,
                    "baseline": m.baseline,
                    "metrics": {k: asdict(v) for k, v in m.metrics.items()},
                    "cost": None if m.cost is None else asdict(m.cost),
                }
                for m in self.models
            ],
            "comparisons": [asdict(c) for c in self.comparisons],
            "slices": [
                {**_plain(s), "models": {n: {k: asdict(v) for k, v in m.items()} for n, m in s.models.items()}}
                for s in self.slices
            ],
            "baselines_present": self.baselines_present,
            "warnings": list(self.warnings),
        }

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Report:
        """The report that `to_dict` described, without the arrays per user.

        Raises:
            DataError: It has another format or a part is missing.
        """
        if plain.get("format") != FORMAT:
            raise DataError(f"The report has format {plain.get('format')!r}; this version reads {FORMAT}.")
        try:
            setting = {**plain["setting"], "ks": tuple(plain["setting"]["ks"])}
            return cls(
                Setting(**setting),
                tuple(_model(m) for m in plain["models"]),
                tuple(Comparison(**c) for c in plain["comparisons"]),
                tuple(
                    SliceResult(**{**s, "models": {n: _metrics(m) for n, m in s["models"].items()}})
                    for s in plain["slices"]
                ),
                tuple(plain["warnings"]),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise DataError(f"The report is damaged: {error}.", hint="Make it again.") from None


def _plain(value: Any) -> dict[str, Any]:
    return {f.name: getattr(value, f.name) for f in fields(value)}


def _metrics(plain: Mapping[str, Any]) -> dict[str, Measured]:
    return {name: Measured(**value) for name, value in plain.items()}


def _model(plain: Mapping[str, Any]) -> ModelResult:
    cost = None if plain["cost"] is None else Cost(**plain["cost"])
    return ModelResult(plain["name"], _metrics(plain["metrics"]), cost, plain["baseline"])
