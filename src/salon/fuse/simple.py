"""Fusers in closed form: side by side, weighted sum, mean, and principal components.

All of them bring each modality to rows of unit length first, centred on the mean of the catalogue seen at fit (vectors
of one encoder often share a large common part, which would drown the rest). An item takes part with the modalities it
has; one that has none stays masked.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Annotated, Self

import numpy as np
from pydantic import Field
from scipy import linalg

from salon.arrays import unit_rows
from salon.data import Events
from salon.encode.base import FeatureSet
from salon.errors import SettingError, did_you_mean
from salon.fuse.layout import CentreSettings, Layout
from salon.types import BoolArray, FloatArray

Weight = Annotated[float, Field(ge=0)]


def principal_axes(matrix: FloatArray, dim: int) -> tuple[FloatArray, FloatArray]:
    """The directions of largest variance of centred rows.

    Args:
        matrix: (n, d) float, already centred.
        dim: How many directions; fewer come back when n or d is smaller or the variance is used up.

    Returns:
        axes (d, k) float64 orthonormal, the largest number of each positive, and variances (k,), falling.
    """
    data = np.asarray(matrix, dtype=np.float64)
    rows, columns = data.shape
    size = min(rows, columns)
    kept = min(dim, size)
    if kept == 0:
        return np.zeros((columns, 0)), np.zeros(0)
    gram = data @ data.T if rows < columns else data.T @ data
    values, vectors = linalg.eigh(gram, subset_by_index=[size - kept, size - 1])
    values, vectors = values[::-1], vectors[:, ::-1]
    real = values > values[0] * 1e-10 if values[0] > 0 else np.zeros(len(values), bool)
    values, vectors = values[real], vectors[:, real]
    axes = data.T @ vectors / np.sqrt(values) if rows < columns else vectors
    if axes.shape[1]:
        axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
    return axes, values / max(1, rows)


class JoinSettings(CentreSettings):
    """Settings of every simple fuser."""

    weights: dict[str, Weight] = {}  # noqa: RUF012  pydantic copies it
    """Weight of each modality by name; those not named have 1."""


class _Join(Layout):
    """Base: rows of the modalities, their weights, and the result under one name."""

    def _layout(self, features: FeatureSet) -> None:
        """Learns names, dimensions, spaces and centres of the modalities."""
        for name in self._declared():
            if name not in set(features):
                hint = did_you_mean(name, features)
                raise SettingError(f"There is a weight for {name!r}, but no such features.", hint=hint)
        super()._layout(features)

    def _declared(self) -> Mapping[str, float]:
        """The weights that were set, by name."""
        return self.settings.weights if isinstance(self.settings, JoinSettings) else {}

    def _weights(self) -> FloatArray:
        return np.array([self._declared().get(name, 1.0) for name in self.names_])

    def _rows(self, features: FeatureSet) -> tuple[list[FloatArray], BoolArray]:
        """Unit rows of every modality seen at fit, and which are there and count, (n, modalities) bool."""
        rows, present = super()._rows(features)
        return rows, present & (self._weights() > 0)


class ConcatSettings(JoinSettings):
    """Settings of `Concat`."""

    rescale: bool = True
    """Whether an item that lacks a modality is scaled to unit length like the others; else it is shorter."""


class Concat(_Join):
    """Modalities side by side, each of unit length times its weight; the part of an absent one is 0.

    The dot product of two rows is the weighted mean of the cosines of their modalities.
    """

    settings: ConcatSettings

    def fit(
        self, features: FeatureSet, events: Events | None = None, *, rng: np.random.Generator | None = None
    ) -> Self:
        """Learns the layout and the centres."""
        self._layout(features)
        return self

    def transform(self, features: FeatureSet) -> FeatureSet:
        """(n, sum of dims) under the name "fused"."""
        rows, present = self._rows(features)
        return self._fused(side_by_side(rows, present, self._weights(), rescale=self.settings.rescale), present)


def side_by_side(rows: list[FloatArray], present: BoolArray, weights: FloatArray, *, rescale: bool) -> FloatArray:
    """(n, sum of dims) float32: sqrt(weight) times each part, the whole at most of unit length."""
    factors = np.sqrt(weights / max(weights.sum(), 1e-12)).astype(np.float32)
    joined = np.concatenate(
        [part * (present[:, place, None] * factors[place]) for place, part in enumerate(rows)], axis=1
    )
    return unit_rows(joined) if rescale else joined


class WeightedSettings(JoinSettings):
    """Settings of `Weighted`."""

    dim: int = Field(128, ge=1)
    """Numbers per vector when modalities differ in length: each is projected on its first principal axes."""


class _Sum(_Join):
    """Base of fusers that add vectors of one length."""

    axes_: FloatArray

    def fit(
        self, features: FeatureSet, events: Events | None = None, *, rng: np.random.Generator | None = None
    ) -> Self:
        """Learns the centres, and a projection per modality when their lengths differ."""
        self._layout(features)
        dims = set(self.dims_)
        width = self._width() if len(dims) > 1 else 0
        axes = np.zeros((sum(self.dims_) if width else 0, width), np.float32)
        if width:
            rows, _ = self._rows(features)
            for name, block, part in zip(self.names_, self._blocks(), rows, strict=True):
                found = principal_axes(part[features[name].present], width)[0]
                axes[block, : found.shape[1]] = found
        self.axes_ = axes
        return self

    @abstractmethod
    def _width(self) -> int:
        """Numbers per vector where modalities differ in length."""

    def transform(self, features: FeatureSet) -> FeatureSet:
        """(n, dim) of unit length under the name "fused"."""
        rows, present = self._rows(features)
        if self.axes_.size:
            rows = [unit_rows(part @ self.axes_[block]) for part, block in zip(rows, self._blocks(), strict=True)]
        total = np.zeros((features.n_items, rows[0].shape[1]), np.float32)
        for place, weight in enumerate(self._weights()):
            total += rows[place] * (present[:, place, None] * np.float32(weight))
        return self._fused(unit_rows(total), present)


class Weighted(_Sum):
    """The weighted sum of the modalities that an item has, of unit length.

    Meant for modalities in one space (text, and pictures by their class names). Where they differ in length each is
    projected by a PCA of its own; the axes of two PCAs have nothing to do with each other, so the sum keeps
    similarities within a modality only roughly, and `Concat` or `Pca` is the better choice.
    """

    settings: WeightedSettings

    def _width(self) -> int:
        return self.settings.dim


class MaskedMeanSettings(CentreSettings):
    """Settings of `MaskedMean`."""

    dim: int = Field(128, ge=1)
    """Numbers per vector when modalities differ in length, as for `Weighted`."""


class MaskedMean(_Sum):
    """The mean of the modalities that an item has, of unit length; `Weighted` with all weights equal."""

    settings: MaskedMeanSettings

    def _width(self) -> int:
        return self.settings.dim


class PcaSettings(JoinSettings):
    """Settings of `Pca`."""

    dim: int = Field(128, ge=1)
    """Most numbers per vector; fewer when the catalogue has fewer items or directions."""
    whiten: bool = False
    """Whether to scale every axis to the same variance: fine differences then count as much as coarse ones."""


class Pca(_Join):
    """Principal components of the modalities side by side, learned on the items that have at least one.

    An absent modality counts as its mean. Source: Hotelling, "Analysis of a Complex of Statistical Variables into
    Principal Components", Journal of Educational Psychology, 1933.
    """

    settings: PcaSettings
    axes_: FloatArray
    mean_: FloatArray

    def fit(
        self, features: FeatureSet, events: Events | None = None, *, rng: np.random.Generator | None = None
    ) -> Self:
        """Learns the centres, the mean and the axes."""
        self._layout(features)
        rows, present = self._rows(features)
        joined = side_by_side(rows, present, self._weights(), rescale=True)[present.any(axis=1)]
        mean = joined.mean(axis=0) if len(joined) else np.zeros(joined.shape[1], np.float32)
        axes, variances = principal_axes(joined - mean, self.settings.dim)
        if self.settings.whiten:
            axes = axes / np.sqrt(variances)
        self.axes_, self.mean_ = axes.astype(np.float32), mean.astype(np.float32)
        return self

    def transform(self, features: FeatureSet) -> FeatureSet:
        """(n, dim) under the name "fused"."""
        rows, present = self._rows(features)
        joined = side_by_side(rows, present, self._weights(), rescale=True)
        return self._fused((joined - self.mean_) @ self.axes_, present)
