"""What imputers with a network share: principal components in and out, hiding what is known, early stopping."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from salon.data import Events
from salon.encode.base import Features
from salon.fuse.impute import Guess, Imputer, ImputeSettings, blocks_of, mean_of
from salon.fuse.simple import principal_axes
from salon.training.batches import shuffled
from salon.training.loop import train
from salon.training.network import NetworkComponent, seeded, to_numpy
from salon.training.settings import TrainingSettings
from salon.types import BoolArray, FloatArray


class ImputeNetworkSettings(TrainingSettings, ImputeSettings):
    """Settings of imputers with a network."""

    epochs: int = Field(100, ge=1)
    """Most passes over the items."""
    batch_size: int = Field(256, ge=2)
    """Items per step."""
    learning_rate: float = Field(2e-3, gt=0)
    """Step size of Adam."""
    patience: int = Field(10, ge=0)
    """Looks without a better score after which training stops; 0 never stops early."""
    weight_decay: float = Field(1e-4, ge=0)
    """Decoupled weight decay (AdamW)."""
    validate_every: int = Field(2, ge=1)
    """Epochs between two looks at the held-out items."""
    dim: int = Field(128, ge=1)
    """Principal components of each modality that the network reads and writes."""
    hidden: int = Field(256, ge=1)
    """Width of the hidden layers."""
    valid: float = Field(0.1, ge=0, lt=1)
    """Share of the items held out, on which training stops early; 0 runs all epochs."""


class ImputeNetwork(NetworkComponent, Imputer):
    """Base: modalities as principal components, a network that is told which of them are visible.

    The network's forward(values, mask) is the loss of a batch, and `impute(values, mask)` gives all components; values
    are (n, all components) with 0 for what is not visible, mask (n, modalities) is 1 where something is.
    """

    settings: ImputeNetworkSettings
    sizes_: list[int]
    scales_: list[float]
    axes_: FloatArray
    paired_: list[bool]
    network_: nn.Module

    @abstractmethod
    def _build(self, sizes: Sequence[int]) -> nn.Module:
        """A network for modalities of so many components."""

    def _network(self) -> nn.Module:
        return self._build(self.sizes_)

    def _learn(
        self, parts: Sequence[Features], wanted: Sequence[bool], events: Events | None, rng: np.random.Generator
    ) -> dict[str, Any]:
        axes, scales = [], []
        for part in parts:
            found, variances = principal_axes(part.vectors[part.present] - mean_of(part), self.settings.dim)
            empty = not found.shape[1]
            axes.append(np.zeros((part.dim, 1)) if empty else found)
            scales.append(1.0 if empty else float(np.sqrt(variances.mean())))
        sizes = [one.shape[1] for one in axes]
        rows = [(p.vectors - mean_of(p)) @ a / s for p, a, s in zip(parts, axes, scales, strict=True)]
        values, mask = side_by_side(rows, parts)
        with seeded(rng):
            network = self._build(sizes)
        several = mask.sum(axis=1) > 1
        if several.any():
            self._train(network, values[several], mask[several], sizes, rng)
        return {
            "sizes_": sizes,
            "scales_": scales,
            "axes_": np.concatenate([one.ravel() for one in axes]).astype(np.float32),
            "paired_": [bool((several & part.present).any()) for part in parts],
            "network_": network.eval(),
        }

    def _train(
        self, network: nn.Module, values: FloatArray, mask: FloatArray, sizes: Sequence[int], rng: np.random.Generator
    ) -> None:
        order = rng.permutation(len(values))
        held = order[: int(self.settings.valid * len(values))]
        rest = order[len(held) :]

        def batches(draw: np.random.Generator) -> Iterator[tuple[FloatArray, FloatArray]]:
            for rows in shuffled(len(rest), self.settings.batch_size, draw):
                yield values[rest[rows]], mask[rest[rows]]

        def score() -> float:
            return recovered(network, values[held], mask[held], sizes)

        train(network, batches, self.settings, rng=rng, score=score if len(held) > 1 else None)

    def _guess(self, parts: Sequence[Features]) -> list[Guess]:
        means, axes = self._means(), self._axes()
        rows = [(p.vectors - m) @ a / s for p, m, a, s in zip(parts, means, axes, self.scales_, strict=True)]
        values, mask = side_by_side(rows, parts)
        with torch.no_grad():
            found = to_numpy(self.network_.impute(torch.from_numpy(values), torch.from_numpy(mask)))
        blocks = blocks_of(self.sizes_)
        return [
            (means[i] + found[:, blocks[i]] * self.scales_[i] @ axes[i].T, np.full(len(mask), self.paired_[i]))
            for i in range(len(parts))
        ]

    def _axes(self) -> list[FloatArray]:
        cuts = blocks_of([dim * size for dim, size in zip(self.dims_, self.sizes_, strict=True)])
        return [self.axes_[c].reshape(d, s) for c, d, s in zip(cuts, self.dims_, self.sizes_, strict=True)]


def side_by_side(rows: Sequence[FloatArray], parts: Sequence[Features]) -> tuple[FloatArray, FloatArray]:
    """(n, all components) float32 with 0 where absent, and (n, modalities) float32 of what is there."""
    values = [np.where(part.present[:, None], one, 0) for one, part in zip(rows, parts, strict=True)]
    there: BoolArray = np.stack([part.present for part in parts], axis=1)
    return np.concatenate(values, axis=1).astype(np.float32), there.astype(np.float32)


def recovered(network: nn.Module, values: FloatArray, mask: FloatArray, sizes: Sequence[int]) -> float:
    """R^2 of each modality guessed from the others, the mean over the modalities that two or more items show."""
    found = []
    for place, block in enumerate(blocks_of(sizes)):
        rows = mask[:, place] > 0
        if rows.sum() < 2:
            continue
        seen, there = values[rows].copy(), mask[rows].copy()
        seen[:, block], there[:, place] = 0, 0
        guess = to_numpy(network.impute(torch.from_numpy(seen), torch.from_numpy(there)))[:, block]
        truth = values[rows][:, block]
        found.append(1 - float(((guess - truth) ** 2).sum()) / max(float((truth**2).sum()), 1e-12))
    return float(np.mean(found)) if found else 0.0


def widened(mask: Tensor, sizes: Sequence[int]) -> Tensor:
    """(n, all components) of (n, modalities): each flag for every component of its modality."""
    return torch.repeat_interleave(mask, torch.tensor(list(sizes), device=mask.device), dim=1)


def some_hidden(mask: Tensor) -> Tensor:
    """The mask with a random part of what is visible left out, never all of it and, where there are two, never none."""
    marks = torch.rand_like(mask).masked_fill(mask == 0, 2.0)
    rank = marks.argsort(dim=1).argsort(dim=1).float()  # visible ones first, in random order
    count = mask.sum(dim=1, keepdim=True)
    kept = 1 + (torch.rand(len(mask), 1, device=mask.device) * (count - 1)).floor()  # 1 .. count - 1
    return mask * (rank < kept)


def layers(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    """Two layers with a nonlinearity between them."""
    return nn.Sequential(nn.Linear(inputs, hidden), nn.GELU(), nn.Linear(hidden, outputs))
