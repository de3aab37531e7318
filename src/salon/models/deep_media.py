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
class Media:
    """One modality of all items.

    Attributes:
        raw: (items, d) float32 as given, 0 where absent: for neighbours by cosine.
        vectors: (items, at most `width`) float32, centred, reduced to the leading directions, rows of length 1, 0
            where absent: what networks read.
        present: (items,) bool.
    """

    raw: FloatArray
    vectors: FloatArray
    present: BoolArray


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
    there = features.present
    raw = np.where(there[:, None], features.vectors, np.float32(0))
    centred = np.where(there[:, None], raw - raw[there].mean(axis=0), np.float32(0))
    return Media(raw, unit_rows(_leading(centred, width)), there.copy())


def _leading(centred: FloatArray, width: int) -> FloatArray:
    """(n, at most width): the coordinates along the directions of largest variance, PCA without a copy of the mean."""
    if centred.shape[1] <= width:
        return centred
    last = centred.shape[1] - 1
    _, directions = scipy.linalg.eigh(centred.T @ centred, subset_by_index=[last - width + 1, last])
    return np.asarray(centred @ directions[:, ::-1], np.float32)
