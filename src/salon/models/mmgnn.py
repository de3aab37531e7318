"""A graph network over users, items and one node for every medium of an item."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from salon.models.base import Grid
from salon.models.deep_graph import Graph, layers
from salon.models.deep_items import ItemGraphRecommender, ItemGraphSettings
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


class MultimodalGNNSettings(ItemGraphSettings):
    """Settings of `MultimodalGNN`."""

    exchange: float = Field(0.5, ge=0, le=1)
    """How much an item takes from its media in a step, beside what it takes from its users."""


class MultimodalGNN(ItemGraphRecommender):
    """Message passing between users, items and modality nodes; our own arrangement of known parts.

    Every item has one node per modality it has, x_m = W_m f_m at the start. In each step, with A the normalised likes,
    S_m the k nearest touched items by modality and T_m learned d x d maps (near the identity at the start):

        users <- A items
        items <- A^T users + exchange * mean over m of (x_m T_m)
        x_m   <- S_m (x_m + items) / 2
        vector = mean over the steps 0..L;  score = u.i,  loss = BPR + reg |E|^2 / 2

    Source of the parts: a graph per modality joined at the items as in MMGCN (Wei et al., ACM MM 2019), propagation
    without non-linearity as in LightGCN, item graphs as in LATTICE. An item nobody liked has no free vector and is
    put beside its neighbours (`deep_items`).
    """

    views = 0.6
    settings: MultimodalGNNSettings
    grid: ClassVar[Grid] = {"exchange": (0.5, 1.0), "learning_rate": (5e-3, 2e-2), "batch_size": (2048, 8192)}

    def _network(self, material: Material) -> PairNetwork:
        return MultimodalGNNNetwork(material, self.settings)


class MultimodalGNNNetwork(MediaNetwork):
    """Tables of users and items, and modality nodes from the features."""

    def __init__(self, material: Material, settings: MultimodalGNNSettings) -> None:
        super().__init__(material.media)
        self.settings = settings
        self.users, self.items = table(material.n_users, settings.dim), table(material.n_items, settings.dim)
        self.maps = linear_maps(material.media, settings.dim, bias=False)
        self.turns = nn.ModuleList([_near_identity(settings.dim) for _ in material.media])
        self.links = material.links()
        self.alike = [Graph(graph) for graph in material.graphs(settings.k)]
        self.register_buffer("touched", as_column(material.touched), persistent=False)

    def vectors(self) -> tuple[Tensor, Tensor]:
        """The means over the steps."""
        users, items, depth = self.users, self.touched * self.items, self.settings.layers
        nodes = [fold(f) for fold, f in zip(self.maps, self.features(), strict=True)]
        many = torch.clamp(torch.stack(self.there()).sum(dim=0), min=1)
        all_users, all_items = users, items
        for _ in range(depth):
            said = torch.stack([turn(node) for turn, node in zip(self.turns, nodes, strict=True)]).sum(dim=0) / many
            nodes = [
                there * (graph(node + items)) / 2
                for there, graph, node in zip(self.there(), self.alike, nodes, strict=True)
            ]
            users, items = layers(self.links, users, items, 1)[1]
            items = items + self.settings.exchange * said
            all_users, all_items = all_users + users, all_items + items
        return all_users / (depth + 1), all_items / (depth + 1)

    def forward(self, users: Tensor, items: Tensor, negatives: Tensor) -> Tensor:
        """BPR and ridge."""
        batch = (users, items, negatives)
        return pair_loss(*self.vectors(), batch) + self.settings.reg * squared(self.users, self.items, batch)


def _near_identity(dim: int) -> nn.Linear:
    turn = nn.Linear(dim, dim, bias=False)
    with torch.no_grad():
        turn.weight.copy_(torch.eye(dim) + 0.1 * turn.weight)
    return turn
