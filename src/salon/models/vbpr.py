"""VBPR: matrix factorisation beside a map from item features to tastes."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from salon.models.base import Grid
from salon.models.deep import DeepRecommender, MediaSettings
from salon.models.deep_media import having_any
from salon.models.deep_network import (
    Material,
    MediaNetwork,
    PairNetwork,
    as_column,
    linear_maps,
    pair_loss,
    squared,
    table,
)
from salon.types import BoolArray


class VBPRSettings(MediaSettings):
    """Settings of `VBPR`."""

    reg: float = Field(1e-2, ge=0)
    """Weight of the squared vectors and biases of a batch."""
    learning_rate: float = Field(1e-2, gt=0)
    """Step size of Adam."""


class VBPR(DeepRecommender):
    """Visual Bayesian personalised ranking, for any modalities (He and McAuley, AAAI 2016).

        score = b_i + g_u.g_i + t_u.(sum_m E_m f_im) + sum_m beta_m.f_im,  loss = BPR + reg |parameters|^2 / 2

    The bias of the user, equal for all items, is left out. One E and one beta per modality; the projection is made for
    all items at once. Items nobody liked have b_i = 0 and g_i = 0 and are placed by their features.
    """

    needs_features = True
    handles_cold_items = True
    settings: VBPRSettings
    grid: ClassVar[Grid] = {"reg": (1e-2, 1e-1), "learning_rate": (5e-3, 2e-2), "batch_size": (2048, 8192)}

    def _network(self, material: Material) -> PairNetwork:
        return VBPRNetwork(material, self.settings)

    def _placed(self, material: Material) -> BoolArray:
        return material.touched | having_any(material.media, material.n_items)


class VBPRNetwork(MediaNetwork):
    """Tables of users and items, and one map per modality."""

    def __init__(self, material: Material, settings: VBPRSettings) -> None:
        super().__init__(material.media)
        dim, self.reg = settings.dim, settings.reg
        self.users, self.items = table(material.n_users, dim), table(material.n_items, dim)
        self.tastes = table(material.n_users, dim)
        self.bias = nn.Parameter(torch.zeros(material.n_items, 1))
        self.maps = linear_maps(material.media, dim, bias=False)
        self.beta = linear_maps(material.media, 1, bias=False)
        self.register_buffer("touched", as_column(material.touched), persistent=False)

    def vectors(self) -> tuple[Tensor, Tensor]:
        """[g_u, t_u, 1] and [g_i, E f_i, b_i + beta.f_i]."""
        content = sum((fold(f) for fold, f in zip(self.maps, self.features(), strict=True)), self.items.new_zeros(1))
        extra = sum((fold(f) for fold, f in zip(self.beta, self.features(), strict=True)), self.touched * self.bias)
        users = torch.cat([self.users, self.tastes, torch.ones_like(self.users[:, :1])], dim=1)
        return users, torch.cat([self.touched * self.items, content, extra], dim=1)

    def forward(self, users: Tensor, items: Tensor, negatives: Tensor) -> Tensor:
        """BPR and ridge."""
        batch = (users, items, negatives)
        people, things = torch.cat([self.users, self.tastes], dim=1), torch.cat([self.items, self.bias], dim=1)
        maps = sum((fold.weight.pow(2).sum() for fold in [*self.maps, *self.beta]), self.bias.new_zeros(()))
        return pair_loss(*self.vectors(), batch) + self.reg * (squared(people, things, batch) + maps / (2 * len(users)))
