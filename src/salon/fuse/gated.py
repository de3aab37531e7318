"""Gated multimodal units: every number of the fused vector decides from which modality it is taken.

Source: Arevalo et al., "Gated Multimodal Units for Information Fusion", ICLR 2017 workshop. Where an item lacks a
modality its gate is shut, and the open gates see 0 in its place.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from salon.fuse.deep import DeepFuser
from salon.fuse.deep_settings import DeepSettings
from salon.fuse.network import Joiner


class GateJoiner(Joiner):
    """h = sum_m [m there] sigmoid(W_m [t_1, ..., t_M] + b_m) * tanh(U_m t_m + c_m), the products number by number."""

    def __init__(self, modalities: int, dim: int) -> None:
        super().__init__()
        self.gates = nn.Linear(modalities * dim, modalities * dim)
        self.values = nn.ModuleList([nn.Linear(dim, dim) for _ in range(modalities)])

    def _open(self, tokens: Tensor, there: Tensor) -> Tensor:
        """(n, modalities, dim), how far each gate is open."""
        gates = torch.sigmoid(self.gates(tokens.flatten(1))).unflatten(1, tokens.shape[1:])
        return gates * there.unsqueeze(2)

    def forward(self, tokens: Tensor, there: Tensor) -> Tensor:
        """(n, dim)."""
        values = torch.stack([torch.tanh(layer(tokens[:, m])) for m, layer in enumerate(self.values)], dim=1)
        return (self._open(tokens, there) * values).sum(dim=1)

    def weights(self, tokens: Tensor, there: Tensor) -> Tensor:
        """(n, modalities), the mean opening of each modality's gates as a share of all."""
        openings = self._open(tokens, there).mean(dim=2)
        return openings / openings.sum(dim=1, keepdim=True)


class Gated(DeepFuser):
    """Gates decide for every number of the fused vector how much of each modality goes into it (GMU)."""

    settings: DeepSettings

    def _joiner(self) -> Joiner:
        return GateJoiner(len(self.names_), self.settings.dim)
