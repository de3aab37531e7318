"""Several runs of one comparison, by other seeds or folds, put together into one report.

Each user counts once: a metric of a user is the mean over the runs that asked them. Intervals and paired tests are over
these means, so they speak of other users; how far the runs themselves lie apart is told beside them as their standard
deviation (ddof = 1), which speaks of other seeds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace

import numpy as np

from salon.errors import DataError, SettingError
from salon.evaluate.names import sort_sign
from salon.evaluate.significance import compare, measure
from salon.evaluate.values import RESAMPLING, Comparison, Cost, Measured, ModelResult, Report, Setting, SliceResult
from salon.types import FloatArray, IntArray

SEED = 0
"""Of the bootstrap and the sign flips over all runs."""


def combine(reports: Sequence[Report], *, reference: str = "") -> Report:
    """One report of several runs; one run is given back as it is.

    Args:
        reports: Of the same models under the same rules, with their values per user (not read from JSON).
        reference: Model the others are compared with; the default is the best.

    Raises:
        SettingError: The rules or the models differ, so the runs must not be put together; or no such model.
        DataError: The values per user are gone.
    """
    if not reports:
        raise SettingError("There are no runs to put together.")
    if len(reports) == 1 and not reference:
        return reports[0]
    first = reports[0]
    _check_alike(reports)
    users = [r.users for r in reports if r.users is not None]
    if len(users) < len(reports):
        raise DataError("A report has no values per user.", hint="Reports read from JSON cannot be put together.")
    everyone, places = np.unique(np.concatenate(users), return_inverse=True)
    ends = np.cumsum([len(u) for u in users])[:-1]
    places_by_run = np.split(places, ends)
    draws, main = first.setting.draws, first.setting.main
    found = [_model(name, reports, places_by_run, len(everyone), draws) for name in first.names]
    sign = sort_sign(main)
    found.sort(key=lambda m: -np.inf if (mean := m.metrics[main].mean) is None else sign * mean, reverse=True)
    reference = reference or found[0].name
    if reference not in first.names:
        raise SettingError(f"There is no model {reference!r}.", hint=f"Known: {', '.join(first.names)}.")
    return Report(
        _setting(reports, reference),
        tuple(found),
        _comparisons(found, reference, main),
        _slices(reports),
        tuple(dict.fromkeys(line for r in reports for line in r.warnings)),
        everyone,
    )


def _check_alike(reports: Sequence[Report]) -> None:
    first = reports[0]
    for other in reports[1:]:
        for name in ("rule", "split", "main", "ks", "n_items"):
            mine, theirs = getattr(first.setting, name), getattr(other.setting, name)
            if mine != theirs:
                raise SettingError(
                    f"Reports of different rules are not put together: {name} {mine!r} and {theirs!r}.",
                    hint="Show them in tables of their own.",
                )
        if set(other.names) != set(first.names):
            raise SettingError(f"The runs have other models: {', '.join(sorted(set(first.names) ^ set(other.names)))}.")


def mean_per_user(values: Sequence[FloatArray], places: Sequence[IntArray], n: int) -> FloatArray:
    """(n,) the mean of each user over the runs that have a value for them, NaN where none has.

    Args:
        values: By run (m,) float, NaN where undefined.
        places: By run (m,) int, whose value that is.
        n: Number of users.
    """
    total, count = np.zeros(n), np.zeros(n)
    for column, place in zip(values, places, strict=True):
        known = np.isfinite(column)
        total += np.bincount(place[known], column[known], minlength=n)
        count += np.bincount(place[known], minlength=n)
    return np.divide(total, count, out=np.full(n, np.nan), where=count > 0)


def _model(name: str, reports: Sequence[Report], places: Sequence[IntArray], n: int, draws: int) -> ModelResult:
    results = [r[name] for r in reports]
    per_user = {
        metric: mean_per_user([one.per_user[metric] for one in results], places, n) for metric in results[0].per_user
    }
    means = measure(per_user, np.random.default_rng(SEED), draws=draws)
    pooled = {metric: _mean([one.metrics[metric] for one in results]) for metric in results[0].metrics}
    whole = {
        metric: replace(means[metric], spread=value.spread) if metric in means else value
        for metric, value in pooled.items()
    }
    return ModelResult(name, whole, _cost([one.cost for one in results]), results[0].baseline, per_user)


def _mean(values: Sequence[Measured]) -> Measured:
    """The mean of the runs' means, and how far they lie apart."""
    known = [v.mean for v in values if v.mean is not None]
    if not known:
        return Measured(None)
    spread = float(np.std(known, ddof=1)) if len(known) > 1 else None
    return Measured(float(np.mean(known)), n=round(float(np.mean([v.n for v in values]))), spread=spread)


def _cost(costs: Sequence[Cost | None]) -> Cost | None:
    """Means over the runs, and the largest peak of memory."""
    known = [c for c in costs if c is not None]
    if not known:
        return None
    found: dict[str, float | None] = {}
    for name in (f.name for f in fields(Cost)):
        values = [v for c in known if (v := getattr(c, name)) is not None]
        found[name] = None if not values else max(values) if name == "peak_mb" else float(np.mean(values))
    return Cost(**found)


def _comparisons(found: Sequence[ModelResult], reference: str, main: str) -> tuple[Comparison, ...]:
    per_user = {m.name: m.per_user[main] for m in found}
    return compare(per_user, reference, main, np.random.default_rng(SEED))


def _slices(reports: Sequence[Report]) -> tuple[SliceResult, ...]:
    """Means over the runs that have the slice, without intervals."""
    found = []
    for name in dict.fromkeys(part.name for r in reports for part in r.slices):
        parts = [part for r in reports for part in r.slices if part.name == name]
        models: dict[str, Mapping[str, Measured]] = {
            model: {metric: _mean([p.models[model][metric] for p in parts]) for metric in metrics}
            for model, metrics in parts[0].models.items()
        }
        users, targets = (round(float(np.mean([getattr(p, f) for p in parts]))) for f in ("n_users", "n_targets"))
        found.append(SliceResult(name, parts[0].what, users, targets, models))
    return tuple(found)


def _setting(reports: Sequence[Report], reference: str) -> Setting:
    settings = [r.setting for r in reports]
    seeds: dict[str, int | str] = {}
    for name in settings[0].seeds:
        values = list(dict.fromkeys(s.seeds[name] for s in settings))
        seeds[name] = values[0] if len(values) == 1 else "/".join(map(str, values))
    users, targets, candidates = (
        round(float(np.mean([getattr(s, f) for s in settings]))) for f in ("n_users", "n_targets", "n_candidates")
    )
    seeds[RESAMPLING] = SEED
    return replace(
        settings[0], reference=reference, seeds=seeds, n_users=users, n_targets=targets, n_candidates=candidates,
        runs=len(reports),
    )  # fmt: skip
