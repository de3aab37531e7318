"""BM3: a graph model that learns without negatives, from two views of every vector."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from salon.models.base import Grid
from salon.models.deep import DeepRecommender, MediaSettings
from salon.models.deep_graph import layers, mean_of_layers
from salon.models.deep_network import (
    Batch,
    Material,
    MediaNetwork,
    PairNetwork,
    linear_maps,
    pair_scores,
    squared,
    table,
)
from salon.training.dropout import dropped


class BM3Settings(MediaSettings):
    """Settings of `BM3`."""

    reg: float = Field(1e-4, ge=0)
    """Weight of the squared vectors of a batch."""
    batch_size: int = Field(2048, ge=1)
    """Pairs per step."""
    learning_rate: float = Field(5e-3, gt=0)
    """Step size of Adam."""
    layers: int = Field(1, ge=0, le=8)
    """Steps over the graph of likes."""
    dropout: float = Field(0.3, ge=0, lt=1)
    """Share of the numbers dropped in the second view."""
    contrast_weight: float = Field(2.0, ge=0)
    """Weight of the losses on the features, lambda."""


class BM3(DeepRecommender):
    """Bootstrapped multimodal model (Zhou et al., WWW 2023).

        u, i by LightGCN, i + E_item;  q linear;  x' = dropout(x) without gradient;  d(a, b) = 1 - cos(a, b)
        loss = d(q(u), i') + d(q(i), u') + contrast_weight sum_m [d(q(W_m f_m), i') + d(q(W_m f_m), (W_m f_m)')] + reg
        score = q(u).q(i)

    Losses on a modality are means over the items of a batch that have it. Only the rows of a batch go through q and
    W_m, each once, so that all pairs of a row share what is dropped from it. Features shape the vectors of liked
    items; an item nobody liked is not placed. The authors' code trains the features too, here they are frozen; a
    contrast_weight of 0.1 can then be better than theirs of 2.
    """

    needs_features = True
    settings: BM3Settings
    grid: ClassVar[Grid] = {"contrast_weight": (0.1, 2.0), "dropout": (0.3, 0.5), "batch_size": (1024, 2048)}

    def _network(self, material: Material) -> PairNetwork:
        return BM3Network(material, self.settings)


class BM3Network(MediaNetwork):
    """Tables of users and items, maps of features, and a predictor."""

    others = "none"

    def __init__(self, material: Material, settings: BM3Settings) -> None:
        super().__init__(material.media)
        self.settings = settings
        self.users, self.items = table(material.n_users, settings.dim), table(material.n_items, settings.dim)
        self.maps = linear_maps(material.media, settings.dim)
        self.predictor = nn.Linear(settings.dim, settings.dim)
        self.links = material.links()

    def online(self) -> tuple[Tensor, Tensor]:
        """u and i + E_item."""
        users, items = mean_of_layers(layers(self.links, self.users, self.items, self.settings.layers))
        return users, items + self.items

    def vectors(self) -> tuple[Tensor, Tensor]:
        """q(u) and q(i)."""
        users, items = self.online()
        return self.predictor(users), self.predictor(items)

    def forward(self, users: Tensor, items: Tensor, negatives: Tensor) -> Tensor:
        """Distances between the views, and ridge."""
        all_users, all_items = self.online()
        (people, who), (things, liked) = (torch.unique(rows, return_inverse=True) for rows in (users, items))
        u, i = all_users.index_select(0, people), all_items.index_select(0, things)
        pairs = (who, liked, negatives)
        loss = apart(self.predictor(u), self._target(i), pairs) + apart(self._target(u), self.predictor(i), pairs)
        times = torch.bincount(liked)
        for fold, features, there in zip(self.maps, self.features(), self.there(), strict=True):
            f = fold(features.index_select(0, things))
            q, kept = self.predictor(f), times * there.index_select(0, things)[:, 0]
            both = distance(q, self._target(i), kept) + distance(q, self._target(f), kept)
            loss = loss + self.settings.contrast_weight * both
        return loss + self.settings.reg * squared(all_users, all_items, (users, items, negatives))

    def _target(self, vectors: Tensor) -> Tensor:
        return dropped(vectors.detach(), self.settings.dropout) if self.training else vectors.detach()


def apart(users: Tensor, items: Tensor, pairs: Batch) -> Tensor:
    """Mean of 1 - cosine over the pairs, of rows of users and of items."""
    cosines, _ = pair_scores(functional.normalize(users), functional.normalize(items), pairs)
    return 1 - cosines.mean()


def distance(one: Tensor, other: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean of 1 - cosine over the rows; 0 where all weights (n,) are."""
    cosines = functional.cosine_similarity(one, other, dim=1)
    return ((1 - cosines) * weights).sum() / torch.clamp(weights.sum(), min=1)
