"""A fair judge of models on one catalogue: the same split, the same features, the same lists for all of them.

Every model trains on the training part alone and sees the validation questions only to choose settings; nobody sees the
test. Media vectors do not depend on the log; reviews are pooled from training events, and encoders that learn from what
people did are trained on those alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from salon.data import Dataset, Holdout
from salon.data.split import Split, cold_split, leave_last_out, random_split, time_split
from salon.encode.base import FeatureSet
from salon.errors import DataError, SettingError, did_you_mean
from salon.evaluate.cost import measure_fit
from salon.evaluate.protocol import Rules, evaluate
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


@dataclass(frozen=True)
class Trial:
    """Everything that judging models takes.

    Attributes:
        split: Training, validation and test.
        features: Joined features, made of the media and of training events alone.
        models: Name to fitted model.
        report: What was measured.
    """

    split: Split
    features: FeatureSet
    models: Mapping[str, Recommender]
    report: Report


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
    if protocol not in PROTOCOLS:
        raise SettingError(f"There is no protocol {protocol!r}.", hint=did_you_mean(protocol, PROTOCOLS))
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
    progress: Progress | None = None,
) -> Trial:
    """Fits and measures several models on one split of a catalogue.

    Args:
        pipeline: A catalogue that was read; its media are encoded if that was not done.
        models: Short names, or tables with a name and settings.
        protocol: "random", "loo", "time" or "cold"; or "given" for the split that the files prescribe.
        seed: Seed of the split and of the fits.
        split: A split made elsewhere, instead of `protocol`.
        progress: Called while media are encoded and models fitted.

    Raises:
        SettingError: A model or the protocol is unknown, or a model is named twice.
    """
    contestants = dict(map(_model, models))
    if len(contestants) < len(models):
        raise SettingError("A model is named twice.", hint=f"The models: {', '.join(_model(m)[0] for m in models)}.")
    ready = prepared(pipeline, protocol=protocol, seed=seed, split=split, progress=progress)
    parts, features = ready.split, ready.features
    costs = {}
    for number, (name, model) in enumerate(contestants.items()):
        if progress:
            progress(number, len(models), "fit models")
        costs[name] = measure_fit(model, parts.train, features, rng=seed, validation=parts.valid)
    if progress:
        progress(len(models), len(models), "fit models")
    report = measure(contestants, parts.test, parts, features, costs=costs, seed=seed)
    return Trial(parts, features, contestants, report)


def measure(
    models: Mapping[str, Recommender],
    holdout: Holdout,
    split: Split,
    features: FeatureSet,
    *,
    costs: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> Report:
    """The report on fitted models, with what the split says of itself."""
    told = {key: value for key, value in split.about.items() if key in ABOUT}
    words = ", ".join(str(value) if key == "protocol" else f"{key} {value}" for key, value in told.items())
    rules = Rules(split=words, seeds={"split": seed, "fit": seed}, seed=seed)
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
