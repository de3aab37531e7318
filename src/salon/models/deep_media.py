"""Item features made ready for networks: frozen, centred, reduced, of unit length, absent ones zero and masked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import scipy.linalg

from salon.arrays import unit_rows
from salon.encode.base import Features, FeatureSet
from salon.errors import DataError, FingerprintError
from salon.types import BoolArray, FloatArray


@dataclass(frozen=True)
class Projection:
    """What makes of the features of a modality what networks read: (f - mean) @ directions, at length 1.

    Attributes:
        fingerprint: Of the encoder.
        mean: (d,) float32, of the present rows of the catalogue on which it was learned.
        directions: (d, k) float32, the directions of largest variance there, largest first; (d, 0) where all d numbers
            are kept as they are.
    """

    fingerprint: str
    mean: FloatArray
    directions: FloatArray

    @classmethod
    def of(cls, features: Features, width: int) -> Projection:
        """Learned on the present rows; at most `width` directions. PCA without a copy of the mean."""
        centred = np.where(features.present[:, None], features.vectors, np.float32(0))
        mean = centred[features.present].mean(axis=0)
        if features.dim <= width:
            return cls(features.fingerprint, mean, np.zeros((features.dim, 0), np.float32))
        centred = np.where(features.present[:, None], centred - mean, np.float32(0))
        last = features.dim - 1
        _, found = scipy.linalg.eigh(centred.T @ centred, subset_by_index=[last - width + 1, last])
        return cls(features.fingerprint, mean, np.asarray(found[:, ::-1], np.float32))

    def media(self, features: Features) -> Media:
        """The modality ready for networks."""
        there = features.present
        raw = np.where(there[:, None], features.vectors, np.float32(0))
        rows = np.where(there[:, None], raw - self.mean, np.float32(0))
        return Media(raw, unit_rows(rows @ self.directions if self.directions.shape[1] else rows), there.copy(), self)

    def absent(self, n_items: int) -> Media:
        """The modality of a catalogue that has none of it."""
        width = self.directions.shape[1] or len(self.mean)
        empty = np.zeros((n_items, len(self.mean)), np.float32)
        return Media(empty, np.zeros((n_items, width), np.float32), np.zeros(n_items, bool), self)


@dataclass(frozen=True)
class Media:
    """One modality of all items.

    Attributes:
        raw: (items, d) float32 as given, 0 where absent: for neighbours by cosine.
        vectors: (items, at most `width`) float32, centred, reduced to the leading directions, rows of length 1, 0
            where absent: what networks read.
        present: (items,) bool.
        projection: What made `vectors`.
    """

    raw: FloatArray
    vectors: FloatArray
    present: BoolArray
    projection: Projection


def prepared(items: FeatureSet, width: int) -> dict[str, Media]:
    """The modalities that at least one item has; the others are dropped.

    Raises:
        DataError: No modality is left.
    """
    there = {name: features for name, features in items.items() if features.present.any()}
    if not there:
        names = ", ".join(items) or "none"
        raise DataError(f"No item has features (modalities: {names}).", hint="Use a model that needs no media.")
    return {name: Projection.of(features, width).media(features) for name, features in there.items()}


def moved(items: FeatureSet, projections: Mapping[str, Projection]) -> dict[str, Media]:
    """The modalities of another catalogue by the projections of a first one, in their order; absent ones masked.

    Raises:
        FingerprintError: A modality was made by another encoder.
        DataError: No item has any of these modalities.
    """
    found = {}
    for name, one in projections.items():
        if name in items and (items[name].fingerprint, items[name].dim) != (one.fingerprint, len(one.mean)):
            raise FingerprintError(
                f"The features {name!r} are of {items[name].fingerprint!r} ({items[name].dim}); the model reads those "
                f"of {one.fingerprint!r} ({len(one.mean)}).",
                hint=f'Encode both catalogues alike, or leave it out here: {name} = "none" under [encode].',
            )
        found[name] = one.media(items[name]) if name in items else one.absent(items.n_items)
    if not any(one.present.any() for one in found.values()):
        raise DataError(
            f"Nothing is shared: the model reads {', '.join(projections)}; here is {', '.join(items) or 'nothing'}.",
            hint="Encode at least one of these modalities, under the same name and with the same encoder.",
        )
    return found


def having_any(media: Mapping[str, Media], n_items: int) -> BoolArray:
    """(items,) bool, the items with at least one modality."""
    return np.logical_or.reduce([one.present for one in media.values()], initial=False) | np.zeros(n_items, bool)
