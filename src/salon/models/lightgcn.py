"""LightGCN: the vectors of people and items spread over the graph of likes, nothing else."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from torch import Tensor

from salon.models.base import Grid
from salon.models.deep import DeepRecommender, DeepSettings
from salon.models.deep_graph import layers, mean_of_layers
from salon.models.deep_network import Material, PairNetwork, pair_loss, squared, table


class LightGCNSettings(DeepSettings):
    """Settings of `LightGCN`."""

    layers: int = Field(2, ge=0, le=8)
    """Steps over the graph; 0 is matrix factorisation."""
    learning_rate: float = Field(1e-2, gt=0)
    """Step size of Adam."""


class LightGCN(DeepRecommender):
    """Graph collaborative filtering without transformations (He et al., SIGIR 2020).

        E^(l+1) = D^(-1/2) A D^(-1/2) E^(l),  vector = mean over l = 0..L of E^(l),  score = u.i
        loss = mean of -ln sigma(s_ui - s_uj) + reg (|e_u|^2 + |e_i|^2 + |e_j|^2) / 2, over layer 0

    As the paper, but the step size is larger and the batch bigger, and training stops by nDCG@20.
    """

    settings: LightGCNSettings
    grid: ClassVar[Grid] = {"layers": (2, 3), "learning_rate": (5e-3, 2e-2), "batch_size": (2048, 8192)}

    def _network(self, material: Material) -> PairNetwork:
        return LightGCNNetwork(material, self.settings)


class LightGCNNetwork(PairNetwork):
    """Tables of users and items, propagated."""

    def __init__(self, material: Material, settings: LightGCNSettings) -> None:
        super().__init__()
        self.reg, self.depth = settings.reg, settings.layers
        self.users, self.items = table(material.n_users, settings.dim), table(material.n_items, settings.dim)
        self.links = material.links()

    def vectors(self) -> tuple[Tensor, Tensor]:
        """The means over the layers."""
        return mean_of_layers(layers(self.links, self.users, self.items, self.depth))

    def forward(self, users: Tensor, items: Tensor, negatives: Tensor) -> Tensor:
        """BPR on the propagated vectors, ridge on the tables."""
        batch = (users, items, negatives)
        return pair_loss(*self.vectors(), batch) + self.reg * squared(self.users, self.items, batch)
