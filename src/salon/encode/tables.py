"""Plain attributes as vectors: labels, numbers, and vectors that were made elsewhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal, Self

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
    least: int = Field(1, ge=1)
    """Items that a label must have for a column of its own."""
    levels: str = ""
    """Text between the levels of a hierarchy, such as " > ": "Home > Kitchen" counts as "Home" too. Empty: none."""
    rarity: bool = False
    """Whether labels weigh log((1 + items) / (1 + items with the label)) + 1 instead of 1."""


class Categories(Encoder):
    """Labels as a row of ones, of unit length; rare and new labels share hashed columns.

    Where labels weigh by rarity, those without a column of their own weigh like one that no item of the catalogue has.
    """

    modality = Modality.CATEGORY
    settings: CategoriesSettings
    needs_fit = True
    labels_: list[str]
    weights_: FloatArray

    @property
    def dim(self) -> int:
        """Labels with an own column, and the shared columns."""
        self.check_fitted()
        return len(self.labels_) + self.settings.buckets

    @property
    def version(self) -> str:
        """Version of the formula."""
        return "multi-hot-2"

    def fit(self, values: Sequence[Sequence[str]]) -> Self:
        """Learns the most frequent labels and what each weighs; the last weight is that of all other labels."""
        counts = Counter(label for labels in values for label in self._all_levels(labels))
        often = [label for label in sorted(counts) if counts[label] >= self.settings.least]
        kept = sorted(often, key=lambda label: -counts[label])[: self.settings.most]
        known = np.array([*(counts[label] for label in kept), 0], dtype=np.float64)
        rarity = np.log((1 + len(values)) / (1 + known)) + 1
        self.labels_, self.weights_ = kept, rarity if self.settings.rarity else np.ones(len(known))
        return self

    def _all_levels(self, labels: Sequence[str]) -> list[str]:
        """The labels, each once, with the levels above them."""
        found: dict[str, None] = {}
        for label in labels:
            parts = label.split(self.settings.levels) if self.settings.levels else [label]
            for depth in range(1, len(parts) + 1):
                found[self.settings.levels.join(parts[:depth])] = None
        return list(found)

    def embed(self, batch: Sequence[Sequence[str]]) -> FloatArray:
        """(n, dim) float32 of unit length."""
        vectors = np.zeros((len(batch), self.dim), np.float32)
        columns = {label: column for column, label in enumerate(self.labels_)}
        for row, labels in enumerate(batch):
            for label in self._all_levels(labels):
                shared = len(columns) + hashed(label, self.settings.buckets)[0]
                vectors[row, columns.get(label, shared)] = self.weights_[columns.get(label, -1)]
        return unit_rows(vectors)


class NumbersSettings(Settings):
    """Settings of `Numbers`."""

    clip: float = Field(0.01, ge=0, lt=0.5)
    """Share of values at either end that are pulled in to the quantile there."""
    knots: int = Field(8, ge=0, le=64)
    """Bumps along the quantiles of each number, so that near values are alike also where only directions count."""
    scale: Literal["standard", "robust", "quantile"] = "standard"
    """What is done to the number itself: mean 0 and deviation 1; median 0 and half of the numbers between -0.67 and
    0.67, as a normal one has; or its quantile, spread evenly from -1.7 to 1.7, which has deviation 1 too."""
    log: bool = False
    """Whether numbers are taken as sign(x) log(1 + |x|) first: for prices, counts and whatever else has a long tail."""
    missing: bool = False
    """Whether one more column per field is 1 where the number is missing."""


class Numbers(Encoder):
    """Numbers, clipped at quantiles and standardised by the catalogue seen at fit, with bumps along the quantiles.

    A value is one number, or a row of numbers (one per field) with NaN where one is missing; the columns of a
    missing number are 0. For each field: the scaled number / 3, then exp(-(q - knot)^2 / 2 width^2) over its quantile q
    in 0..1, then, if asked for, whether it is missing.
    """

    modality = Modality.NUMBER
    settings: NumbersSettings
    needs_fit = True
    quantiles_: FloatArray
    mean_: FloatArray
    std_: FloatArray

    @property
    def dim(self) -> int:
        """(1 + knots) for each field, one more with `missing`."""
        self.check_fitted()
        return len(self.mean_) * (1 + self.settings.knots + self.settings.missing)

    @property
    def version(self) -> str:
        """Version of the formula."""
        return "scaled-bumps-2"

    def fit(self, values: Sequence[Any]) -> Self:
        """Learns quantiles, mean and standard deviation of each field, from the numbers that are there.

        Raises:
            DataError: A field has no number.
        """
        table = self._read(values)
        if not len(table) or not np.isfinite(table).any(axis=0).all():
            raise DataError("A number field has no value at all.", hint="Leave the field out.")
        points = np.linspace(self.settings.clip, 1 - self.settings.clip, 101)
        quantiles = np.nanquantile(table, points, axis=0)  # (101, fields)
        clipped = np.clip(table, quantiles[0], quantiles[-1])
        mean, std = np.nanmean(clipped, axis=0), np.nanstd(clipped, axis=0)
        if self.settings.scale == "robust":
            low, mean, high = np.nanquantile(clipped, [0.25, 0.5, 0.75], axis=0)
            std = np.where(high > low, (high - low) / 1.349, std)  # 1.349 quartile ranges make a normal deviation
        self.quantiles_, self.mean_, self.std_ = quantiles, mean, np.where(std > 0, std, 1.0)
        return self

    def _read(self, values: Sequence[Any]) -> FloatArray:
        """(n, fields) float64, on the scale that is learned."""
        table = _table(values)
        return np.sign(table) * np.log1p(np.abs(table)) if self.settings.log else table

    def embed(self, batch: Sequence[Any]) -> FloatArray:
        """(n, dim) float32."""
        self.check_fitted()
        table = self._read(batch).reshape(len(batch), -1) if len(batch) else np.zeros((0, len(self.mean_)))
        if table.shape[1] != len(self.mean_):
            raise DataError(f"{table.shape[1]} numbers per item where {len(self.mean_)} were seen at fit.")
        clipped = np.clip(table, self.quantiles_[0], self.quantiles_[-1])
        places = np.stack([_place(c, q) for c, q in zip(clipped.T, self.quantiles_.T, strict=True)], axis=1)
        scaled = (clipped - self.mean_) / self.std_
        if self.settings.scale == "quantile":
            scaled = (2 * places - 1) * np.sqrt(3)
        parts = [(scaled / 3)[:, :, None]]
        if self.settings.knots:
            knots = np.linspace(0, 1, self.settings.knots)
            width = 1 / max(1, self.settings.knots - 1)
            parts.append(np.exp(-(((places[:, :, None] - knots) / width) ** 2) / 2))
        if self.settings.missing:
            parts.append(np.isnan(table)[:, :, None].astype(np.float64))
        joined = np.concatenate(parts, axis=2)  # (n, fields, 1 + knots + missing)
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
