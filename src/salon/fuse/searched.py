"""Weights of the modalities, learned for the whole catalogue without gradients.

The weights are those under which content finds held-out actions best (see `holdout`), by the score of `contentknn`:

    s(u, j) = sum_m w_m [u and j have m] p_m(u).f_m(j) / sum_m w_m [u and j have m]

with p_m(u) the mean of the unit vectors f_m over the history. The scores per modality are made once, so that a set of
weights costs one weighted sum; each weight in turn moves along a grid while that gains.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

import numpy as np

from salon.data import Events
from salon.encode.base import FeatureSet
from salon.fuse.holdout import HeldOut, hold_out, likes_of
from salon.fuse.layout import CentreSettings, Layout
from salon.fuse.simple import side_by_side
from salon.types import BoolArray, FloatArray

GRID = (0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0, 1.5, 2.5, 5.0)
"""No weight falls to 0: an item that has only that modality keeps its vector."""
ROUNDS = 3
GAIN = 2e-3
"""A move must gain this share of the value, so that ties stay where they are."""
NUMBERS = 15_000_000
"""Scores kept at once, over all modalities; fewer people are asked for in larger catalogues."""


class LearnedWeightsSettings(CentreSettings):
    """Settings of `LearnedWeights`."""

    rescale: bool = True
    """Whether an item that lacks a modality is scaled to unit length like the others; else it is shorter."""


class LearnedWeights(Layout):
    """Modalities side by side, like `concat`, with one weight each that held-out actions chose.

    Without events, or with too few to hold any out, all weights are equal.
    """

    settings: LearnedWeightsSettings
    weights_: FloatArray

    def fit(
        self, features: FeatureSet, events: Events | None = None, *, rng: np.random.Generator | None = None
    ) -> Self:
        """Learns the layout, the centres and the weights."""
        rng = rng or np.random.default_rng(0)
        likes = likes_of(events, features.having_any())
        self._layout(features)
        rows, present = self._rows(features)
        most = int(np.clip(NUMBERS / max(1, features.n_items * len(rows)), 50, 1000))
        held = hold_out(likes, features.having_any(), rng, most=most)
        weights = np.ones(len(rows)) if held is None else _searched(held, rows, present)
        self.weights_ = (weights / weights.sum()).astype(np.float32)
        return self

    def transform(self, features: FeatureSet) -> FeatureSet:
        """(n, sum of dims) under the name "fused"."""
        rows, present = self._rows(features)
        return self._fused(side_by_side(rows, present, self.weights_, rescale=self.settings.rescale), present)

    def item_weights(self, features: FeatureSet) -> FloatArray:
        """(n, modalities) float32, the weights shared among the modalities that an item has; rows sum to 1 or 0."""
        _, present = self._rows(features)
        shares = present * self.weights_
        total = shares.sum(axis=1, keepdims=True)
        return np.divide(shares, total, out=np.zeros_like(shares), where=total > 0)


def _searched(held: HeldOut, rows: list[FloatArray], present: BoolArray) -> FloatArray:
    """(modalities,) weights, by coordinate search."""
    counts = held.history @ present.astype(np.float32)  # (asked, modalities)
    parts = [
        (held.history @ part / np.maximum(counts[:, place, None], 1)) @ part.T  # (asked, items)
        for place, part in enumerate(rows)
    ]

    def value(weights: FloatArray) -> float:
        scores = np.zeros_like(parts[0])
        for weight, part in zip(weights, parts, strict=True):
            scores += np.float32(weight) * part
        shared = ((counts > 0) * weights).astype(np.float32) @ present.T.astype(np.float32)
        scores = np.divide(scores, shared, out=np.full_like(scores, -np.inf), where=shared > 0)
        return float(held.values(scores).mean())

    return climb(value, np.ones(len(rows)))


def climb(value: Callable[[FloatArray], float], start: FloatArray) -> FloatArray:
    """Coordinate search along `GRID` from `start` (k,), every weight in turn, while that gains."""
    weights, best = start.copy(), value(start)
    for _ in range(ROUNDS if len(start) > 1 else 0):
        before = weights.copy()
        for place in range(len(weights)):
            for step in GRID:
                trial = weights.copy()
                trial[place] = step
                found = value(trial) if step != weights[place] else best
                if found > best * (1 + GAIN):
                    weights, best = trial, found
        if np.array_equal(weights, before):
            break
    return weights
