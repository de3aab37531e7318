"""Imputers: fusers that fill the gaps of a modality from what else is known of an item.

The same modalities come out, with vectors where there were none. Observed vectors are never changed; an item of which
nothing is known stays masked in everything; `filled` says which rows were made up. Here: the contract, and the mean.
"""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Self

import numpy as np

from salon.config import Settings
from salon.data import Events
from salon.encode.base import Features, FeatureSet
from salon.errors import DataError, FingerprintError, SettingError, did_you_mean
from salon.fuse.base import Fuser
from salon.types import BoolArray, FloatArray

Guess = tuple[FloatArray, BoolArray]
"""(n, d) vectors of one modality, and (n,) bool where they may be used."""


class ImputeSettings(Settings):
    """Settings of every imputer."""

    only: list[str] = []  # noqa: RUF012  pydantic copies it
    """Modalities to fill; empty: all. The others are read, and keep their gaps."""


class Imputer(Fuser):
    """Base: checks the modalities, asks a subclass for guesses, and puts them where a vector is missing.

    A subclass writes `_learn`, which returns what it learned, and `_guess`.
    """

    settings: ImputeSettings
    names_: list[str]
    dims_: list[int]
    fingerprints_: list[str]
    means_: FloatArray
    wanted_: list[bool]
    stamp_: str

    def fit(
        self, features: FeatureSet, events: Events | None = None, *, rng: np.random.Generator | None = None
    ) -> Self:
        """Learns from the items that show a modality how it follows from the others.

        Args:
            features: All modalities, with gaps.
            events: Training actions, for imputers that read who was liked together; rows as in `features`.
            rng: For imputers with a network.

        Raises:
            DataError: There are no features, or an event names an item that they do not have.
            SettingError: A modality to fill is not there.
        """
        if not features:
            raise DataError("There are no features to fill.", hint="Encode at least one modality.")
        if events is not None and len(events) and events.items.max() >= features.n_items:
            raise DataError(f"An event names item row {events.items.max()}; there are {features.n_items} items.")
        for name in self.settings.only:
            if name not in set(features):
                raise SettingError(f"There is no modality {name!r} to fill.", hint=did_you_mean(name, features))
        parts = list(features.values())
        wanted = [not self.settings.only or name in self.settings.only for name in features]
        layout = {
            "names_": list(features),
            "dims_": [part.dim for part in parts],
            "fingerprints_": [part.fingerprint for part in parts],
            "means_": np.concatenate([mean_of(part) for part in parts]),
            "wanted_": wanted,
        }
        learned = self._learn(parts, wanted, events, np.random.default_rng(0) if rng is None else rng)
        for name in [n for n in vars(self) if n.endswith("_")]:
            delattr(self, name)
        self.restore({**layout, **learned})
        self.stamp_ = self._stamp()
        return self

    @abstractmethod
    def _learn(
        self, parts: Sequence[Features], wanted: Sequence[bool], events: Events | None, rng: np.random.Generator
    ) -> dict[str, Any]:
        """What was learned, by attribute name, to fill the wanted modalities; `self` is not changed."""

    @abstractmethod
    def _guess(self, parts: Sequence[Features]) -> list[Guess]:
        """For each modality a vector per item; not used where one was observed or the modality is not wanted."""

    def transform(self, features: FeatureSet) -> FeatureSet:
        """Every modality seen at fit, gaps filled where something else is known of the item.

        A modality that is not among `features` counts as missing for all items.

        Raises:
            DataError: A modality was not seen at fit.
            FingerprintError: One was made by another encoder than at fit.
        """
        self.check_fitted()
        parts = self._parts(features)
        known, found = features.having_any(), {}
        guesses = zip(self.names_, parts, self.wanted_, self._guess(parts), strict=True)
        for name, part, wanted, (vectors, usable) in guesses:
            gaps = usable & known & ~part.present & wanted
            rows = np.where(part.present[:, None], part.vectors, np.float32(0)).astype(np.float32)
            rows[gaps] = vectors[gaps]
            found[name] = Features(rows, part.present | gaps, self._fingerprint(part.fingerprint))
        return FeatureSet(found, features.n_items)

    def filled(self, features: FeatureSet) -> dict[str, BoolArray]:
        """By modality (n,) bool, the rows of `transform(features)` that were not observed."""
        after = self.transform(features)
        return {n: f.present & ~features[n].present if n in features else f.present for n, f in after.items()}

    def _parts(self, features: FeatureSet) -> list[Features]:
        """The modalities in the order of fit; those not given are absent everywhere."""
        for name in features:
            if name not in self.names_:
                raise DataError(f"The features {name!r} were not there at fit.", hint=did_you_mean(name, self.names_))
        n, given, parts = features.n_items, set(features), []
        for name, dim, fingerprint in zip(self.names_, self.dims_, self.fingerprints_, strict=True):
            absent = Features(np.zeros((n, dim), np.float32), np.zeros(n, bool), fingerprint)
            part = features[name] if name in given else absent
            if (part.fingerprint, part.dim) != (fingerprint, dim):
                raise FingerprintError(
                    f"The features {name!r} are of {part.fingerprint!r} ({part.dim}), "
                    f"at fit they were of {fingerprint!r} ({dim}).",
                    hint="Encode with the encoders that were fitted.",
                )
            parts.append(part)
        return parts

    def _fingerprint(self, old: str) -> str:
        """A new fingerprint in the space of the old one."""
        return f"{old}{'+' if '#' in old else '#'}{self.stamp_}"

    def _stamp(self) -> str:
        """Names the class, the settings and everything learned."""
        digest = hashlib.sha256(f"{type(self).__name__}|{self.settings!r}".encode())
        for name, value in sorted(self.state().items()):
            digest.update(name.encode())
            digest.update(value.tobytes() if isinstance(value, np.ndarray) else repr(value).encode())
        return f"{type(self).__name__}-{digest.hexdigest()[:16]}"

    def _means(self) -> list[FloatArray]:
        """(d,) float32 of each modality."""
        return [self.means_[block] for block in blocks_of(self.dims_)]


def mean_of(part: Features) -> FloatArray:
    """(d,) float32 mean of the present vectors, 0 where there are none.

    It is rounded once, from double precision, so that a mean taken over these vectors and copies of it is the same
    number again, and centring gives 0 and no rounding noise.
    """
    rows = part.vectors[part.present]
    return (rows.mean(axis=0, dtype=np.float64) if len(rows) else np.zeros(part.dim)).astype(np.float32)


def blocks_of(sizes: Sequence[int]) -> list[slice]:
    """Where each part lies in arrays put side by side."""
    return [slice(start, stop) for start, stop in pairwise(np.cumsum([0, *sizes]).tolist())]


class ImputeMean(Imputer):
    """Fills a gap with the mean of the modality: the baseline, which knows nothing of the item.

    Models that centre their vectors find no direction in such a row, and where their mean is taken in single precision
    they find a rounding error, the same one for all filled items. So it is there to be compared with, not to be used.
    """

    seen_: list[bool]

    def _learn(
        self, parts: Sequence[Features], wanted: Sequence[bool], events: Events | None, rng: np.random.Generator
    ) -> dict[str, Any]:
        return {"seen_": [bool(part.present.any()) for part in parts]}

    def _guess(self, parts: Sequence[Features]) -> list[Guess]:
        n = len(parts[0])
        return [
            (np.broadcast_to(mean, (n, len(mean))), np.full(n, seen))
            for mean, seen in zip(self._means(), self.seen_, strict=True)
        ]
