"""LGMRec: local graphs of likes for ids and media, and hyperedges that join users and items of a kind."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from salon.models.base import Grid
from salon.models.deep_graph import Graph, layers, mean_links, mean_of_layers
from salon.models.deep_items import ItemGraphRecommender, NeighbourSettings
from salon.models.deep_network import (
    Material,
    MediaNetwork,
    PairNetwork,
    as_column,
    contrast,
    linear_maps,
    pair_loss,
    squared,
    table,
)
from salon.training.dropout import dropped


class LGMRecSettings(NeighbourSettings):
    """Settings of `LGMRec`."""

    layers: int = Field(2, ge=0, le=8)
    """Steps over the graph of likes, for ids."""
    media_layers: int = Field(2, ge=0, le=8)
    """Steps over the graph of likes, for media."""
    hyperedges: int = Field(4, ge=1)
    """Hyperedges per modality."""
    hyper_layers: int = Field(1, ge=1, le=4)
    """Steps over the hypergraph."""
    hyper_weight: float = Field(0.3, ge=0)
    """Share of the global vectors, alpha."""
    dropout: float = Field(0.3, ge=0, lt=1)
    """Share of the links to hyperedges dropped in training."""
    temperature: float = Field(0.2, gt=0)
    """Of the assignment to hyperedges and of the contrast, tau."""
    contrast_weight: float = Field(1e-4, ge=0)
    """Weight of the contrast between the modalities' global vectors."""
    contrast_rows: int = Field(1024, ge=2)
    """Most users, and most items, of a batch that are contrasted with each other."""


class LGMRec(ItemGraphRecommender):
    """Local and global graph learning (Guo et al., AAAI 2024).

        local: c = LightGCN(E);  v_m = A^l [mean of W_m f_i over the likes ; W_m f_i];  c + sum_m v_m / |v_m|
        global: H_m = softmax((f V_m + gumbel noise) / tau) of items, R f V_m of users;  items H H^T c_items,
                users H_u H^T c_items, summed over m
        vector = local + hyper_weight * global / |global|
        loss = BPR + contrast_weight * InfoNCE between the global vectors of the modalities + reg |E|^2 / 2

    The noise and the dropout of links are there in training only. An item without a modality has no v_m and no
    hyperedge of it; an item nobody liked is put beside its k nearest (`deep_items`). The contrast is taken
    over all pairs of modalities (the paper has two) and over at most `contrast_rows` rows of a batch.
    """

    views = 0.5
    settings: LGMRecSettings
    grid: ClassVar[Grid] = {"hyperedges": (4, 32), "learning_rate": (5e-3, 2e-2), "batch_size": (2048, 8192)}

    def _network(self, material: Material) -> PairNetwork:
        return LGMRecNetwork(material, self.settings)


class LGMRecNetwork(MediaNetwork):
    """Tables of users and items, maps of features to vectors and to hyperedges."""

    def __init__(self, material: Material, settings: LGMRecSettings) -> None:
        super().__init__(material.media)
        self.settings = settings
        self.users, self.items = table(material.n_users, settings.dim), table(material.n_items, settings.dim)
        self.maps = linear_maps(material.media, settings.dim, bias=False)
        self.edges = linear_maps(material.media, settings.hyperedges, bias=False)
        self.links, self.means, self.likes = material.links(), Graph(mean_links(material.rows)), Graph(material.rows)
        self.register_buffer("touched", as_column(material.touched), persistent=False)

    def local(self) -> tuple[Tensor, Tensor, Tensor]:
        """Local vectors of users and items, and c of the items."""
        s, own = self.settings, self.touched * self.items
        users, items = mean_of_layers(layers(self.links, self.users, own, s.layers))
        behaviour = items
        for fold, features in zip(self.maps, self.features(), strict=True):
            content = fold(features)
            found = layers(self.links, self.means(content), content, s.media_layers)[-1]
            cold = (1 - self.touched) * content  # no like leads to it, so no step reaches it
            users = users + functional.normalize(found[0], dim=1)
            items = items + functional.normalize(found[1] + (cold if s.media_layers else 0), dim=1)
        return users, items, behaviour

    def global_parts(self, behaviour: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Global vectors of users and items by modality, from c of the items."""
        s, parts = self.settings, []
        for fold, features, there in zip(self.edges, self.features(), self.there(), strict=True):
            logits = fold(features)
            of_users, of_items = self._assigned(self.likes(logits)), there * self._assigned(logits)
            if self.training:
                of_users, of_items = dropped(of_users, s.dropout), dropped(of_items, s.dropout)
            items, users = behaviour, behaviour
            for _ in range(s.hyper_layers):
                edges = of_items.T @ items
                users, items = of_users @ edges, of_items @ edges
            parts.append((users, items))
        return parts

    def _assigned(self, logits: Tensor) -> Tensor:
        if self.training:
            return functional.gumbel_softmax(logits, self.settings.temperature, dim=1)
        return functional.softmax(logits / self.settings.temperature, dim=1)

    def all_parts(self) -> tuple[Tensor, Tensor, list[tuple[Tensor, Tensor]]]:
        """Users, items and the global parts."""
        users, items, behaviour = self.local()
        parts, share = self.global_parts(behaviour), self.settings.hyper_weight
        users = users + share * functional.normalize(torch.stack([u for u, _ in parts]).sum(dim=0), dim=1)
        items = items + share * functional.normalize(torch.stack([i for _, i in parts]).sum(dim=0), dim=1)
        return users, items, parts

    def vectors(self) -> tuple[Tensor, Tensor]:
        """Local plus global."""
        users, items, _ = self.all_parts()
        return users, items

    def forward(self, users: Tensor, items: Tensor, negatives: Tensor) -> Tensor:
        """BPR, contrast and ridge."""
        s, batch = self.settings, (users, items, negatives)
        all_users, all_items, parts = self.all_parts()
        loss = pair_loss(all_users, all_items, batch) + s.reg * squared(self.users, self.items, batch)
        for place, (one_users, one_items) in enumerate(parts):
            for other_users, other_items in parts[:place]:
                alike = contrast(one_users, other_users, users, s.temperature, s.contrast_rows)
                alike = alike + contrast(one_items, other_items, items, s.temperature, s.contrast_rows)
                loss = loss + s.contrast_weight * alike
        return loss
