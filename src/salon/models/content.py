"""Recommends what resembles the history in content alone: nothing is learned from other people.

Each modality m gives unit vectors f_m, centred on the items present. Two items are as similar as what they share says:

    s(i, j) = sum_m w_m [both have m] f_m(i).f_m(j) / sum_m w_m [both have m]

so a missing picture is left out, not taken for a zero, and the weights of what is there are renormalised.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field
from scipy import sparse

from salon.arrays import block_size, blocks, centred_unit_rows
from salon.config import Settings
from salon.data import Dataset, Holdout, Queries
from salon.encode.base import Features, FeatureSet
from salon.errors import FingerprintError, SettingError, did_you_mean
from salon.models.additive import action_weights
from salon.models.base import Contributions, Grid, Recommender
from salon.models.rows import query_rows
from salon.types import BoolArray, FloatArray, IntArray


class ContentKNNSettings(Settings):
    """Settings of `ContentKNN`."""

    weights: dict[str, float] = Field(default_factory=dict)
    """Weight of each modality by name, at least 0; those not named weigh 1."""
    match: Literal["mean", "max"] = "mean"
    """Compare an item with the mean of the history's vectors, or take its most similar item of the history."""
    weighted: bool = False
    """Let the weights of the actions weigh the history (match="mean" only)."""


class ContentKNN(Recommender):
    """Similarity of content to the history.

    With match="mean" the history becomes one vector per modality, p_m = mean of f_m over its items that have m, and
    score(j) = sum_m w_m p_m.f_m(j) / sum_m w_m over the modalities that both have. With match="max",
    score(j) = max over the history of s(i, j). An item without media in common with the history gets -inf.

    The centres are frozen at fit, so that `add_items` can place new items beside the old ones.
    """

    needs_features = True
    handles_cold_items = True
    handles_cold_users = True
    settings: ContentKNNSettings
    grid: ClassVar[Grid] = {"match": ("mean", "max"), "weighted": (False, True)}

    def _fit(
        self, data: Dataset, items: FeatureSet, rng: np.random.Generator, validation: Holdout | None
    ) -> dict[str, Any]:
        weights = np.array(_weights(self.settings.weights, list(items)), np.float32)
        centres = [_centre(features) for features in items.values()]
        vectors, present = _placed(items, centres, weights)
        return {
            "names_": list(items),
            "fingerprints_": [features.fingerprint for features in items.values()],
            "weights_": weights,
            "centre_": np.concatenate(centres),
            "dims_": np.array([features.dim for features in items.values()], np.int64),
            "vectors_": vectors,
            "present_": present,
        }

    def add_items(self, items: FeatureSet) -> Self:
        """Appends items by their media; their rows follow those already here, and nothing else changes.

        Args:
            items: Features of the new items only; a modality left out is missing for all of them.

        Raises:
            FingerprintError: A modality was made by another encoder than at fit.
            SettingError: A modality was not there at fit.
        """
        self.check_fitted()
        given = list(items)
        for name in given:
            self._check_space(name, items[name])
        rows = [
            items[n] if n in given else _absent(items.n_items, int(d))
            for n, d in zip(self.names_, self.dims_, strict=True)
        ]
        centres = np.split(self.centre_, np.cumsum(self.dims_)[:-1])
        placed, there = _placed(FeatureSet(dict(zip(self.names_, rows, strict=True))), centres, self.weights_)
        self.vectors_, self.present_, self.n_items_ = (
            np.concatenate([self.vectors_, placed]),
            np.concatenate([self.present_, there]),
            self.n_items_ + items.n_items,
        )
        return self

    def _check_space(self, name: str, features: Features) -> None:
        if name not in self.names_:
            raise SettingError(f"There was no modality {name!r} at fit.", hint=did_you_mean(name, self.names_))
        place = self.names_.index(name)
        if (features.fingerprint, features.dim) != (self.fingerprints_[place], int(self.dims_[place])):
            raise FingerprintError(
                f"The {name!r} vectors come from {features.fingerprint!r}, not from {self.fingerprints_[place]!r}.",
                hint="Encode the new items with the same encoder.",
            )

    def _score(self, queries: Queries) -> FloatArray:
        history = query_rows(queries, self.n_items_, weighted=self.settings.weighted)
        return self._mean(history) if self.settings.match == "mean" else self._max(history)

    def _mean(self, history: sparse.csr_array) -> FloatArray:
        total = np.asarray(history @ self.present_.astype(np.float32))  # (n, modalities)
        inverse = np.divide(1, total, out=np.zeros_like(total), where=total > 0)
        profile = np.asarray(history @ self.vectors_) * np.repeat(inverse, self.dims_, axis=1)  # (n, all dims)
        return self._compared(profile, total > 0)

    def _max(self, history: sparse.csr_array) -> FloatArray:
        scores = np.full(history.shape, -np.inf, np.float32)
        liked, size = np.unique(history.indices), block_size(self.n_items_)
        for part in blocks(len(liked), size):
            items = liked[part]
            similar = self._compared(self.vectors_[items], self.present_[items])  # (liked, items)
            here = sparse.csr_array(history[:, items])
            owner = np.repeat(np.arange(here.shape[0]), np.diff(here.indptr))
            for actions in blocks(here.nnz, size):
                queries, starts = np.unique(owner[actions], return_index=True)
                best = np.maximum.reduceat(similar[here.indices[actions]], starts, axis=0)
                scores[queries] = np.maximum(scores[queries], best)
        return scores

    def _compared(self, profile: FloatArray, has: BoolArray) -> FloatArray:
        """(n, items) similarity of (n, all dims) profiles whose modalities are present where `has` (n, modalities)."""
        shared = (has * self.weights_) @ self.present_.T.astype(np.float32)
        return np.divide(
            profile @ self.vectors_.T, shared, out=np.full(shared.shape, -np.inf, np.float32), where=shared > 0
        )

    def contributions(self, queries: Queries, targets: IntArray) -> Contributions:
        """The likeness of each item of the history to its target, by modality; see `Explainable`.

        With match "mean" an item adds its share of the mean profile. With "max" the most similar item has it all.
        """
        self.check_fitted()
        owner = queries.row_of()
        target = targets[owner]
        shared = (self.present_[queries.items] & self.present_[target]) * self.weights_  # (actions, modalities)
        alike = self.vectors_[queries.items] * self.vectors_[target]
        ends = np.concatenate([[0], np.cumsum(self.dims_)[:-1]]).astype(np.int64)
        likeness = np.add.reduceat(alike, ends, axis=1)
        weight = action_weights(queries, weighted=self.settings.weighted)
        if self.settings.match == "mean":
            values = likeness * self._mean_shares(queries, weight, target)
        else:
            both = shared.sum(axis=1)
            values = np.divide(likeness, both[:, None], out=np.zeros_like(likeness), where=both[:, None] > 0)
            usable = (weight > 0) & (both > 0)
            values *= _first_largest(np.where(usable, values.sum(axis=1), -np.inf), owner)[:, None]
        return Contributions(values.astype(np.float32), tuple(self.names_), np.zeros(len(queries), np.float32))

    def _mean_shares(self, queries: Queries, weight: FloatArray, target: IntArray) -> FloatArray:
        """(actions, modalities) what one unit of likeness adds to the score of the mean profile."""
        owner, present = queries.row_of(), self.present_[queries.items].astype(np.float32) * weight[:, None]
        total = np.zeros((len(queries), len(self.names_)), np.float32)
        np.add.at(total, owner, present)
        both = ((total > 0)[owner] * self.weights_ * self.present_[target]).sum(axis=1, keepdims=True)
        shares = np.divide(weight[:, None], total[owner], out=np.zeros_like(present), where=total[owner] > 0)
        return np.divide(shares, both, out=np.zeros_like(shares), where=both > 0)

    names_: list[str]
    fingerprints_: list[str]
    weights_: FloatArray
    centre_: FloatArray
    dims_: IntArray
    vectors_: FloatArray
    present_: BoolArray


