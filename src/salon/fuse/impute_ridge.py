"""Ridge regression of a missing modality on those that are there, in closed form.

For each modality and each combination of the others that occurs, over the items that have both,

    W = (X'X + lambda I)^-1 X'Y        X, Y centred; every modality of X scaled to mean squared length 1

and lambda is the one with the smallest generalised cross-validation error. Hoerl and Kennard, "Ridge Regression: Biased
Estimation for Nonorthogonal Problems", Technometrics 1970; Golub, Heath and Wahba, "Generalized Cross-Validation as a
Method for Choosing a Good Ridge Parameter", Technometrics 1979.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from pydantic import Field
from scipy import linalg

from salon.data import Events
from salon.encode.base import Features
from salon.fuse.impute import Guess, Imputer, ImputeSettings
from salon.types import BoolArray, FloatArray

GRID = tuple(10.0 ** (i / 2) for i in range(-8, 7))
"""Penalties tried, in units of the mean eigenvalue of X'X."""


class ImputeRidgeSettings(ImputeSettings):
    """Settings of `ImputeRidge`."""

    penalty: float | None = Field(None, gt=0)
    """lambda in units of the mean eigenvalue of X'X; none: chosen by generalised cross-validation."""
    combinations: int = Field(8, ge=1)
    """Combinations of present modalities learned for each that may be missing, the most frequent ones; an item with
    another combination is predicted from the largest learned part of it."""
    least: int = Field(20, ge=2)
    """Items that must show a combination of two or more modalities beside the missing one to learn from it."""


class ImputeRidge(Imputer):
    """Fills a gap with a ridge regression on the modalities that are there.

    Where no two items show both a modality and another one, nothing can be learned between them and gaps stay.
    """

    settings: ImputeRidgeSettings
    maps_: list[list[int]]
    weights_: FloatArray

    def _learn(
        self, parts: Sequence[Features], wanted: Sequence[bool], events: Events | None, rng: np.random.Generator
    ) -> dict[str, Any]:
        present = np.stack([part.present for part in parts], axis=1)
        maps, weights = [], [np.zeros(0, np.float32)]
        for target in np.flatnonzero(wanted).tolist():
            for sources in self._combinations(present, target):
                rows = present[:, [target, *sources]].all(axis=1)
                x = np.concatenate([scaled(parts[source].vectors[rows]) for source in sources], axis=1)
                found = ridge_map(x, parts[target].vectors[rows], self.settings.penalty)
                factors = np.concatenate(
                    [np.full(parts[source].dim, _factor(parts[source].vectors[rows])) for source in sources]
                )
                found[:-1] *= factors[:, None]
                maps.append([target, *sources])
                weights.append(found.astype(np.float32).ravel())
        return {"maps_": maps, "weights_": np.concatenate(weights)}

    def _combinations(self, present: BoolArray, target: int) -> list[tuple[int, ...]]:
        """Sources to learn from: each alone, and the most frequent combinations, as far as items show them."""
        others = [place for place in range(present.shape[1]) if place != target]
        rows, counts = np.unique(present[:, others], axis=0, return_counts=True)
        frequent = [tuple(np.array(others)[row].tolist()) for row in rows[np.argsort(-counts, kind="stable")]]
        joint = [sources for sources in frequent if len(sources) > 1][: self.settings.combinations]
        wanted = [((place,), 2) for place in others] + [(sources, self.settings.least) for sources in joint]
        return [s for s, least in wanted if present[:, [target, *s]].all(axis=1).sum() >= least]

    def _guess(self, parts: Sequence[Features]) -> list[Guess]:
        n = len(parts[0])
        present = np.stack([part.present for part in parts], axis=1)
        guesses = [(np.zeros((n, part.dim), np.float32), np.zeros(n, bool)) for part in parts]
        for target, sources, weights in sorted(self._each_map(), key=lambda one: -len(one[1])):  # the largest first
            vectors, usable = guesses[target]
            rows = np.flatnonzero(present[:, sources].all(axis=1) & ~usable & ~present[:, target])
            if len(rows):
                x = np.concatenate([parts[source].vectors[rows] for source in sources], axis=1)
                vectors[rows], usable[rows] = x @ weights[:-1] + weights[-1], True
        return guesses

    def _each_map(self) -> Iterator[tuple[int, list[int], FloatArray]]:
        """(target, sources, weights (inputs + 1, outputs)), the last row added to every prediction."""
        start = 0
        for target, *sources in self.maps_:
            shape = sum(self.dims_[source] for source in sources) + 1, self.dims_[target]
            size = shape[0] * shape[1]
            yield target, sources, self.weights_[start : start + size].reshape(shape)
            start += size


def ridge_map(x: FloatArray, y: FloatArray, penalty: float | None = None) -> FloatArray:
    """(inputs + 1, outputs) float64 weights of a ridge regression, the last row being the intercept.

    Args:
        x: (n, inputs) float.
        y: (n, outputs) float.
        penalty: In units of the mean eigenvalue of the centred X'X; None takes the best of `GRID` by generalised
            cross-validation.
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    x_mean, y_mean = x.mean(axis=0), y.mean(axis=0)
    x, y = x - x_mean, y - y_mean
    dual = len(x) <= x.shape[1]  # X'(XX' + lambda I)^-1 Y is the same with the smaller matrix
    values, vectors = linalg.eigh(x @ x.T if dual else x.T @ x)
    values = np.where(values > 1e-12 * values.max(initial=0), values, 0)
    toward = vectors.T @ (y if dual else x.T @ y)
    unit = max(float(values.sum()) / x.shape[1], 1e-12)
    lengths = (toward**2).sum(axis=1)
    explained = lengths if dual else np.divide(lengths, values, out=np.zeros_like(lengths), where=values > 0)
    chosen = _validated(values, explained, y, unit) if penalty is None else penalty
    solved = vectors @ (toward / (values + chosen * unit)[:, None])
    weights = x.T @ solved if dual else solved
    return np.concatenate([weights, (y_mean - x_mean @ weights)[None]])


def _validated(values: FloatArray, explained: FloatArray, y: FloatArray, unit: float) -> float:
    """The penalty of `GRID` with the smallest |residual|^2 / (n - 1 - degrees of freedom)^2.

    Args:
        values: Eigenvalues of X'X or XX'.
        explained: Squared length of Y along each of their directions among the items.
        y: (n, outputs), centred.
        unit: What the penalties are multiples of.
    """
    outside = max(float((y**2).sum() - explained.sum()), 0.0)
    errors = []
    for penalty in GRID:
        shrunk = penalty * unit / (values + penalty * unit)
        free = len(y) - 1 - len(values) + shrunk.sum()
        errors.append((outside + (shrunk**2 * explained).sum()) / max(free, 1e-9) ** 2)
    return GRID[int(np.argmin(errors))]


def _factor(vectors: FloatArray) -> float:
    """What brings centred rows to a mean squared length of 1."""
    return float(1 / np.sqrt(max(vectors.var(axis=0, dtype=np.float64).sum(), 1e-24)))


def scaled(vectors: FloatArray) -> FloatArray:
    """Rows times `_factor`, so that every modality counts alike in the penalty."""
    return np.asarray(vectors * _factor(vectors), np.float64)
