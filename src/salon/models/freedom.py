"""FREEDOM: a frozen graph of items by their media, and a graph of likes thinned anew every epoch."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from pydantic import Field
from scipy import sparse
from torch import Tensor

from salon.models.base import Grid
from salon.models.deep_graph import Graph, layers, mean_of_layers, normalised_links, weighted_graph
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

SENSED = ("image", "video", "audio", "series")
"""Modalities that are seen, heard or measured; all others are words or attributes."""


class FreedomSettings(ItemGraphSettings):
    """Settings of `Freedom`."""

    image_weight: float = Field(0.1, ge=0, le=1)
    """Weight of what is seen and heard (image, video, audio, series) in the graph of items; words and attributes share
    the rest."""
    drop: float = Field(0.8, ge=0, lt=1)
    """Share of the likes left out of the graph in an epoch, rho."""
    media_weight: float = Field(1e-3, ge=0)
    """Weight of the losses on the features alone, lambda."""


class Freedom(ItemGraphRecommender):
    """Freezing and denoising graph structures (Zhou and Shen, ACM MM 2023).

        S = w S_image + (1 - w) S_text, k nearest items by cosine, built once;  h = S^l E_item
        score = u.(i + h),  u and i by LightGCN on the graph of likes
        loss = BPR(score) + media_weight sum_m BPR(u.(W_m f_m)) + reg |E^(0)|^2 / 2

    Every epoch the graph keeps a share 1 - drop of the likes, drawn without replacement with chances proportional to
    1 / sqrt(deg_u deg_i), by exponential keys. The paper weighs pictures and text; here all that is seen and heard has
    the weight of pictures. An item without a modality is placed by those it has. An item that nobody liked has no
    vector of its own, is never a neighbour that others learn from, and is put beside its neighbours (`deep_items`).
    """

    views = 0.2
    settings: FreedomSettings
    grid: ClassVar[Grid] = {"drop": (0.8, 0.9), "learning_rate": (5e-3, 2e-2), "batch_size": (2048, 8192)}

    def _network(self, material: Material) -> PairNetwork:
        return FreedomNetwork(material, self.settings)

    def _weights(self, names: list[str]) -> list[float]:
        return modality_weights(names, self.settings.image_weight)


def modality_weights(names: list[str], image: float) -> list[float]:
    """One weight per modality: `SENSED` ones share `image`, all others the rest; one kind alone has everything."""
    sensed = [name in SENSED for name in names]
    if all(sensed) or not any(sensed):
        return [1 / len(names)] * len(names)
    many = sum(sensed)
    return [image / many if one else (1 - image) / (len(names) - many) for one in sensed]


def thinned(rows: sparse.csr_array, share: float, rng: np.random.Generator) -> sparse.csr_array:
    """A share of the stored entries, drawn without replacement with chances as 1 / sqrt(deg_row deg_column).

    The largest ln(r) / weight, r uniform, are kept (Efraimidis and Spirakis, 2006).
    """
    by_row, by_column = np.diff(rows.indptr), np.bincount(rows.indices, minlength=rows.shape[1])
    owner = np.repeat(np.arange(rows.shape[0]), by_row)
    root = np.sqrt(by_row[owner] * by_column[rows.indices].astype(np.float64))
    keys = np.log(rng.random(rows.nnz)) * root
    count = max(1, round(share * rows.nnz))
    kept = np.sort(np.argpartition(-keys, count - 1)[:count])
    return sparse.csr_array((rows.data[kept], (owner[kept], rows.indices[kept])), shape=rows.shape)


class FreedomNetwork(MediaNetwork):
    """Tables of users and items over two graphs."""

    def __init__(self, material: Material, settings: FreedomSettings) -> None:
        super().__init__(material.media)
        self.settings, self.rows = settings, material.rows
        self.users, self.items = table(material.n_users, settings.dim), table(material.n_items, settings.dim)
        self.maps = linear_maps(material.media, settings.dim)
        weights = modality_weights(list(material.media), settings.image_weight)
        self.alike = Graph(weighted_graph(material.graphs(settings.k), weights))
        self.links = self.thin = material.links()
        self.register_buffer("touched", as_column(material.touched), persistent=False)

    def begin_epoch(self, rng: np.random.Generator) -> None:
        """Draws the likes that are links in this epoch."""
        if self.settings.drop:
            self.thin = Graph(normalised_links(thinned(self.rows, 1 - self.settings.drop, rng)))

    def vectors(self) -> tuple[Tensor, Tensor]:
        """u and i + h; in evaluation over all likes."""
        own = self.touched * self.items
        users, items = mean_of_layers(
            layers(self.thin if self.training else self.links, self.users, own, self.settings.layers)
        )
        for _ in range(self.settings.item_layers):
            own = self.alike(own)
        return users, items + own

    def forward(self, users: Tensor, items: Tensor, negatives: Tensor) -> Tensor:
        """BPR on the scores and on each modality, and ridge."""
        s, batch = self.settings, (users, items, negatives)
        people, things = self.vectors()
        loss = pair_loss(people, things, batch) + s.reg * squared(self.users, self.items, batch)
        if s.media_weight:
            by_media = [pair_loss(people, fold(f), batch) for fold, f in zip(self.maps, self.features(), strict=True)]
            loss = loss + s.media_weight * torch.stack(by_media).sum()
        return loss
