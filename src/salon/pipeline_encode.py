"""Media of a catalogue to vectors, and what people wrote about its items, pooled from training events alone."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from salon.data import Dataset, Field, IdMap, Items
from salon.data.reviews import review_texts
from salon.encode.base import Features, FeatureSet
from salon.encode.cache import VectorCache
from salon.encode.lessons import TrainedEncoder
from salon.encode.run import CatalogueEncoder
from salon.encode.weights import cache_root
from salon.media import MediaProblem
from salon.pipeline_shop import EncodeSection
from salon.types import FloatArray, Modality, Progress

MANY = 1000
"""Values from which on it pays to start processes for them."""
REVIEWS = "reviews"
"""Name of the features pooled from what people wrote."""


@dataclass(frozen=True)
class Encoded:
    """The vectors of a catalogue.

    Attributes:
        features: By name, without reviews and without encoders that are trained on a log.
        problems: Values that were masked, by item id, field and reason.
        encoders: The fitted encoders, ready for items that come later; None after loading a saved model.
        section: How it was encoded.
        waiting: The names of features that wait for a log, see `for_training`.
    """

    features: FeatureSet
    problems: tuple[MediaProblem, ...] = ()
    encoders: CatalogueEncoder | None = None
    section: EncodeSection | None = None
    waiting: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        """The names of all features, those that wait for a log included."""
        return [*self.features, *self.waiting]

    def for_training(self, train: Dataset, *, rng: int = 0) -> Encoded:
        """The same with what only a log gives: reviews pooled, and encoders that learn from what people did.

        Args:
            train: What may be learned from; a held-out action would give the answer away.
            rng: Seed of encoders that are trained.
        """
        section = self.section
        if section is None:
            return self
        more, problems = trained_features(train, section, rng=rng)
        if section.reviews and section.specs.get(Modality.TEXT) != "none" and _has_reviews(train):
            more[REVIEWS] = pooled_reviews(train, section)
        features = FeatureSet({**self.features, **more}, train.n_items) if more else self.features
        return replace(self, features=features, problems=tuple(dict.fromkeys((*self.problems, *problems))))


def _has_reviews(train: Dataset) -> bool:
    return any(text and text.strip() for text in train.events.texts or ())


def vector_cache(section: EncodeSection) -> VectorCache:
    """The cache of vectors that a section names, or $SALON_VECTORS, or the user's."""
    named = section.cache or os.environ.get("SALON_VECTORS", "")
    return VectorCache(Path(named) if named else cache_root() / "vectors.sqlite")


def worker_count(section: EncodeSection, values: int, *, parallel: bool) -> int:
    """How many processes encode: as set, or one per core where that is allowed and starting them pays."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return section.workers or (min(cores, 16) if parallel and values >= MANY else 1)


def encode_catalogue(
    section: EncodeSection, data: Dataset, progress: Progress | None = None, *, parallel: bool = False
) -> Encoded:
    """Encodes every declared field; vectors that are in the cache are not made again.

    Encoders that are trained on a log wait for `Encoded.for_training`, which knows what they may see.

    Args:
        section: The settings.
        data: The catalogue.
        progress: Called after every batch.
        parallel: Whether processes may be started for a large catalogue although none are set.

    Raises:
        SettingError: A key of [encode] is neither a field nor a modality.
        WeightsError: The weights of an encoder are not here.
    """
    encoders, late = CatalogueEncoder.of(data.items, section.specs).parted()
    encoders.fit(data.items)
    with vector_cache(section) as cache:
        workers = worker_count(section, data.n_items, parallel=parallel)
        features, problems = encoders.encode(data.items, cache, progress=progress, workers=workers)
    return Encoded(features, tuple(problems), encoders, section, tuple(part.name for part in late.parts))


def trained_features(
    train: Dataset, section: EncodeSection, *, rng: int = 0
) -> tuple[dict[str, Features], list[MediaProblem]]:
    """The features of encoders that learn from what people did, trained on `train` alone, and what was masked."""
    _, encoders = CatalogueEncoder.of(train.items, section.specs).parted()
    if not encoders.parts:
        return {}, []
    encoders.fit(train.items, train.positives(), rng=rng)
    with vector_cache(section) as cache:
        features, problems = encoders.encode(train.items, cache)
    return dict(features), problems


def pooled_reviews(train: Dataset, section: EncodeSection) -> Features:
    """Per item the mean of the vectors of its reviews, each encoded by itself; items without any are masked."""
    per_item = review_texts(train)
    texts = list(dict.fromkeys(text for row in per_item for text in row))
    field = Field.of(REVIEWS, Modality.TEXT, texts)
    table = Items(IdMap(map(str, range(len(texts)))), {REVIEWS: field})
    encoders = CatalogueEncoder.of(table, {REVIEWS: section.specs.get(Modality.TEXT, Modality.TEXT.value)})
    if any(isinstance(part.encoder, TrainedEncoder) for part in encoders.parts):  # reviews are no items
        encoders = CatalogueEncoder.of(table)
    with vector_cache(section) as cache:
        found, _ = encoders.fit(table).encode(table, cache, workers=max(section.workers, 1))
    one = next(iter(found.values()))
    place = {text: row for row, text in enumerate(texts)}
    return _mean_rows(one, [[place[text] for text in row] for row in per_item])


def _mean_rows(features: Features, rows: list[list[int]]) -> Features:
    vectors: FloatArray = np.zeros((len(rows), features.dim), np.float32)
    present = np.zeros(len(rows), bool)
    for item, mine in enumerate(rows):
        usable = [row for row in mine if features.present[row]]
        if usable:
            vectors[item] = features.vectors[usable].mean(axis=0)
            present[item] = True
    return Features(vectors, present, f"{features.fingerprint}-pooled")


def feature_state(features: FeatureSet) -> dict[str, object]:
    """The vectors as plain values and arrays, for `write_state`."""
    state: dict[str, object] = {"names": list(features), "fingerprints": [f.fingerprint for f in features.values()]}
    for i, one in enumerate(features.values()):
        state |= {f"vectors{i}": one.vectors, f"present{i}": one.present}
    return state


def features_of(state: Mapping[str, object], n_items: int) -> FeatureSet:
    """What `feature_state` gave."""
    names, fingerprints = state["names"], state["fingerprints"]
    assert isinstance(names, list)
    assert isinstance(fingerprints, list)
    found = {
        name: Features(state[f"vectors{i}"], state[f"present{i}"], fingerprints[i])  # type: ignore[arg-type]
        for i, name in enumerate(names)
    }
    return FeatureSet(found, n_items)
