"""A fair judge of models on one catalogue: the same split, the same features, the same lists for all of them.

Every model trains on the training part alone and sees the validation questions only to choose settings; nobody sees the
test. Media vectors do not depend on the log; reviews are pooled from training events, and encoders that learn from what
people did are trained on those alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from salon.data import Dataset, Holdout
from salon.data.split import Split, cold_split, k_folds, leave_last_out, random_split, time_split
from salon.encode.base import FeatureSet
from salon.errors import DataError, SettingError, did_you_mean
from salon.evaluate.cost import measure_fit
from salon.evaluate.protocol import Rules, evaluate
from salon.evaluate.runs import combine
from salon.evaluate.values import BASELINES, Report
from salon.models.base import Recommender
from salon.pipeline import Pipeline
from salon.pipeline_shop import component
from salon.types import Progress

PROTOCOLS: dict[str, Callable[[Dataset, int], Split]] = {
    "random": lambda data, seed: random_split(data, rng=seed),
    "loo": lambda data, seed: leave_last_out(data),
    "time": lambda data, seed: time_split(data),
    "cold": lambda data, seed: cold_split(data, rng=seed),
}
"""Ways to part a log: random per user, leave last out, one moment in time for all, items without any action."""


ABOUT = ("protocol", "valid", "test", "warm", "order", "valid_from", "test_from", "ties")
"""What a report repeats of `Split.about`; the counts stand in the report itself."""


GIVEN = "given"
"""The protocol of catalogues whose files say what is training, validation and test, as MMRec's do."""
KFOLD, FOLDS = "kfold", 5
"""The protocol in which each liked item is tested once: five splits, whose results are put together."""


@dataclass(frozen=True)
class Trial:
    """Everything that judging models takes.

    Attributes:
        split: Training, validation and test; of several runs those of the first.
        features: Joined features, made of the media and of training events alone.
        models: Name to fitted model.
        report: What was measured, over all runs.
        literature: The same models by the literature's protocol, where that was asked for; a report of its own.
    """

    split: Split
    features: FeatureSet
    models: Mapping[str, Recommender]
    report: Report
    literature: Report | None = None


def given_split(pipeline: Pipeline) -> Split:
    """The split that the files of the catalogue prescribe.

    Raises:
        DataError: They prescribe none.
        SettingError: Repairs dropped items that it asks for.
    """
    split = pipeline.read_result.split
    if split is None:
        raise DataError("The files of this catalogue prescribe no split.", hint=f"Known: {', '.join(PROTOCOLS)}.")
    if split.train.n_items != pipeline.dataset.n_items:
        raise SettingError(
            f"The prescribed split has {split.train.n_items} items; repairs left {pipeline.dataset.n_items}.",
            hint="Leave 'drop' out of [repair], or choose another protocol.",
        )
    return split


def split_by(data: Dataset, protocol: str, seed: int) -> Split:
    """The split that a protocol name stands for.

    Raises:
        SettingError: The protocol is unknown.
        DataError: The log has no order, and the protocol needs one.
    """
    if protocol == KFOLD:
        raise SettingError(f"{KFOLD!r} makes several splits, and here one is needed.", hint="Take random.")
    if protocol not in PROTOCOLS:
        known = [*PROTOCOLS, KFOLD, GIVEN]
        raise SettingError(f"There is no protocol {protocol!r}.", hint=did_you_mean(protocol, known))
    if not len(data.events):
        raise DataError("There are no events to learn from.", hint="Name a table under [events].")
    return PROTOCOLS[protocol](data, seed)


@dataclass(frozen=True)
class Prepared:
    """A split, and the joined features made of the media and of its training events alone."""

    split: Split
    features: FeatureSet


def prepared(
    pipeline: Pipeline,
    *,
    protocol: str = "random",
    seed: int = 0,
    split: Split | None = None,
    progress: Progress | None = None,
) -> Prepared:
    """What models are fitted and judged on; arguments as for `judge`."""
    if pipeline.encoded is None:
        pipeline.encode(progress)
    parts = split or (given_split(pipeline) if protocol == GIVEN else split_by(pipeline.dataset, protocol, seed))
    raw = pipeline.features_for(parts.train, rng=seed)
    fuser = pipeline.shop.fuser().fit(raw, parts.train.events, rng=np.random.default_rng(seed))
    return Prepared(parts, fuser.transform(raw))


