"""Aligners: every modality is mapped into one common space, so that a sentence finds a picture and a sound.

An aligner is a fuser whose result has the same modality names as its input. Vectors of all of them have the same
length and the same fingerprint and can be compared by their dot product; `align` maps single vectors, such as that of
a query, into the same space.
"""

from __future__ import annotations

from abc import abstractmethod
from itertools import permutations
from typing import Self

import numpy as np
from pydantic import Field

from salon.arrays import unit_rows
from salon.data import Events
from salon.encode.base import Features, FeatureSet
from salon.errors import DataError
from salon.fuse.align_report import reciprocal_ranks
from salon.fuse.layout import CentreSettings, Layout
from salon.types import BoolArray, FloatArray, IntArray


class AlignSettings(CentreSettings):
    """Settings of every aligner."""

    dim: int = Field(128, ge=1)
    """Most numbers per vector of the common space."""
    modalities: tuple[str, ...] = ()
    """Which modalities are aligned, the others are left as they are; empty: all of them."""


class Aligner(Layout):
    """Base: maps every modality into one space. A subclass writes `_learn`, `dim` and `_mapped`."""

    settings: AlignSettings

    def fit(
        self, features: FeatureSet, events: Events | None = None, *, rng: np.random.Generator | None = None
    ) -> Self:
        """Learns the maps; an aligner whose fit fails is what it was before.

        Raises:
            DataError: There is one modality only, or too few items have two of them.
            SettingError: The settings ask for modalities or events that are not there.
        """
        known = dict(vars(self))
        try:
            chosen = self._chosen(features)
            self._layout(chosen)
            rows, present = self._rows(chosen)
            self._learn(rows, present, events, np.random.default_rng(0) if rng is None else rng)
        except BaseException:
            vars(self).clear()
            vars(self).update(known)
            raise
        return self

    @abstractmethod
    def _learn(
        self, rows: list[FloatArray], present: BoolArray, events: Events | None, rng: np.random.Generator
    ) -> None:
        """Learns from (n, d) rows per modality, centred and of unit length, and which are there, (n, modalities)."""

    @property
    @abstractmethod
    def dim(self) -> int:
        """Numbers per vector of the common space."""

    @abstractmethod
    def _mapped(self, name: str, rows: FloatArray) -> FloatArray:
        """(n, dim) float of (n, d) rows of one modality, centred and of unit length; need not be of unit length."""

    @property
    def aligned(self) -> tuple[str, ...]:
        """The modalities of the common space, those that `align` takes; needs `fit`."""
        self.check_fitted()
        return tuple(self.names_)

    def _chosen(self, features: FeatureSet) -> FeatureSet:
        """Those to be aligned."""
        return features.only(self.settings.modalities) if self.settings.modalities else features

    def transform(self, features: FeatureSet) -> FeatureSet:
        """The same modalities in the common space: (n, dim) float32 of unit length, absent rows 0.

        Raises:
            DataError: A modality was not seen at fit.
            FingerprintError: One was made by another encoder than at fit.
        """
        self.check_fitted()
        stamp = self._stamp()
        chosen = self.settings.modalities or tuple(features)
        aligned = {
            name: Features(self._aligned(name, found), found.present, stamp) if name in chosen else found
            for name, found in features.items()
        }
        return FeatureSet(aligned, features.n_items)

    def align(self, name: str, vectors: FloatArray, *, fingerprint: str | None = None) -> FloatArray:
        """(n, dim) float32 of unit length in the common space, such as of queries.

        Args:
            name: The modality whose encoder made the vectors.
            vectors: (n, d) float, as that encoder gives them.
            fingerprint: That of the encoder, to be compared with the one seen at fit; None trusts the caller.

        Raises:
            NotFittedError: `fit` was not called.
            DataError: The modality was not seen at fit, or a vector is not finite.
            FingerprintError: The vectors are of another length or encoder than at fit.
        """
        self.check_fitted()
        stamp = self.fingerprints_[self._place(name)] if fingerprint is None else fingerprint
        vectors = np.asarray(vectors, dtype=np.float32)
        return self._aligned(name, Features(vectors, np.ones(len(vectors), bool), stamp))

    def _aligned(self, name: str, found: Features) -> FloatArray:
        mapped = unit_rows(self._mapped(name, self._part(name, found)))
        return np.where(found.present[:, None], mapped, np.float32(0))

    def _check_pairs(self, present: BoolArray, *, least: int = 2) -> None:
        """Raises DataError unless some two modalities are there for at least `least` items."""
        if present.shape[1] < 2:
            raise DataError(f"Only {self.names_} can be aligned.", hint="Encode at least two modalities.")
        together = present.T.astype(np.int64) @ present
        np.fill_diagonal(together, 0)
        if together.max() < least:
            raise DataError(
                f"No two of the modalities {self.names_} are there for the same {least} items.",
                hint="Alignment learns from items that have both.",
            )


def held_out(present: BoolArray, share: float, rng: np.random.Generator) -> tuple[IntArray, IntArray]:
    """Rows to learn from and rows to choose by; the latter are a share of the items with two modalities or more.

    Args:
        present: (n, modalities) bool.
        share: Of the items with at least two modalities.
        rng: Which ones.
    """
    paired = rng.permutation(np.flatnonzero(present.sum(axis=1) >= 2))
    chosen = np.sort(paired[: round(share * len(paired))])
    rest = np.setdiff1d(np.arange(len(present)), chosen)
    return rest, chosen


def pair_score(parts: list[FloatArray], present: BoolArray) -> float:
    """Mean reciprocal rank of an item's own vector of another modality, the mean over all ordered pairs.

    Args:
        parts: (n, dim) rows of unit length per modality.
        present: (n, modalities) bool.

    Returns:
        From 0 to 1; 0 where no pair of modalities shares two items.
    """
    found = []
    for one, other in permutations(range(len(parts)), 2):
        both = np.flatnonzero(present[:, one] & present[:, other])
        if len(both) > 1:
            found.append(reciprocal_ranks(parts[one][both], parts[other][both]).mean())
    return float(np.mean(found)) if found else 0.0
