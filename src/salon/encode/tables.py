"""Plain attributes as vectors: labels, numbers, and vectors that were made elsewhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from pydantic import Field

from salon.arrays import unit_rows
from salon.config import Settings
from salon.encode.base import Encoder
from salon.encode.classic import hashed
from salon.errors import DataError
from salon.types import FloatArray, Modality


class CategoriesSettings(Settings):
    """Settings of `Categories`."""

    most: int = Field(512, ge=1)
    """Labels with a column of their own, the most frequent ones."""
    buckets: int = Field(64, ge=1)
    """Columns shared by all other labels, those met after fit included."""


class Categories(Encoder):
    """Labels as a row of ones, of unit length; rare and new labels share hashed columns."""

    modality = Modality.CATEGORY
    settings: CategoriesSettings
    needs_fit = True
    labels_: list[str]

    @property
    def dim(self) -> int:
        """Labels with an own column, and the shared columns."""
        self.check_fitted()
        return len(self.labels_) + self.settings.buckets

    @property
    def version(self) -> str:
        """Version of the formula."""
        return "multi-hot-1"

    def fit(self, values: Sequence[Sequence[str]]) -> Self:
        """Learns the most frequent labels."""
        counts = Counter(label for labels in values for label in set(labels))
        self.labels_ = sorted(sorted(counts), key=lambda label: -counts[label])[: self.settings.most]
        return self

    def embed(self, batch: Sequence[Sequence[str]]) -> FloatArray:
        """(n, dim) float32 of unit length."""
        vectors = np.zeros((len(batch), self.dim), np.float32)
        columns = {label: column for column, label in enumerate(self.labels_)}
        for row, labels in enumerate(batch):
            for label in labels:
                shared = len(columns) + hashed(label, self.settings.buckets)[0]
                vectors[row, columns.get(label, shared)] = 1
        return unit_rows(vectors)


class NumbersSettings(Settings):
    """Settings of `Numbers`."""

    clip: float = Field(0.01, ge=0, lt=0.5)
    """Share of values at either end that are pulled in to the quantile there."""
    knots: int = Field(8, ge=0, le=64)
    """Bumps along the quantiles of each number, so that near values are alike also where only directions count."""


class Numbers(Encoder):
    """Numbers, clipped at quantiles and standardised by the catalogue seen at fit, with bumps along the quantiles.

    A value is one number, or a row of numbers (one per field) with NaN where one is missing; the columns of a
    missing number are 0. For each field: the standardised number / 3, then exp(-(q - knot)^2 / 2 width^2) over its
    quantile q in 0..1.
    """

    modality = Modality.NUMBER
    settings: NumbersSettings
    needs_fit = True
    quantiles_: FloatArray
    mean_: FloatArray
    std_: FloatArray

    @property
    def dim(self) -> int:
        """(1 + knots) for each field."""
        self.check_fitted()
        return len(self.mean_) * (1 + self.settings.knots)

    @property
    def version(self) -> str:
        """Version of the formula."""
        return "standardised-bumps-1"

    def fit(self, values: Sequence[Any]) -> Self:
        """Learns quantiles, mean and standard deviation of each field, from the numbers that are there.

        Raises:
            DataError: A field has no number.
        """
        table = _table(values)
        if not len(table) or not np.isfinite(table).any(axis=0).all():
            raise DataError("A number field has no value at all.", hint="Leave the field out.")
        points = np.linspace(self.settings.clip, 1 - self.settings.clip, 101)
        quantiles = np.nanquantile(table, points, axis=0)  # (101, fields)
        clipped = np.clip(table, quantiles[0], quantiles[-1])
        std = np.nanstd(clipped, axis=0)
        self.quantiles_, self.mean_ = quantiles, np.nanmean(clipped, axis=0)
        self.std_ = np.where(std > 0, std, 1.0)
        return self

    def embed(self, batch: Sequence[Any]) -> FloatArray:
        """(n, dim) float32."""
        self.check_fitted()
        table = _table(batch).reshape(len(batch), -1) if len(batch) else np.zeros((0, len(self.mean_)))
        if table.shape[1] != len(self.mean_):
            raise DataError(f"{table.shape[1]} numbers per item where {len(self.mean_)} were seen at fit.")
        clipped = np.clip(table, self.quantiles_[0], self.quantiles_[-1])
        parts = [((clipped - self.mean_) / self.std_ / 3)[:, :, None]]
        if self.settings.knots:
            knots = np.linspace(0, 1, self.settings.knots)
            width = 1 / max(1, self.settings.knots - 1)
            places = np.stack([_place(c, q) for c, q in zip(clipped.T, self.quantiles_.T, strict=True)], axis=1)
            parts.append(np.exp(-(((places[:, :, None] - knots) / width) ** 2) / 2))
        joined = np.concatenate(parts, axis=2)  # (n, fields, 1 + knots)
        return np.nan_to_num(joined).reshape(len(table), self.dim).astype(np.float32)


def _place(values: FloatArray, quantiles: FloatArray) -> FloatArray:
    """The quantile of each value, 0..1; equal values in the middle of their range."""
    low = np.searchsorted(quantiles, values, side="left")
    high = np.searchsorted(quantiles, values, side="right")
    between = np.interp(values, quantiles, np.linspace(0, 1, len(quantiles)))
    middle = (low + high - 1) / 2 / (len(quantiles) - 1)
    return np.where(np.isnan(values), np.nan, np.where(high - low > 1, middle, between))


def _table(values: Sequence[Any]) -> FloatArray:
    """(n, fields) float64."""
    return np.array([np.atleast_1d(np.asarray(value, dtype=np.float64)) for value in values])


class VectorsSettings(Settings):
    """Settings of `Vectors`."""

    unit: bool = False
    """Whether to scale every vector to length 1."""


class Vectors(Encoder):
    """Vectors made elsewhere, passed through; their length is learned at fit and held from then on."""

    modality = Modality.VECTOR
    settings: VectorsSettings
    needs_fit = True
    dim_: int

    @property
    def dim(self) -> int:
        """That of the vectors seen at fit."""
        self.check_fitted()
        return self.dim_

    @property
    def version(self) -> str:
        """Version of the formula."""
        return "given-1"

    def fit(self, values: Sequence[Any]) -> Self:
        """Learns the length of the vectors.

        Raises:
            DataError: There is no vector.
        """
        if not len(values):
            raise DataError("A vector field has no value at all.", hint="Leave the field out.")
        self.dim_ = len(values[0])
        return self

    def embed(self, batch: Sequence[Any]) -> FloatArray:
        """(n, dim) float32.

        Raises:
            DataError: A vector has another length.
        """
        for vector in batch:
            if len(vector) != self.dim:
                raise DataError(f"A vector of {len(vector)} numbers where {self.dim} were seen at fit.")
        vectors = np.asarray(batch, dtype=np.float32).reshape(len(batch), self.dim)
        return unit_rows(vectors) if self.settings.unit else vectors