def judge(
    pipeline: Pipeline,
    models: Sequence[str | Mapping[str, Any]],
    *,
    protocol: str = "random",
    seed: int = 0,
    split: Split | None = None,
    seeds: int = 1,
    literature: bool = False,
    progress: Progress | None = None,
) -> Trial:
    """Fits and measures several models on the same split, or splits, of a catalogue.

    Args:
        pipeline: A catalogue that was read; its media are encoded if that was not done.
        models: Short names, or tables with a name and settings.
        protocol: "random", "loo", "time", "cold" or "kfold"; or "given" for the split that the files prescribe.
        seed: Seed of the split and of the fits.
        split: A split made elsewhere, instead of `protocol`.
        seeds: Runs with the seeds seed, seed + 1, ...; each makes a split of its own where the protocol draws one,
            and fits with its own seed. Tests are on the means of each user over the runs.
        literature: Also judge by the literature's protocol, in a report of its own; see `Rules`.
        progress: Called while media are encoded and models fitted.

    Raises:
        SettingError: A model or the protocol is unknown, a model is named twice, or there are no seeds.
    """
    contestants = dict(map(_model, models))
    if len(contestants) < len(models):
        raise SettingError("A model is named twice.", hint=f"The models: {', '.join(_model(m)[0] for m in models)}.")
    if seeds < 1:
        raise SettingError(f"seeds is {seeds}.", hint="Give at least 1.")
    if pipeline.encoded is None:
        pipeline.encode(progress)
    total = len(models) * seeds * (FOLDS if protocol == KFOLD and split is None else 1)
    trials: list[Trial] = []
    for number, (parts, own) in enumerate(_runs(pipeline, protocol, split, range(seed, seed + seeds))):
        ready = prepared(pipeline, seed=own, split=parts)
        tell = _Told(progress, number * len(models), total)
        made = _run(dict(map(_model, models)), ready, own, literature=literature, tell=tell)
        trials.append(
            made if not trials else replace(made, split=trials[0].split, features=trials[0].features, models={})
        )
    report = combine([t.report for t in trials])
    other = [t.literature for t in trials if t.literature is not None]
    return replace(trials[0], report=report, literature=combine(other) if other else None)


class _Told:
    """Progress over the models of all runs."""

    def __init__(self, progress: Progress | None, start: int, total: int) -> None:
        self.progress, self.start, self.total = progress, start, total

    def __call__(self, done: int) -> None:
        if self.progress:
            self.progress(self.start + done, self.total, "fit models")


def _runs(pipeline: Pipeline, protocol: str, split: Split | None, seeds: range) -> Iterator[tuple[Split, int]]:
    """(split, seed) of every run."""
    for seed in seeds:
        if split is not None:
            yield split, seed
        elif protocol == GIVEN:
            yield given_split(pipeline), seed
        elif protocol == KFOLD:
            yield from ((part, seed) for part in k_folds(pipeline.dataset, FOLDS, rng=seed))
        else:
            yield split_by(pipeline.dataset, protocol, seed), seed


def _run(models: dict[str, Recommender], ready: Prepared, seed: int, *, literature: bool, tell: _Told) -> Trial:
    """Fits and measures the models once."""
    parts, features, costs = ready.split, ready.features, {}
    for number, (name, model) in enumerate(models.items()):
        tell(number)
        costs[name] = measure_fit(model, parts.train, features, rng=seed, validation=parts.valid)
    tell(len(models))
    report = measure(models, parts.test, parts, features, costs=costs, seed=seed)
    other = None
    if literature:
        other = measure(models, parts.test, parts, features, costs=costs, seed=seed, literature=True)
    return Trial(parts, features, models, report, other)


def measure(
    models: Mapping[str, Recommender],
    holdout: Holdout,
    split: Split,
    features: FeatureSet,
    *,
    costs: Mapping[str, Any] | None = None,
    seed: int = 0,
    literature: bool = False,
) -> Report:
    """The report on fitted models, with what the split says of itself."""
    told = {key: value for key, value in split.about.items() if key in ABOUT}
    words = ", ".join(str(value) if key == "protocol" else f"{key} {value}" for key, value in told.items())
    rules = Rules(split=words, seeds={"split": seed, "fit": seed}, seed=seed, literature=literature)
    return evaluate(models, holdout, train=split.train, features=features, costs=costs, rules=rules)


def _model(choice: str | Mapping[str, Any]) -> tuple[str, Recommender]:
    """A name for the table and a new model; no model refits on validation data in a comparison, whatever was set."""
    table = {"name": choice} if isinstance(choice, str) else dict(choice)
    model: Recommender = component("model", table, "models")
    if "refit" in model.settings_class().model_fields:
        model = component("model", {**table, "refit": False}, "models")
    settings = ", ".join(f"{k}={v}" for k, v in table.items() if k not in ("name", "refit"))
    return str(table["name"]) + (f" ({settings})" if settings else ""), model


def with_baselines(models: Sequence[str | Mapping[str, Any]], *, has_features: bool) -> list[str | Mapping[str, Any]]:
    """The models and, after them, the baselines that are not among them."""
    names = [m if isinstance(m, str) else m.get("name") for m in models]
    more = [b for b in BASELINES if b not in names and (has_features or b != "contentknn")]
    return [*models, *more]
