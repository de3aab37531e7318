"""Rankers that are networks: DCN-v2 and DeepFM over the same features as LambdaMART, and an embedding of the item.

Features are brought to mean 0 and deviation 1 over the training candidates and cut at 5. What is unknown becomes 0,
with a further column that says so where that happened in training.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import torch
from pydantic import Field

from salon.models.ranker import Groups, Ranker, RankerSettings
from salon.models.ranker_network import UNKNOWN, DCNNetwork, DeepFMNetwork, RankNetwork, layers
from salon.training.batches import shuffled
from salon.training.loop import train as train_network
from salon.training.network import load_weights, seeded, to_numpy, weights_of
from salon.training.settings import TrainingSettings
from salon.types import BoolArray, FloatArray, IntArray

PREFIX = "weight_"
FAR = 5.0


class DeepRankerSettings(RankerSettings, TrainingSettings):
    """Settings of the rankers that are networks."""

    dim: int = Field(8, ge=1)
    """Numbers per embedding."""
    hidden: tuple[int, ...] = Field((64, 32), min_length=1)
    """Widths of the plain network."""
    dropout: float = Field(0.1, ge=0, lt=1)
    """Share of its numbers that are dropped in training."""
    hide: float = Field(0.2, ge=0, le=1)
    """Chance that training takes an item for one that it never met; 1 learns no items."""
    negatives: int = Field(50, ge=1)
    """Most wrong candidates per person and epoch, drawn at random."""
    epochs: int = Field(60, ge=1)
    """Most passes over the people."""
    batch_size: int = Field(32, ge=1)
    """People per step."""
    learning_rate: float = Field(3e-3, gt=0)
    """Step size of Adam."""
    weight_decay: float = Field(1e-3, ge=0)
    """Decoupled weight decay (AdamW)."""


class DCNSettings(DeepRankerSettings):
    """Settings of `DCN`."""

    crosses: int = Field(2, ge=1)
    """Cross layers."""


class DeepRanker(Ranker):
    """A ranker that learned a network. A subclass builds it."""

    settings: DeepRankerSettings
    centre_: FloatArray
    scale_: FloatArray
    gaps_: BoolArray
    rows_: IntArray

    @abstractmethod
    def _network(self, n_rows: int, width: int) -> RankNetwork:
        """The network, not trained, for so many rows of the embedding and so many inputs."""

    def _learn(self, train: Groups, valid: Groups, touched: BoolArray, rng: np.random.Generator) -> dict[str, Any]:
        rows = np.where(touched, np.cumsum(touched), UNKNOWN)
        scaling = Scaling.of(train.features)
        inputs = scaling(train.features)
        with seeded(rng):
            network = self._network(int(rows.max()) + 1, inputs.shape[1])
        score = None
        if len(valid):
            held, held_rows = scaling(valid.features), rows[valid.items]

            def score() -> float:
                return valid.ndcg(_scores(network, held, held_rows))

        batches = GroupBatches(train, inputs, rows[train.items], self.settings.batch_size, self.settings.negatives)
        train_network(network, batches, self.settings, rng=rng, score=score)
        about = {"rows_": rows.astype(np.int64), **{f"{name}_": value for name, value in vars(scaling).items()}}
        return about | {f"{PREFIX}{name}_": value for name, value in weights_of(network).items()}

    def _values(self, features: FloatArray, items: IntArray) -> FloatArray:
        return _scores(self._ready, Scaling(self.centre_, self.scale_, self.gaps_)(features), self.rows_[items])

    def restore(self, state: Mapping[str, Any]) -> Self:
        """Takes back what `state` gave."""
        self.__dict__.pop("_ready", None)
        return super().restore(state)

    @cached_property
    def _ready(self) -> RankNetwork:
        """The network with what was learned, made once."""
        network = self._network(int(self.rows_.max()) + 1, len(self.centre_) + int(self.gaps_.sum()))
        load_weights(network, {n[len(PREFIX) : -1]: v for n, v in vars(self).items() if n.startswith(PREFIX)})
        return network.eval()


class DCN(DeepRanker):
    """Candidates of several models in the order of a deep and cross network (DCN-v2); see `CrossNetwork`."""

    settings: DCNSettings

    def _network(self, n_rows: int, width: int) -> RankNetwork:
        s = self.settings
        deep = layers(width + s.dim, s.hidden, s.dropout)
        return DCNNetwork(n_rows, width, s.dim, s.hide, s.crosses, deep)


class DeepFM(DeepRanker):
    """Candidates of several models in the order of a factorisation machine with a deep part.

    Source: Guo et al., "DeepFM: A Factorization-Machine based Neural Network for CTR Prediction", IJCAI 2017.
    """

    def _network(self, n_rows: int, width: int) -> RankNetwork:
        s = self.settings
        deep = layers((width + 1) * s.dim, s.hidden, s.dropout)
        return DeepFMNetwork(n_rows, width, s.dim, s.hide, deep)


class GroupBatches:
    """Epochs of (inputs (b, c, f), rows (b, c), labels (b, c), there (b, c)), groups in random order, padded."""

    def __init__(self, groups: Groups, inputs: FloatArray, rows: IntArray, size: int, negatives: int) -> None:
        self._inputs, self._rows, self._labels = inputs, rows.astype(np.int64), groups.labels
        ends = np.cumsum(groups.sizes)
        spans = [np.arange(end - size, end) for end, size in zip(ends, groups.sizes, strict=True)]
        self._right = [span[groups.labels[span] > 0] for span in spans]
        self._wrong = [span[groups.labels[span] <= 0] for span in spans]
        self._size, self._negatives = size, negatives

    def __call__(self, rng: np.random.Generator) -> Iterator[tuple[FloatArray, IntArray, FloatArray, BoolArray]]:
        """One epoch."""
        for part in shuffled(len(self._right), self._size, rng):
            places = [np.concatenate([self._right[g], self._drawn(g, rng)]) for g in part]
            there = np.arange(max(map(len, places))) < np.array([len(p) for p in places])[:, None]
            index = np.zeros(there.shape, np.int64)
            index[there] = np.concatenate(places)
            yield self._inputs[index], self._rows[index], self._labels[index] * there, there

    def _drawn(self, group: int, rng: np.random.Generator) -> IntArray:
        wrong = self._wrong[group]
        return wrong if len(wrong) <= self._negatives else rng.choice(wrong, self._negatives, replace=False)


@dataclass(frozen=True)
class Scaling:
    """How features become inputs.

    Attributes:
        centre: (f,) float32, mean of what is known.
        scale: (f,) float32, its standard deviation, 1 where nothing varies.
        gaps: (f,) bool, columns in which something was unknown in training.
    """

    centre: FloatArray
    scale: FloatArray
    gaps: BoolArray

    @classmethod
    def of(cls, features: FloatArray) -> Self:
        """The scaling that (m, f) features give."""
        known = ~np.isnan(features)
        count = np.maximum(known.sum(axis=0), 1)
        centre = np.where(known, features, 0).sum(axis=0, dtype=np.float64) / count
        spread = np.sqrt((np.where(known, features - centre, 0) ** 2).sum(axis=0) / count)
        scale = np.where(spread > 1e-6, spread, 1.0)
        return cls(centre.astype(np.float32), scale.astype(np.float32), np.asarray(~known.all(axis=0)))

    def __call__(self, features: FloatArray) -> FloatArray:
        """(m, f + gaps) float32: scaled features, 0 where unknown, and 1 in a column of its own where that was met."""
        unknown = np.isnan(features)
        inputs = np.clip(np.where(unknown, 0, (features - self.centre) / self.scale), -FAR, FAR)
        return np.concatenate([inputs, unknown[:, self.gaps]], axis=1).astype(np.float32)


def _scores(network: RankNetwork, inputs: FloatArray, rows: IntArray) -> FloatArray:
    with torch.no_grad():
        return to_numpy(network.scores(torch.from_numpy(inputs), torch.from_numpy(rows.astype(np.int64))))
