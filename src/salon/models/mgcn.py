"""MGCN: media views of items, gated by behaviour, beside the collaborative view."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from pydantic import Field
from scipy import sparse
from torch import Tensor, nn

from salon.models.base import Grid
from salon.models.deep_graph import Graph, layers, mean_of_layers
from salon.models.deep_items import ItemGraphRecommender, ItemGraphSettings
from salon.models.deep_network import (
    Material,
    MediaNetwork,
    PairNetwork,
    as_column,
    attentive_mean,
    contrast,
    linear_maps,
    pair_loss,
    squared,
    table,
)


class MGCNSettings(ItemGraphSettings):
    """Settings of `MGCN`."""

    contrast_weight: float = Field(1e-2, ge=0)
    """Weight of the contrastive loss."""
    temperature: float = Field(0.2, gt=0)
    """Divides the cosines of the contrast, tau."""
    contrast_rows: int = Field(1024, ge=2)
    """Most users, and most items, of a batch that are contrasted with each other."""


class MGCN(ItemGraphRecommender):
    """Multi-view graph convolution (Yu et al., ACM MM 2023).

        c = LightGCN(E)                                     collaborative view
        x_m = E_item * sigmoid(A_m (W_m f_m))               features let through what behaviour asks for
        v_m = S_m^l x_m for items, R v_m for users          R the normalised likes, S_m the k nearest items
        z = sum_m softmax(q(v_m)) v_m                       what the modalities share
        side = mean of z and of sigmoid(P_m c) * (v_m - z) over the modalities
        vector = c + side,  loss = BPR + contrast_weight [InfoNCE(side, c) of items and of users] + reg |vector|^2 / 2

    A modality that an item lacks (for a person: that no liked item has) takes no part in z and in the mean. Items
    nobody liked have no c and are put beside their neighbours (`deep_items`). The contrast is taken over at
    most `contrast_rows` rows.
    """

    views = 0.6
    settings: MGCNSettings
    grid: ClassVar[Grid] = {"contrast_weight": (1e-2, 1e-1), "learning_rate": (5e-3, 2e-2), "batch_size": (2048, 8192)}

    def _network(self, material: Material) -> PairNetwork:
        return MGCNNetwork(material, self.settings)


class ViewNetwork(MediaNetwork):
    """Tables of users and items, a collaborative view and media views; what MGCN and SMORE share."""

    def __init__(self, material: Material, settings: MGCNSettings) -> None:
        super().__init__(material.media)
        self.settings, dim = settings, settings.dim
        self.users, self.items = table(material.n_users, dim), table(material.n_items, dim)
        self.maps = linear_maps(material.media, dim)
        self.links = material.links()
        self.graphs = material.graphs(settings.k)
        self.alike = [Graph(graph) for graph in self.graphs]
        self.reach = [_reach(graph, material.rows) for graph in self.graphs]
        self.register_buffer("touched", as_column(material.touched), persistent=False)

    def collaborative(self) -> Tensor:
        """(users + items, d) c."""
        own = self.touched * self.items
        return torch.cat(mean_of_layers(layers(self.links, self.users, own, self.settings.layers)))

    def spread(self, gated: Tensor, graph: Graph) -> Tensor:
        """(users + items, d) a media view from (items, d)."""
        for _ in range(self.settings.item_layers):
            gated = graph(gated)
        return torch.cat([self.links(gated), gated])

    def side(self, shared: Tensor) -> Tensor:
        """(users + items, d) what the media add to the collaborative view."""
        raise NotImplementedError

    def both(self) -> tuple[Tensor, Tensor]:
        """(users + items, d) c, and side."""
        shared = self.collaborative()
        return shared, self.side(shared)

    def vectors(self) -> tuple[Tensor, Tensor]:
        """c + side of users and items."""
        shared, side = self.both()
        users, items = (shared + side).split([len(self.users), len(self.items)])
        return users, items

    def forward(self, users: Tensor, items: Tensor, negatives: Tensor) -> Tensor:
        """BPR, contrast and ridge."""
        s, batch = self.settings, (users, items, negatives)
        shared, side = self.both()
        all_users, all_items = (shared + side).split([len(self.users), len(self.items)])
        loss = pair_loss(all_users, all_items, batch) + s.reg * squared(all_users, all_items, batch)
        if s.contrast_weight:
            alike = contrast(side, shared, users, s.temperature, s.contrast_rows)
            alike = alike + contrast(side, shared, items + len(self.users), s.temperature, s.contrast_rows)
            loss = loss + s.contrast_weight * alike
        return loss


class MGCNNetwork(ViewNetwork):
    """The views of MGCN."""

    def __init__(self, material: Material, settings: MGCNSettings) -> None:
        super().__init__(material, settings)
        dim = settings.dim
        self.gates = nn.ModuleList([gate(dim) for _ in material.media])
        self.wishes = nn.ModuleList([gate(dim) for _ in material.media])
        self.query = nn.Sequential(nn.Linear(dim, dim), nn.Tanh(), nn.Linear(dim, 1, bias=False))

    def side(self, shared: Tensor) -> Tensor:
        """The mean of the shared part and of the wanted specific parts."""
        views = [
            self.spread(self.items * let(fold(features)), graph)
            for let, fold, features, graph in zip(self.gates, self.maps, self.features(), self.alike, strict=True)
        ]
        there = [mask.to(shared.device) for mask in self.reach]
        common = attentive_mean(views, there, self.query)
        total, count = common, torch.ones_like(there[0])
        for wish, view, mask in zip(self.wishes, views, there, strict=True):
            total, count = total + mask * wish(shared) * (view - common), count + mask
        return total / count


def gate(dim: int) -> nn.Sequential:
    """A linear map and a sigmoid."""
    return nn.Sequential(nn.Linear(dim, dim), nn.Sigmoid())


def _reach(graph: sparse.csr_array, rows: sparse.csr_array) -> Tensor:
    """(users + items, 1): 1 where a view over the graph says anything."""
    items = np.diff(graph.indptr) > 0
    return as_column(np.concatenate([np.asarray(rows @ items.astype(np.float32)) > 0, items]))
