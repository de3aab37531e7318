"""Joining by adding, by a dense layer over everything side by side, and by one learned weight per modality."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from salon.fuse.deep import DeepFuser
from salon.fuse.deep_settings import DeepSettings
from salon.fuse.network import Joiner


class SumJoiner(Joiner):
    """h = mean of the tokens that are there."""

    def forward(self, tokens: Tensor, there: Tensor) -> Tensor:
        """(n, dim)."""
        return tokens.sum(dim=1) / there.sum(dim=1, keepdim=True)


class Sum(DeepFuser):
    """Each modality mapped into one space by learned maps, and added: the plainest trained fuser."""

    settings: DeepSettings

    def _joiner(self) -> Joiner:
        return SumJoiner()


class DenseJoiner(Joiner):
    """h = W2 gelu(W1 [t_1, ..., t_M, there]): absent tokens are 0 and the mask says so."""

    def __init__(self, modalities: int, dim: int, hidden: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(modalities * (dim + 1), hidden), nn.GELU(), nn.Linear(hidden, dim))

    def forward(self, tokens: Tensor, there: Tensor) -> Tensor:
        """(n, dim)."""
        return self.layers(torch.cat([tokens.flatten(1), there.to(tokens.dtype)], dim=1))


class DenseSettings(DeepSettings):
    """Settings of `Dense`."""

    hidden: int = 256
    """Numbers in the hidden layer."""


class Dense(DeepFuser):
    """Modalities side by side through dense layers (concatenation and a perceptron)."""

    settings: DenseSettings

    def _joiner(self) -> Joiner:
        return DenseJoiner(len(self.names_), self.settings.dim, self.settings.hidden)


class WeightJoiner(Joiner):
    """h = sum_m a_m t_m with a = softmax over the modalities that are there.

    The logit of a modality is a learned number, "catalogue", or v.tanh(U t_m + e_m), "item": additive attention
    (Bahdanau et al., ICLR 2015) with one query for all.
    """

    def __init__(self, modalities: int, dim: int, per: str, hidden: int = 32) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(modalities))
        self.inner = self.outer = None
        if per == "item":
            self.inner, self.outer = nn.Linear(dim, hidden), nn.Linear(hidden, 1, bias=False)
            self.kind = nn.Parameter(torch.zeros(modalities, hidden))

    def weights(self, tokens: Tensor, there: Tensor) -> Tensor:
        """(n, modalities), rows sum to 1."""
        logits = self.bias.expand(len(tokens), -1)
        if self.inner is not None and self.outer is not None:
            logits = logits + self.outer(torch.tanh(self.inner(tokens) + self.kind)).squeeze(2)
        return torch.softmax(logits.masked_fill(~there, float("-inf")), dim=1)

    def forward(self, tokens: Tensor, there: Tensor) -> Tensor:
        """(n, dim)."""
        return (tokens * self.weights(tokens, there).unsqueeze(2)).sum(dim=1)


class SoftWeightsSettings(DeepSettings):
    """Settings of `SoftWeights`."""

    per: Literal["item", "catalogue"] = "item"
    """Whether every item has weights of its own, or all share one per modality."""


class SoftWeights(DeepFuser):
    """Modalities in one space, added with learned weights that sum to 1, per item or for the whole catalogue."""

    settings: SoftWeightsSettings

    def _joiner(self) -> Joiner:
        return WeightJoiner(len(self.names_), self.settings.dim, self.settings.per)