def _first_largest(values: FloatArray, owner: IntArray) -> BoolArray:
    """(actions,) bool, true at the first largest finite value of each owner; owners are sorted."""
    chosen = np.zeros(len(values), bool)
    order = np.lexsort((np.arange(len(values)), -values, owner))
    first = np.ones(len(values), bool)
    first[1:] = owner[order][1:] != owner[order][:-1]
    chosen[order[first]] = np.isfinite(values[order[first]])
    return chosen


def _weights(given: dict[str, float], names: list[str]) -> list[float]:
    for name, weight in given.items():
        if name not in names:
            raise SettingError(f"There is no modality {name!r} to weigh.", hint=did_you_mean(name, names))
        if weight < 0:
            raise SettingError(f"The weight of {name!r} is {weight}.", hint="Weights are at least 0.")
    return [float(given.get(name, 1.0)) for name in names]


def _centre(features: Features) -> FloatArray:
    """(d,) mean of the present vectors."""
    if not features.present.any():
        return np.zeros(features.dim, np.float32)
    centre: FloatArray = features.vectors[features.present].mean(axis=0, dtype=np.float64).astype(np.float32)
    return centre


def _absent(n: int, dim: int) -> Features:
    return Features(np.zeros((n, dim), np.float32), np.zeros(n, bool))


def _placed(items: FeatureSet, centres: list[FloatArray], weights: FloatArray) -> tuple[FloatArray, BoolArray]:
    """(items, all dims) float32 of sqrt(w_m) f_m side by side, and (items, modalities) bool of what is there."""
    parts = [
        np.sqrt(weight) * centred_unit_rows(features.vectors, features.present, centre)
        for features, centre, weight in zip(items.values(), centres, weights, strict=True)
    ]
    present = np.stack([features.present for features in items.values()], axis=1)
    return np.concatenate(parts, axis=1).astype(np.float32), present
