"""The base of fusers that are trained by gradients: inputs, training, saving, and what they say of their weights.

A subclass names its joining module and nothing else. Each modality comes centred, of unit length, on its first
principal axes, scaled so that its numbers have a mean square of about 1.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Self

import numpy as np
import torch

from salon.arrays import blocks
from salon.data import Events
from salon.encode.base import FeatureSet
from salon.errors import DataError, SettingError, did_you_mean
from salon.fuse.deep_settings import DeepSettings
from salon.fuse.holdout import hold_out, likes_of
from salon.fuse.layout import Layout
from salon.fuse.network import FusionNetwork, Joiner
from salon.fuse.objective import Objective, history_batches, item_batches
from salon.fuse.simple import principal_axes
from salon.training.loop import train
from salon.training.network import NetworkComponent, seeded
from salon.types import BoolArray, FloatArray

AT_ONCE = 2048
"""Items that go through the network together outside training."""
ROWS_FOR_AXES = 10_000


class DeepFuser(NetworkComponent, Layout):
    """Base: joins modalities by a trained network.

    Learns from the actions of people if there are any, else by giving back what it was shown; see `objective`. Items
    and actions held out at fit end the training (see `holdout`). A modality that an item lacks is never read.
    """

    settings: DeepSettings
    axes_: FloatArray
    kept_: list[int]

    @abstractmethod
    def _joiner(self) -> Joiner:
        """The joining module, not trained."""

    @property
    def _steps(self) -> int:
        """Blocks side by side in the vectors of every modality."""
        return 1

    def fit(
        self, features: FeatureSet, events: Events | None = None, *, rng: np.random.Generator | None = None
    ) -> Self:
        """Learns the layout, the axes and the network; a fit that fails leaves the object as it was.

        Raises:
            DataError: There are no features, no item has any, or an event names an item without a row.
            SettingError: A weight names no modality.
        """
        learned = type(self)(self.settings)
        learned._learn(features, events, rng or np.random.default_rng(0))
        for name, value in vars(learned).items():
            if name.endswith("_"):
                setattr(self, name, value)
        return self

    def transform(self, features: FeatureSet) -> FeatureSet:
        """(n, dim) of unit length under the name "fused"."""
        rows, present = self._rows(features)
        return self._fused(self._vectors(self.network_, self._inputs(rows), present), present)

    def item_weights(self, features: FeatureSet) -> FloatArray | None:
        """(n, modalities) float32, how much each modality counts; rows sum to 1, or are 0 where nothing is there.

        None: this way of joining computes nothing like it.
        """
        rows, present = self._rows(features)
        inputs = self._inputs(rows)
        some = np.flatnonzero(present.any(axis=1))
        found = np.zeros(present.shape, np.float32)
        network = self.network_
        for part in blocks(len(some), AT_ONCE):
            chosen = some[part]
            with torch.no_grad():
                there = torch.from_numpy(present[chosen])
                tokens = network.tokens([torch.from_numpy(x[chosen]) for x in inputs]) * there.unsqueeze(2)
                weights = network.joiner.weights(tokens, there)
            if weights is None:
                return None
            found[chosen] = weights.numpy()
        return found

    # -- training ----------------------------------------------------------------------------------------------------

    def _learn(self, features: FeatureSet, events: Events | None, rng: np.random.Generator) -> None:
        able = features.having_any()
        self._layout(features)
        shares = self._shares()
        if not able.any():
            raise DataError("No item has any modality.", hint="Encode something before joining it.")
        rows, present = self._rows(features)
        self._find_axes(rows, present)
        inputs = self._inputs(rows)
        likes = likes_of(events, able)
        held = hold_out(likes, able, rng)
        likes = likes if held is None else held.train
        settings = self.settings
        learnable = bool((np.diff(likes.indptr) > 1).any())
        with seeded(rng):
            network = self._network()
        objective = Objective(network, inputs, present, _log_q(likes) if learnable else None, shares, settings)

        def batches(rng: np.random.Generator) -> Any:
            if learnable:
                return history_batches(likes, settings.batch_size, settings.history, rng)
            return item_batches(able, settings.batch_size, rng)

        def score() -> float:
            return held.of_vectors(self._vectors(network, inputs, present)) if held is not None else 0.0

        train(objective, batches, settings, rng=rng, score=score if learnable and held is not None else None)
        self.network_ = network.cpu().eval()

    def _network(self) -> FusionNetwork:
        given = self.settings
        separate = given.encoders == "separate"
        return FusionNetwork(
            [kept * self._steps for kept in self.kept_],
            given.dim,
            self._joiner(),
            separate=separate,
            steps=self._steps,
            dropout=given.dropout,
        )

    def _shares(self) -> FloatArray:
        """(modalities,) how often each is left alone in the balance term."""
        given = self.settings.balance_weights
        for name in given:
            if name not in self.names_:
                hint = did_you_mean(name, self.names_)
                raise SettingError(f"There is a balance weight for {name!r}, but no such features.", hint=hint)
        shares = np.array([given.get(name, 1.0) for name in self.names_])
        if self.settings.balance and not shares.any():
            raise SettingError("All balance weights are 0.", hint="Set balance = 0 to switch the term off.")
        return shares

    # -- inputs ------------------------------------------------------------------------------------------------------

    def _find_axes(self, rows: list[FloatArray], present: BoolArray) -> None:
        """Learns the principal axes of each modality, those of all steps together."""
        wanted = self.settings.reduce
        self.kept_, found = [], []
        for place, part in enumerate(rows):
            known = part[present[:, place]][:ROWS_FOR_AXES]
            width = part.shape[1] // self._steps
            axes = principal_axes(known.reshape(-1, width), wanted)[0] if wanted else np.eye(width)
            axes = axes if axes.shape[1] else np.zeros((width, 1))  # a modality that no item has
            self.kept_.append(axes.shape[1])
            found.append(axes)
        self.axes_ = np.zeros((sum(len(axes) for axes in found), max(self.kept_)), np.float32)
        start = 0
        for axes in found:
            self.axes_[start : start + len(axes), : axes.shape[1]] = axes
            start += len(axes)

    def _inputs(self, rows: list[FloatArray]) -> list[FloatArray]:
        """What the network sees: one (n, steps * kept) float32 per modality."""
        inputs: list[FloatArray] = []
        start = 0
        for part, kept in zip(rows, self.kept_, strict=True):
            width = part.shape[1] // self._steps
            axes = self.axes_[start : start + width, :kept]
            placed = part.reshape(len(part) * self._steps, width) @ axes
            inputs.append(placed.reshape(len(part), -1) * np.float32(np.sqrt(kept * self._steps)))
            start += width
        return inputs

    def _vectors(self, network: FusionNetwork, inputs: list[FloatArray], present: BoolArray) -> FloatArray:
        """(n, dim) float32 fused vectors, absent rows 0."""
        device = next(network.parameters()).device
        made = np.zeros((len(present), self.settings.dim), np.float32)
        with torch.no_grad():
            for rows in blocks(len(present), AT_ONCE):
                tokens = network.tokens([torch.from_numpy(part[rows]).to(device) for part in inputs])
                made[rows] = network.fuse(tokens, torch.from_numpy(present[rows]).to(device)).cpu().numpy()
        return made


def _log_q(likes: Any) -> FloatArray:
    """(items,) float32 log share of the actions, those of untouched items as if they had one."""
    counts = np.maximum(np.bincount(likes.indices, minlength=likes.shape[1]), 1)
    return np.log(counts / counts.sum()).astype(np.float32)
