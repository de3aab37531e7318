"""One test for all models: the same users, candidates, exclusions and lists, every metric, with its uncertainty."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from scipy import sparse

from salon import metrics
from salon.data import Dataset, Holdout
from salon.encode.base import FeatureSet
from salon.errors import DataError, SettingError, did_you_mean
from salon.evaluate.cost import measure_latency
from salon.evaluate.names import sort_sign
from salon.evaluate.significance import compare, measure
from salon.evaluate.slices import FEW, slice_result, standard_slices
from salon.evaluate.trial import Ranking, Trial, popular_lists, rank
from salon.evaluate.values import (
    BASELINES,
    RESAMPLING,
    Comparison,
    Cost,
    Measured,
    ModelResult,
    Report,
    Setting,
    SliceResult,
)
from salon.models.base import RatingPredictor, Recommender
from salon.registry import name_of
from salon.types import FloatArray, IntArray

SMALL_TEST = 100
"""Users below which a report warns that its test is small."""


@dataclass(frozen=True)
class Rules:
    """What a report states or needs beside the data.

    Attributes:
        split: How the test was cut from the log, in words.
        seeds: Seeds used before (split, fit), stated in the report; the one below is added.
        main: Metric by which models are ordered and compared; the default is nDCG at the first k.
        reference: Model the others are compared with; the default is the best, which the test itself has then chosen.
        draws: Bootstrap samples per interval.
        seed: Seed of bootstrap and sign flips.
        few: Liked items up to which a user counts as cold.
        literature: Judge by the rule of most papers (MMRec's): items that a person liked in validation are ranked at
            test too, although a model that saw them is right to list them. The report says so in its heading, and such
            reports are never put together with honest ones.
    """

    split: str = "not stated"
    seeds: Mapping[str, int] = field(default_factory=dict)
    main: str = ""
    reference: str = ""
    draws: int = 1000
    seed: int = 0
    few: int = FEW
    literature: bool = False


@dataclass(frozen=True)
class Context:
    """What the metrics need to know of the training data.

    Attributes:
        popularity: (items,) users who liked each item.
        n_users: Users who liked anything.
        obvious: (n, k) the most popular items per query.
        features: For diversity; empty when there are none.
        ks: Lengths of the lists.
    """

    popularity: IntArray
    n_users: int
    obvious: IntArray
    features: FeatureSet
    ks: tuple[int, ...]

    @classmethod
    def of(cls, trial: Trial, train: Dataset, features: FeatureSet | None, ks: tuple[int, ...]) -> Context:
        """Counts of the training data, and the popular lists."""
        users, items = train.positives().nonzero()
        popularity = np.bincount(items, minlength=train.n_items)
        obvious = popular_lists(popularity, trial, max(ks))
        return cls(popularity, len(np.unique(users)), obvious, features or FeatureSet({}, train.n_items), ks)


def evaluate(
    models: Mapping[str, Recommender],
    holdout: Holdout,
    *,
    train: Dataset,
    features: FeatureSet | None = None,
    ks: tuple[int, ...] = (10, 20),
    exclude_seen: bool = True,
    costs: Mapping[str, Cost] | None = None,
    rules: Rules | None = None,
) -> Report:
    """Ranks, measures, compares and slices; the models must be fitted, and never on anything of the holdout.

    Args:
        models: Name -> fitted model. A warning names the baselines (popular, random, content) that are not among them.
        holdout: The questions and answers; its `exclude` and `candidates` are respected.
        train: What the models were fitted on; gives popularity and cold items.
        features: Item features, for diversity and for the slices of missing modalities.
        ks: Lengths of the lists.
        exclude_seen: Whether items of the history are left out.
        costs: Name -> cost from `measure_fit`; the time to recommend is measured here.
        rules: What else the report states.

    Raises:
        SettingError: No model, no k, or a name or metric that is not there.
        DataError: No target can be listed, or a model, the holdout and the data differ in size.
        NotFittedError: A model is not fitted.
    """
    ks = tuple(sorted(set(ks)))
    if not models or not ks or ks[0] < 1:
        raise SettingError(f"There are {len(models)} models and ks {ks}.", hint="Give at least one of each.")
    if holdout.targets.shape[1] != train.n_items:
        raise DataError(f"The holdout has {holdout.targets.shape[1]} items, the training data {train.n_items}.")
    plan = rules or Rules()
    if plan.literature:
        holdout = _unmasked(holdout)
    trial = Trial.of(holdout, exclude_seen=exclude_seen)
    context = Context.of(trial, train, features, ks)
    plan = replace(plan, main=plan.main or f"ndcg@{ks[0]}")
    sign = sort_sign(plan.main)
    known = costs or {}
    found = [_result(n, m, trial, holdout, context, plan, known.get(n)) for n, m in models.items()]
    found.sort(key=lambda r: -np.inf if (mean := _main(r, plan.main).mean) is None else sign * mean, reverse=True)
    plan = replace(plan, reference=plan.reference or found[0].name)
    if plan.reference not in models:
        raise SettingError(f"There is no model {plan.reference!r}.", hint=did_you_mean(plan.reference, models))
    setting = _setting(trial, holdout, exclude_seen, ks, plan)
    slices = _slices(found, trial, context, plan)
    report = Report(setting, tuple(found), _comparisons(found, plan), slices, users=trial.queries.users)
    return replace(report, warnings=tuple(_warnings(report, trial)))


def _unmasked(holdout: Holdout) -> Holdout:
    """The holdout with the items of validation among the candidates.

    Raises:
        SettingError: The split masks nothing, as where the history grows by validation.
    """
    if holdout.exclude is None:
        raise SettingError(
            "This split masks no item of validation at test, so the literature's protocol is not another one.",
            hint="It differs for random, kfold and given splits.",
        )
    return replace(holdout, exclude=None)


def _main(result: ModelResult, metric: str) -> Measured:
    if metric not in result.metrics:
        raise SettingError(f"{metric!r} was not measured.", hint=did_you_mean(metric, result.metrics))
    return result.metrics[metric]


def _result(
    name: str,
    model: Recommender,
    trial: Trial,
    holdout: Holdout,
    context: Context,
    rules: Rules,
    cost: Cost | None,
) -> ModelResult:
    ranking = rank(model, trial, max(context.ks))
    values = per_user_metrics(ranking, trial, context)
    pooled: dict[str, Measured] = {}
    if holdout.ratings is not None and isinstance(model, RatingPredictor) and model.predicts_ratings:
        errors, pooled = _rating_metrics(model, holdout)
        values |= {metric: column[trial.rows] for metric, column in errors.items()}
    measured = measure(values, np.random.default_rng(rules.seed), draws=rules.draws)
    p50, p99 = measure_latency(model, trial.queries, max(context.ks))
    cost = replace(cost or Cost(), recommend_ms=ranking.ms, p50_ms=p50, p99_ms=p99)
    whole = {**measured, **pooled, **_list_metrics(ranking, trial, context)}
    return ModelResult(name, whole, cost, _baseline(model), values, ranking.lists)


def per_user_metrics(ranking: Ranking, trial: Trial, context: Context) -> dict[str, FloatArray]:
    """metric@k -> (n,) float64, NaN where undefined."""
    ids, relevant = ranking.lists.ids, metrics.relevant_counts(trial.targets)
    hits = metrics.hit_matrix(ids, trial.targets)
    found: dict[str, FloatArray] = {}
    for k in context.ks:
        found[f"ndcg@{k}"] = metrics.ndcg(hits, relevant, k)
        found[f"recall@{k}"] = metrics.recall(hits, relevant, k)
        found[f"precision@{k}"] = metrics.precision(hits, k)
        found[f"f1@{k}"] = metrics.f1(hits, relevant, k)
        found[f"hit_rate@{k}"] = metrics.hit_rate(hits, k)
        found[f"mrr@{k}"] = metrics.reciprocal_rank(hits, k)
        found[f"map@{k}"] = metrics.average_precision(hits, relevant, k)
        found[f"novelty@{k}"] = metrics.novelty(ids, context.popularity, context.n_users, k)
        found[f"popularity@{k}"] = metrics.average_popularity(ids, context.popularity, k)
        found[f"serendipity@{k}"] = metrics.serendipity(hits, ids, context.obvious, k)
        for name, column in context.features.items():
            found[f"diversity[{name}]@{k}"] = metrics.intra_list_diversity(ids, column.vectors, column.present, k)
    return {**found, "auc": ranking.auc}


def _list_metrics(ranking: Ranking, trial: Trial, context: Context) -> dict[str, Measured]:
    """Coverage and Gini: one number for all lists. Resampled users would cover less, so there is no interval."""
    found = {}
    for k in context.ks:
        shown = metrics.exposure(ranking.lists.ids, len(trial.candidates), k)
        coverage = metrics.catalogue_coverage(shown, trial.candidates)
        found[f"coverage@{k}"] = Measured(coverage, n=len(trial.rows))
        found[f"gini@{k}"] = Measured(metrics.gini(shown, trial.candidates), n=len(trial.rows))
    return found


def _rating_metrics(model: RatingPredictor, holdout: Holdout) -> tuple[dict[str, FloatArray], dict[str, Measured]]:
    """RMSE and MAE per row of the holdout, and RMSE over all its ratings."""
    ratings = sparse.coo_array(holdout.ratings)
    owner, items = ratings.coords
    predicted = model.predict(holdout.queries.take(owner), items)
    n = len(holdout)
    errors = {f.__name__: f(predicted, ratings.data, owner, n) for f in (metrics.rmse, metrics.mae)}
    pooled = metrics.rmse(predicted, ratings.data, np.zeros(len(owner), np.int64), 1)[0]
    return errors, {"rmse_pooled": Measured(float(pooled), n=len(np.unique(owner)))} if len(owner) else {}


def _baseline(model: Recommender) -> str | None:
    try:
        name = name_of("model", type(model))
    except SettingError:  # a class of the caller's own
        return None
    return name if name in BASELINES else None


def _comparisons(found: list[ModelResult], rules: Rules) -> tuple[Comparison, ...]:
    if rules.main not in found[0].per_user:
        raise SettingError(f"{rules.main!r} has no value per user to compare.", hint="Use ndcg or recall.")
    per_user = {r.name: r.per_user[rules.main] for r in found}
    return compare(per_user, rules.reference, rules.main, np.random.default_rng(rules.seed))


def _slices(found: list[ModelResult], trial: Trial, context: Context, rules: Rules) -> tuple[SliceResult, ...]:
    lists = {r.name: r.lists.ids for r in found if r.lists is not None}
    parts = standard_slices(trial.queries, context.popularity, context.features, few=rules.few)
    rng = np.random.default_rng(rules.seed)
    results = (slice_result(p, lists, trial.targets, context.ks, rng, draws=rules.draws) for p in parts)
    return tuple(r for r in results if r is not None)


def _setting(trial: Trial, holdout: Holdout, exclude_seen: bool, ks: tuple[int, ...], rules: Rules) -> Setting:
    n_items, n_candidates = len(trial.candidates), int(trial.candidates.sum())
    all_of = f"all {n_items} items" if n_candidates == n_items else f"{n_candidates} of {n_items} items"
    seen = "items of the history are not ranked" if exclude_seen else "items of the history are ranked too"
    if holdout.exclude is not None:
        seen += "; nor are further items that the split excludes per user (such as those of validation)"
    if rules.literature:
        seen += "; those of validation are ranked"
    return Setting(
        split=rules.split,
        candidates=all_of,
        seen_rule=seen,
        main=rules.main,
        reference=rules.reference,
        ks=ks,
        seeds={**rules.seeds, RESAMPLING: rules.seed},
        n_users=len(trial.rows),
        n_targets=int(trial.targets.nnz),
        n_items=n_items,
        n_candidates=n_candidates,
        draws=rules.draws,
        rule="literature" if rules.literature else "honest",
    )


def _warnings(report: Report, trial: Trial) -> list[str]:
    lines = []
    lacking = [b for b in BASELINES if b not in {m.baseline for m in report.models}]
    if lacking:
        lines.append(f"Not compared with the baseline{'s' * (len(lacking) > 1)} {', '.join(lacking)}.")
    if trial.dropped:
        lines.append(f"{trial.dropped} targets that cannot be listed (seen, excluded, no candidates) were left out.")
    if report.setting.n_users < SMALL_TEST:
        lines.append(f"Only {report.setting.n_users} users: small differences cannot be resolved.")
    if report.setting.split == Rules.split:
        lines.append("How the test was split off is not stated.")
    return lines
