"""Search: words, a picture, a sound or a film find items of any modality, with or without a person's taste.

A query is compared with the items over every channel there is between its modality and theirs:

- `same`: the items have vectors of the encoder that reads the query;
- `shared`: a model that reads several modalities put both into one space;
- `aligned`: the fuser of the model is an aligner, which maps both into one space;
- `words`: pictures and sounds are named by the classes of their network, and the names compared with words (ConSE).

One channel joins each pair of features, the first of these that is there. Over a channel, similarities are
standardised on the items that have the modality; an item's relevance is the weighted mean of its channels, 1 for the
first three kinds and 0.5 for the approximate fourth. With a person the score is

    (1 - taste) x relevance + taste x standardised score of the model,

where an item that the model cannot score counts as average.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from salon.arrays import centred_unit_rows, top_k, unit_rows
from salon.encode.base import Encoder, Features, FeatureSet, space_of
from salon.encode.pictures import Lite0
from salon.encode.plan import Part
from salon.encode.sounds import MusiCNN
from salon.encode.words import Words
from salon.errors import DataError, SettingError, did_you_mean
from salon.fuse.align import Aligner
from salon.fuse.base import Fuser
from salon.media.text import clean_text
from salon.pipeline_answers import Named
from salon.types import BoolArray, FloatArray, Modality

WEIGHTS = {"same": 1.0, "shared": 1.0, "aligned": 1.0, "words": 0.5}
"""How much a channel counts, by its kind."""
READ = (Modality.TEXT, Modality.IMAGE, Modality.AUDIO, Modality.VIDEO)
"""Modalities that can be searched with."""
TABLES = (Modality.CATEGORY, Modality.NUMBER)
"""Modalities that say too little of an item to be searched through an aligner."""


@dataclass(frozen=True)
class Match:
    """An item that was found.

    Attributes:
        id: The item.
        title: Its title.
        score: Its score; the parts in `by` sum to it.
        by: Channel, such as "text: same" or "image: words", or "taste", to what it adds.
    """

    id: str
    title: str
    score: float
    by: dict[str, float]


class Channel(NamedTuple):
    """One way from a query to items.

    Attributes:
        name: The features that were looked at, and the kind of the way.
        weight: How much it counts.
        scores: (items,) float32, standardised over the items that have the features; NaN for the others.
    """

    name: str
    weight: float
    scores: FloatArray


class Searcher:
    """Finds items by content.

    Args:
        parts: The fitted encoders and the names of their features.
        features: The vectors of the items.
        fuser: The fitted fuser, used where it aligns.
    """

    def __init__(self, parts: tuple[Part, ...], features: FeatureSet, fuser: Fuser | None = None) -> None:
        self.parts = {part.name: part for part in parts if part.name in features}
        self.features = features
        self.fuser = fuser if isinstance(fuser, Aligner) else None
        self._known_words: dict[tuple[str, str], Words] = {}
        self._known_items: dict[tuple[str, str], FloatArray] = {}

    def channels(self, query: Mapping[Modality, str | Path]) -> list[Channel]:
        """Every way from the query to the items.

        Args:
            query: Modality to a text, or to the path of a file.

        Raises:
            DataError: The catalogue has nothing that can be compared with a part of the query.
            MediaError: A file cannot be decoded.
        """
        found = []
        for modality, value in query.items():
            mine = [channel for part in self._readers(modality) for channel in self._from(part, value)]
            if not mine:
                have = ", ".join(repr(name) for name in self.parts) or "none"
                raise DataError(
                    f"Nothing in this catalogue can be compared with {modality.value}; it has the features {have}.",
                    hint="Declare that modality, align by [fuse] name = 'cca', or use a model that reads both.",
                )
            found += mine
        return found

    def relevance(self, channels: list[Channel]) -> FloatArray:
        """(items, channels) what each channel adds; rows sum to the relevance, NaN rows have no channel at all."""
        weights = np.array([[c.weight] for c in channels]) * ~np.isnan(np.array([c.scores for c in channels]))
        with np.errstate(invalid="ignore"):
            shares = weights / weights.sum(axis=0)
        return np.where(weights.sum(axis=0) > 0, shares * np.nan_to_num([c.scores for c in channels]), np.nan).T

    # -- channels ----------------------------------------------------------------------------------------------------

    def _readers(self, modality: Modality) -> list[Part]:
        """The encoders that read a modality, one per space."""
        spaces: dict[str, Part] = {}
        for part in self.parts.values():
            if part.modality is modality:
                spaces.setdefault(part.encoder.fingerprint, part)
        return list(spaces.values())

    def _from(self, part: Part, value: str | Path) -> list[Channel]:
        raw: Any = clean_text(str(value)) if part.modality is Modality.TEXT else Path(value)
        if part.modality is Modality.TEXT and not raw:
            raise SettingError("The words to search for are empty.", hint="Write what is looked for.")
        vector = part.encoder.encode_query([raw])
        found = []
        for name, other in self.parts.items():
            kind, scores = self._compare(part, vector, name, other, raw)
            if kind:
                features = self.features[name]
                found.append(Channel(f"{name}: {kind}", WEIGHTS[kind], standardised(scores, features.present)))
        return found

    def _compare(self, part: Part, vector: FloatArray, name: str, other: Part, raw: Any) -> tuple[str, FloatArray]:
        """The kind of the way from a query to the features `name`, "" for none, and (items,) similarities."""
        features = self.features[name]
        if features.fingerprint == part.encoder.fingerprint:
            return "same", _cosines(vector, features, centre=part.modality is not Modality.TEXT)
        if space_of(features.fingerprint) == part.encoder.space:
            return "shared", _cosines(vector, features, centre=False)
        fuser = self.fuser
        if fuser is not None and other.modality not in TABLES and {part.name, name} <= set(fuser.aligned):
            return "aligned", _cosines(fuser.align(part.name, vector), self._aligned[name], centre=False)
        return self._by_words(part, vector, features, other, raw)

    def _by_words(
        self, part: Part, vector: FloatArray, features: Features, other: Part, raw: Any
    ) -> tuple[str, FloatArray]:
        if part.modality is Modality.TEXT and _has_classes(other.encoder):
            found = np.zeros(len(features), np.float32)
            query = self._words(other, part).query_vectors([raw])[0]
            found[features.present] = self._named(other, part) @ query
            return "words", found
        if other.modality is Modality.TEXT and _has_classes(part.encoder):
            named = self._words(part, other).text_vectors(vector)
            return "words", centred_unit_rows(features.vectors, features.present) @ named[0]
        return "", np.zeros(0, np.float32)

    def _words(self, seen: Part, text: Part) -> Words:
        """Names for what one encoder sees or hears, in the space of a text encoder, which reads them once."""
        key = (seen.name, text.name)
        if key not in self._known_words:
            self._known_words[key] = Words(seen.encoder, text.encoder)
        return self._known_words[key]

    def _named(self, seen: Part, text: Part) -> FloatArray:
        """(present items, d) float32, what the items show or sound like, in the space of a text encoder."""
        key = (seen.name, text.name)
        if key not in self._known_items:
            features = self.features[seen.name]
            self._known_items[key] = self._words(seen, text).text_vectors(features.vectors[features.present])
        return self._known_items[key]

    @cached_property
    def _aligned(self) -> FeatureSet:
        if self.fuser is None:
            return FeatureSet({}, self.features.n_items)
        return self.fuser.transform(self.features)


def _has_classes(encoder: Encoder) -> bool:
    return isinstance(encoder, Lite0 | MusiCNN)


def _cosines(vector: FloatArray, features: Features, *, centre: bool) -> FloatArray:
    """(items,) cosines with one query; centred on the mean of the items where vectors share a large common part."""
    if not centre:
        return unit_rows(features.vectors) @ unit_rows(vector)[0]
    mean = (
        features.vectors[features.present].mean(axis=0, dtype=np.float64)
        if features.present.any()
        else np.zeros(features.dim)
    )
    return centred_unit_rows(features.vectors, features.present, mean) @ unit_rows(vector - mean)[0]


def standardised(scores: FloatArray, present: np.ndarray[Any, np.dtype[np.bool_]]) -> FloatArray:
    """(n,) float64 with mean 0 and deviation 1 over the present ones, NaN elsewhere."""
    known = np.asarray(scores, np.float64)[present]
    spread = float(known.std()) if len(known) else 0.0
    found = np.full(len(present), np.nan)
    found[present] = (known - known.mean()) / spread if spread > 1e-12 else 0.0
    return found


def modalities(query: Mapping[str, str | Path]) -> dict[Modality, str | Path]:
    """The query by modality.

    Raises:
        SettingError: It is empty, or names something that cannot be searched with.
    """
    names = [modality.value for modality in READ]
    for name in query:
        if name not in names:
            raise SettingError(f"{name!r} cannot be searched with.", hint=did_you_mean(name, names))
    if not query:
        raise SettingError("There is nothing to search for.", hint=f"Give one of {', '.join(names)}.")
    return {Modality(name): value for name, value in query.items()}


def matches(
    searcher: Searcher,
    query: Mapping[str, str | Path],
    items: Named,
    k: int,
    scores: FloatArray | None = None,
    taste: float = 0.3,
    allow: BoolArray | None = None,
) -> list[Match]:
    """The k best items for a query, and for a person where scores of the model are given.

    Args:
        searcher: Compares.
        query: Modality to a text or a path.
        items: The catalogue, for ids and titles.
        k: How many.
        scores: (items,) the model's scores for one person, -inf where it has none; None: nobody's taste counts.
        taste: Share of the taste.
        allow: (items,) bool, the items that may be found; None: all.
    """
    if k < 1:
        raise SettingError(f"k is {k}.", hint="Ask for at least one item.")
    if not 0 <= taste <= 1:
        raise SettingError(f"taste is {taste}.", hint="Give a share between 0 and 1.")
    channels = searcher.channels(modalities(query))
    parts = searcher.relevance(channels)
    names = [channel.name for channel in channels]
    if scores is not None:
        known = np.nan_to_num(standardised(scores, np.isfinite(scores)))
        parts = np.column_stack([(1 - taste) * parts, taste * known])
        names = [*names, "taste"]
    total = np.where(np.isnan(parts).any(axis=1), -np.inf, parts.sum(axis=1))
    if allow is not None:
        total[~allow] = -np.inf
    best = top_k(total[None].astype(np.float32), k)
    rows = best.ids[0][best.ids[0] >= 0].tolist()
    return [Match(items.ids[row], items.title(row), float(total[row]), _by_name(names, parts[row])) for row in rows]


def _by_name(names: list[str], values: FloatArray) -> dict[str, float]:
    """Values summed by name: two parts of a query may take ways of the same name."""
    found: dict[str, float] = {}
    for name, value in zip(names, values.tolist(), strict=True):
        found[name] = found.get(name, 0.0) + value
    return found
