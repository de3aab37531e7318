"""How much each modality counts in a fused vector: as the fuser itself weighs it, or by hiding it.

Fusers that compute weights (one per modality, gates, attention, edges of a graph) tell them. For all others a modality
counts by occlusion: 1 - cosine between the fused vector and the one made without it (Zeiler and Fergus, ECCV 2014).
Both are given as shares that sum to 1 per item. They say how a vector is made, not what people look at.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np

from salon.arrays import unit_rows
from salon.encode.base import FeatureSet
from salon.errors import DataError
from salon.fuse.base import Fuser
from salon.types import BoolArray, FloatArray


@runtime_checkable
class WeighsModalities(Protocol):
    """A fuser that can tell its weights."""

    names_: list[str]

    def item_weights(self, features: FeatureSet) -> FloatArray | None:
        """(n, modalities) float32 in the order of `names_`, rows summing to 1 or 0; None if it has none."""


@dataclass(frozen=True)
class ModalityWeights:
    """Shares of the modalities.

    Attributes:
        names: The modalities.
        items: (n, modalities) float32; a row sums to 1, or is 0 where an item has no modality.
        choice: (n,) bool, the items with at least two modalities; for the others there is nothing to weigh.
        method: "learned" if the fuser told its weights, else "occlusion".
    """

    names: tuple[str, ...]
    items: FloatArray
    choice: BoolArray
    method: Literal["learned", "occlusion"]

    def overall(self) -> dict[str, float]:
        """The mean share of each modality over the items that have at least two, or over all where none has."""
        rows = self.choice if self.choice.any() else self.items.any(axis=1)
        means = self.items[rows].mean(axis=0, dtype=np.float64) if rows.any() else np.zeros(len(self.names))
        return dict(zip(self.names, means.tolist(), strict=True))

    def of_item(self, row: int) -> dict[str, float]:
        """The shares in one item."""
        return dict(zip(self.names, self.items[row].tolist(), strict=True))


def modality_weights(fuser: Fuser, features: FeatureSet) -> ModalityWeights:
    """The shares of the modalities in every item.

    Args:
        fuser: Fitted.
        features: What it joins.

    Raises:
        NotFittedError: The fuser is not fitted.
        DataError: The fuser does not make one vector of the modalities, so there is nothing to tell.
    """
    fuser.check_fitted()
    present = np.stack([part.present for part in features.values()], axis=1)
    choice: BoolArray = np.asarray(present.sum(axis=1) > 1)
    if isinstance(fuser, WeighsModalities):
        found = fuser.item_weights(features)
        if found is not None:
            return ModalityWeights(tuple(fuser.names_), found, choice, "learned")
    return ModalityWeights(tuple(features), _occluded(fuser, features, present), choice, "occlusion")


def _occluded(fuser: Fuser, features: FeatureSet, present: BoolArray) -> FloatArray:
    """(n, modalities) float32 shares of the change when each modality is hidden."""
    whole = _one(fuser.transform(features))
    changes = np.zeros(present.shape, np.float32)
    for place, name in enumerate(features):
        hidden = FeatureSet({**features, name: features[name].hide(present[:, place])}, features.n_items)
        left = _one(fuser.transform(hidden))
        changes[:, place] = np.where(present[:, place], 1 - (whole * left).sum(axis=1), 0)
    changes = np.maximum(changes, 0)
    changes = np.where(present.sum(axis=1, keepdims=True) == 1, present, changes)
    total = changes.sum(axis=1, keepdims=True)
    even = present / np.maximum(present.sum(axis=1, keepdims=True), 1)  # nothing changed: all count alike
    return np.where(total > 1e-12, changes / np.maximum(total, 1e-12), even).astype(np.float32)


def _one(fused: FeatureSet) -> FloatArray:
    if len(fused) != 1:
        raise DataError(
            f"This fuser makes {len(fused)} vectors of an item, not one.",
            hint="The model weighs the modalities itself: see salon explain.",
        )
    (part,) = fused.values()
    return unit_rows(part.vectors)
