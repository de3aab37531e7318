"""The contract of fusers: several modalities in, one or more out, any of them missing."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Self

import numpy as np

from salon.component import Component
from salon.data import Events
from salon.encode.base import FeatureSet


class Fuser(Component, ABC):
    """Joins modalities."""

    kind = "fuser"

    @abstractmethod
    def fit(
        self, features: FeatureSet, events: Events | None = None, *, rng: np.random.Generator | None = None
    ) -> Self:
        """Learns what joining needs, such as means and projections, from the items that are present."""

    @abstractmethod
    def transform(self, features: FeatureSet) -> FeatureSet:
        """The joined features, over the same items; an item lacking every modality stays masked."""


class KeepApart(Fuser):
    """Leaves every modality as it is: for models such as `linear` that weigh modalities themselves."""

    def fit(
        self, features: FeatureSet, events: Events | None = None, *, rng: np.random.Generator | None = None
    ) -> Self:
        """Learns nothing."""
        self.names_ = list(features)
        return self

    def transform(self, features: FeatureSet) -> FeatureSet:
        """The same features."""
        return features
