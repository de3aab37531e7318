"""Item features made ready for networks: frozen, centred, reduced, of unit length, absent ones zero and masked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import scipy.linalg

from salon.arrays import unit_rows
from salon.encode.base import Features, FeatureSet
from salon.errors import DataError
from salon.types import BoolArray, FloatArray


@dataclass(frozen=True)
class Projection:
    """How the features of one modality are made ready, learned from the items that have it.

    Attributes:
        centre: (d,) float32, their mean.
        directions: (d, width) float32, the leading directions, or (d, 0) where all numbers are kept.
        fingerprint: What made the features.
    """

    centre: FloatArray
    directions: FloatArray
    fingerprint: str

    @classmethod
    def of(cls, features: Features, width: int) -> Projection:
        """The projection of given features to at most `width` numbers: PCA without a copy of the mean."""
        centre = features.vectors[features.present].mean(axis=0)
        directions: FloatArray = np.zeros((features.dim, 0), np.float32)
        if features.dim > width:
            centred = np.where(features.present[:, None], features.vectors - centre, np.float32(0))
            subset = [features.dim - width, features.dim - 1]
            found = scipy.linalg.eigh(centred.T @ centred, subset_by_index=subset)[1]
            directions = np.asarray(found[:, ::-1], np.float32)
        return cls(centre, directions, features.fingerprint)

    @property
    def width(self) -> int:
        """Numbers that come out."""
        return self.directions.shape[1] or len(self.centre)

    def __call__(self, features: Features) -> FloatArray:
        """(n, width) float32, rows of length 1, 0 where absent.

        Raises:
            FingerprintError: Another encoder made these features.
        """
        known = Features(np.zeros((0, len(self.centre)), np.float32), np.zeros(0, bool), self.fingerprint)
        known.check_same_space(features)
        centred = np.where(features.present[:, None], features.vectors - self.centre, np.float32(0))
        return unit_rows(centred @ self.directions if self.directions.shape[1] else centred)


@dataclass(frozen=True)
class Media:
    """One modality of all items.

    Attributes:
        raw: (items, d) float32 as given, 0 where absent: for neighbours by cosine.
        vectors: (items, at most `width`) float32, centred, reduced to the leading directions, rows of length 1, 0
            where absent: what networks read.
        present: (items,) bool.
        projection: What made `vectors` of `raw`.
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
    found = {name: _media(features, width) for name, features in items.items() if features.present.any()}
    if not found:
        names = ", ".join(items) or "none"
        raise DataError(f"No item has features (modalities: {names}).", hint="Use a model that needs no media.")
    return found


def having_any(media: Mapping[str, Media], n_items: int) -> BoolArray:
    """(items,) bool, the items with at least one modality."""
    return np.logical_or.reduce([one.present for one in media.values()], initial=False) | np.zeros(n_items, bool)


def _media(features: Features, width: int) -> Media:
    raw = np.where(features.present[:, None], features.vectors, np.float32(0))
    projection = Projection.of(features, width)
    return Media(raw, projection(features), features.present.copy(), projection)
