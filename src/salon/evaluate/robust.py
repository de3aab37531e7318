"""How much models lose when the data get worse: noisy features, false clicks, missing modalities, people unlike others.

Every model is fitted anew on the disturbed training data and asked the same test questions as before; the fall is
paired by user. Disturbances are drawn with a seed, the same for all models.

    noise     each present vector gets Gaussian noise, `strength` times as large as the vectors are spread (RMS)
    missing   a share `strength` of the present values of every modality is hidden, each modality by itself
    clicks    false likes are added, `strength` for each true one, drawn by activity of the person and any item
    outliers  people who like items at random are added, `strength` for each true one, with histories as long as the
              longest hundredth
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from salon.data import Dataset, Events, Holdout
from salon.data.parting import Split, acted_pairs, among, pair_keys, unique_keys
from salon.data.read import add_users
from salon.data.split import hide_modality
from salon.encode.base import Features, FeatureSet
from salon.errors import DataError, SettingError, did_you_mean
from salon.evaluate.significance import measure
from salon.evaluate.tuned import holdout_values
from salon.evaluate.values import Measured
from salon.models.base import Recommender
from salon.types import IntArray, Progress

STRENGTHS = {
    "noise": (0.25, 0.5, 1.0),
    "missing": (0.25, 0.5, 0.75),
    "clicks": (0.1, 0.25, 0.5),
    "outliers": (0.05, 0.1, 0.25),
}
"""Kind of disturbance to the strengths that are tried by default."""


@dataclass(frozen=True)
class Disturbed:
    """Training data, features and test questions after a disturbance."""

    train: Dataset
    features: FeatureSet
    valid: Holdout
    test: Holdout


@dataclass(frozen=True)
class Fall:
    """One model at one strength.

    Attributes:
        model: Its name.
        strength: Of the disturbance; 0 for none.
        value: The metric.
        change: Difference from no disturbance, paired by user; None at strength 0.
        kept: Share of the undisturbed value that is left; None where that was 0.
    """

    model: str
    strength: float
    value: Measured
    change: Measured | None
    kept: float | None


@dataclass(frozen=True)
class Robustness:
    """How all models bear one kind of disturbance.

    Attributes:
        kind: See the top of this file.
        metric: What fell, such as "ndcg@10".
        seed: Of disturbances and fits.
        falls: Models in the order given, strengths rising.
    """

    kind: str
    metric: str
    seed: int
    falls: tuple[Fall, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    def of(self, model: str) -> tuple[Fall, ...]:
        """The falls of one model."""
        return tuple(f for f in self.falls if f.model == model)


def robustness(
    models: Mapping[str, Recommender],
    split: Split,
    features: FeatureSet,
    kind: str,
    *,
    strengths: Sequence[float] = (),
    metric: str = "ndcg@10",
    seed: int = 0,
    progress: Progress | None = None,
) -> Robustness:
    """Fits and tests the models at every strength of one disturbance.

    Args:
        models: Name to model; copies are fitted, with the same settings.
        split: Training, validation and test.
        features: Of the items.
        kind: "noise", "missing", "clicks" or "outliers".
        strengths: Above 0; the default is `STRENGTHS` of the kind. None of them is chosen by what it shows.
        metric: Such as "ndcg@10".
        seed: Of disturbances and fits.
        progress: Called after every fit.

    Raises:
        SettingError: The kind, a strength or the metric is not known.
        DataError: Features are to be disturbed, but there are none.
    """
    tried = _checked(kind, strengths, features)
    steps = [0.0, *tried]
    values: dict[tuple[str, float], Any] = {}
    for strength in steps:
        changed = disturb(kind, strength, split, features, seed=seed)
        for name, model in models.items():
            fresh = copy(model).fit(changed.train, changed.features, rng=seed, validation=changed.valid)
            values[name, strength] = holdout_values(fresh, changed.test, metric)
            if progress:
                progress(len(values), len(steps) * len(models), f"fit models ({kind})")
    falls = (_fall(name, s, values[name, s], values[name, 0.0], seed) for name in models for s in steps)
    return Robustness(kind, metric, seed, tuple(falls))


def _checked(kind: str, strengths: Sequence[float], features: FeatureSet) -> list[float]:
    if kind not in STRENGTHS:
        raise SettingError(f"There is no disturbance {kind!r}.", hint=did_you_mean(kind, STRENGTHS))
    tried = sorted(set(strengths or STRENGTHS[kind]))
    top = 1.0 if kind == "missing" else np.inf
    wrong = [s for s in tried if not 0 < s <= top]
    if wrong:
        raise SettingError(f"The strength {wrong[0]} of {kind!r} is out of range.", hint=f"Above 0, at most {top}.")
    if kind in ("noise", "missing") and not len(features):
        raise DataError("There are no features to disturb.", hint="Declare text, image or other media.")
    return tried


def _fall(name: str, strength: float, values: Any, before: Any, seed: int) -> Fall:
    found = measure({"now": values, "change": values - before}, np.random.default_rng(seed))
    clean = float(before.mean())
    kept = float(values.mean()) / clean if clean > 0 else None
    return Fall(name, strength, found["now"], found["change"] if strength else None, kept)


def disturb(kind: str, strength: float, split: Split, features: FeatureSet, *, seed: int = 0) -> Disturbed:
    """What models see at one strength of one kind; at strength 0 what was given."""
    same = Disturbed(split.train, features, split.valid, split.test)
    if not strength:
        return same
    if kind == "noise":
        return replace(same, features=_each(features, lambda f, rng: _noisy(f, strength, rng), seed))
    if kind == "missing":
        hidden = _each(features, lambda f, rng: f.hide(hide_modality(f.present, strength, rng=rng)), seed)
        return replace(same, features=hidden)
    rng = np.random.default_rng(seed)
    if kind == "clicks":
        return _false_clicks(split, features, strength, rng)
    return replace(same, train=_with_outliers(split.train, strength, rng))


def _each(features: FeatureSet, change: Callable[[Features, np.random.Generator], Features], seed: int) -> FeatureSet:
    """Every modality changed with a generator of its own, so that modalities are hidden independently."""
    made = {n: change(one, np.random.default_rng([seed, i])) for i, (n, one) in enumerate(features.items())}
    return FeatureSet(made, features.n_items)


def _noisy(one: Features, strength: float, rng: np.random.Generator) -> Features:
    here = one.vectors[one.present]
    spread = float(np.sqrt(np.mean((here - here.mean(axis=0)) ** 2))) if len(here) else 0.0
    noise = strength * spread * rng.standard_normal(one.vectors.shape)
    vectors = np.where(one.present[:, None], one.vectors + noise, one.vectors).astype(np.float32)
    return replace(one, vectors=vectors)


def _false_clicks(split: Split, features: FeatureSet, strength: float, rng: np.random.Generator) -> Disturbed:
    """False likes in training and, as histories come from there, in the histories of the questions."""
    train, n_items = split.train, split.train.n_items
    true = acted_pairs(train)
    count = round(strength * len(true))
    users = true[rng.integers(len(true), size=count)] // n_items
    keys = unique_keys(pair_keys(users, rng.integers(n_items, size=count), n_items))
    taken = np.concatenate([true, _answers(split.valid, n_items), _answers(split.test, n_items)])
    keys = keys[~among(keys, np.sort(taken))]
    users, items = keys // n_items, keys % n_items
    return Disturbed(
        train.with_events(_appended(train.events, users, items, rng)),
        features,
        _with_history(split.valid, users, items),
        _with_history(split.test, users, items),
    )


def _answers(holdout: Holdout, n_items: int) -> IntArray:
    """Keys of what a holdout asks for or shows: no false like may be one of these."""
    rows, items = holdout.targets.nonzero()
    queries = holdout.queries
    known = pair_keys(queries.users[queries.row_of()], queries.items, n_items)
    return np.concatenate([pair_keys(queries.users[rows], items, n_items), known])


def _appended(events: Events, users: IntArray, items: IntArray, rng: np.random.Generator) -> Events:
    """The log with further likes of weight 1, at times drawn from those of the log."""
    rows = rng.integers(len(events), size=len(users))
    more = events.take(rows)
    blank = {
        name: np.full(len(rows), np.nan if np.asarray(c).dtype.kind == "f" else "") for name, c in more.context.items()
    }
    more = replace(
        more, users=users, items=items, weights=np.ones(len(rows), np.float32), shown=np.zeros(len(rows), bool),
        values=np.full(len(rows), np.nan, np.float32), texts=None if more.texts is None else (None,) * len(rows),
        context=blank,
    )  # fmt: skip
    columns = ("users", "items", "weights", "values", "times", "kinds", "shown")
    grown: dict[str, Any] = {n: np.concatenate([getattr(events, n), getattr(more, n)]) for n in columns}
    return replace(
        events,
        **grown,
        texts=None if events.texts is None else (*events.texts, *(more.texts or ())),
        context={n: np.concatenate([np.asarray(c), more.context[n]]) for n, c in events.context.items()},
    )


def _with_history(holdout: Holdout, users: IntArray, items: IntArray) -> Holdout:
    """The questions with further likes at the old end of their histories."""
    queries = holdout.queries
    place = np.full(max(int(users.max(initial=-1)), int(queries.users.max(initial=-1))) + 1, -1)
    place[queries.users] = np.arange(len(queries))
    mine = place[users] >= 0
    owner = np.concatenate([place[users[mine]], queries.row_of()])
    order = np.argsort(owner, kind="stable")
    flat = np.concatenate([items[mine], queries.items])[order]
    weights = np.concatenate([np.ones(int(mine.sum()), np.float32), queries.weights])[order]
    indptr = np.searchsorted(owner[order], np.arange(len(queries) + 1)).astype(np.int64)
    times = None if queries.times is None else np.concatenate([np.full(int(mine.sum()), np.nan), queries.times])[order]
    return replace(holdout, queries=replace(queries, indptr=indptr, items=flat, weights=weights, times=times))


def _with_outliers(train: Dataset, strength: float, rng: np.random.Generator) -> Dataset:
    """The log with people who like items at random, as many as the most active like."""
    lengths = np.bincount(acted_pairs(train) // train.n_items, minlength=train.n_users)
    active = lengths[lengths > 0]
    size = min(int(np.quantile(active, 0.99)), train.n_items)
    count = max(1, round(strength * len(active)))
    names = [f"outlier {i + 1}" for i in range(count)]
    users = add_users(train.users, names)
    if len(users) != train.n_users + count:
        raise DataError("People named 'outlier 1', ... are in the data already.", hint="Rename them.")
    items = np.concatenate([rng.permutation(train.n_items)[:size] for _ in range(count)])
    events = _appended(train.events, np.repeat(train.n_users + np.arange(count), size), items, rng)
    return replace(train, users=users, events=events)
