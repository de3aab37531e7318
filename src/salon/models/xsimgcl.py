"""XSimGCL: LightGCN with noise, and a contrast between two of its layers."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from salon.errors import SettingError
from salon.models.base import Grid
from salon.models.deep import DeepRecommender, DeepSettings
from salon.models.deep_graph import layers, mean_of_layers
from salon.models.deep_network import Material, PairNetwork, contrast, pair_loss, squared, table


class XSimGCLSettings(DeepSettings):
    """Settings of `XSimGCL`."""

    layers: int = Field(2, ge=1, le=8)
    """Steps over the graph."""
    contrast_layer: int = Field(1, ge=1, le=8)
    """The layer that is contrasted with the mean, l*."""
    contrast_weight: float = Field(0.1, ge=0)
    """Weight of the contrastive loss, lambda."""
    noise: float = Field(0.1, ge=0)
    """Length of the noise added to each layer, epsilon."""
    temperature: float = Field(0.2, gt=0)
    """Divides the cosines of the contrast, tau."""
    contrast_rows: int = Field(1024, ge=2)
    """Most users, and most items, of a batch that are contrasted with each other."""


class XSimGCL(DeepRecommender):
    """Graph contrastive learning in one pass (Yu et al., TKDE 2023).

        E^(l+1) = A E^(l) + noise * sign(A E^(l)) * n / |n|, n uniform;  vector = mean over l = 1..L
        loss = BPR + contrast_weight [InfoNCE(users: layer l*, vector) + InfoNCE(items)] + reg |E^(0)|^2 / 2

    The noise is there in training only. The contrast is taken over at most `contrast_rows` rows of a batch; the paper
    takes all of them.
    """

    settings: XSimGCLSettings
    grid: ClassVar[Grid] = {
        "contrast_weight": (0.05, 0.1, 0.2),
        "learning_rate": (5e-3, 2e-2),
        "batch_size": (2048, 8192),
    }

    def _network(self, material: Material) -> PairNetwork:
        if self.settings.contrast_layer > self.settings.layers:
            raise SettingError(
                f"contrast_layer is {self.settings.contrast_layer}, but there are {self.settings.layers} layers.",
                hint="Lower it, or raise layers.",
            )
        return XSimGCLNetwork(material, self.settings)


class XSimGCLNetwork(PairNetwork):
    """Tables of users and items, propagated with noise."""

    def __init__(self, material: Material, settings: XSimGCLSettings) -> None:
        super().__init__()
        self.settings = settings
        self.users, self.items = table(material.n_users, settings.dim), table(material.n_items, settings.dim)
        self.links = material.links()

    def all_layers(self) -> list[tuple[Tensor, Tensor]]:
        """Layers 1..L, with noise in training."""
        found, (users, items) = [], (self.users, self.items)
        for _ in range(self.settings.layers):
            users, items = (self._noisy(part) for part in layers(self.links, users, items, 1)[1])
            found.append((users, items))
        return found

    def _noisy(self, vectors: Tensor) -> Tensor:
        if not self.training:
            return vectors
        noise = functional.normalize(torch.rand_like(vectors), dim=1)
        return vectors + self.settings.noise * torch.sign(vectors) * noise

    def vectors(self) -> tuple[Tensor, Tensor]:
        """The means over the layers 1..L."""
        return mean_of_layers(self.all_layers())

    def forward(self, users: Tensor, items: Tensor, negatives: Tensor) -> Tensor:
        """BPR, contrast and ridge."""
        s, batch = self.settings, (users, items, negatives)
        found = self.all_layers()
        (all_users, all_items), (some_users, some_items) = mean_of_layers(found), found[s.contrast_layer - 1]
        alike = contrast(some_users, all_users, users, s.temperature, s.contrast_rows)
        alike = alike + contrast(some_items, all_items, items, s.temperature, s.contrast_rows)
        ridge = squared(self.users, self.items, batch)
        return pair_loss(all_users, all_items, batch) + s.contrast_weight * alike + s.reg * ridge
