"""LATTICE: the graph of items is learned from their media while the model is trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import torch
from pydantic import Field
from scipy import sparse
from torch import Tensor, nn
from torch.nn import functional

from salon.arrays import nearest_rows, unit_rows
from salon.models.base import Grid
from salon.models.deep_graph import Graph, layers, mean_of_layers
from salon.models.deep_items import ItemGraphRecommender, ItemGraphSettings
from salon.models.deep_media import Media
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
from salon.training.network import flat_weights, to_numpy
from salon.types import BoolArray, FloatArray, IntArray


class LatticeSettings(ItemGraphSettings):
    """Settings of `Lattice`."""

    keep: float = Field(0.9, ge=0, le=1)
    """Weight of the graph of the features as given beside the learned one, lambda."""


class Lattice(ItemGraphRecommender):
    """Latent structure mining (Zhang et al., ACM MM 2021), with sparse learned graphs.

        S_m = keep * kNN(f_m) + (1 - keep) * kNN(W_m f_m + b_m),  S = sum_m softmax(a)_m S_m
        h = S^l E_item,  score = u.(i + h / |h|),  u and i by LightGCN,  loss = BPR + reg |E^(0)|^2 / 2

    kNN(x) links an item to its k nearest by cosine, each row summing to 1: equally weighted in the graph of the given
    features, by cosine in the learned one. As in the authors' code the neighbours are searched once per epoch, and W_m
    and a get their gradient from the first batch of an epoch. The search goes by blocks and keeps k numbers per item,
    so no dense items x items matrix is ever held; its time still grows with the square of the items. Items that
    nobody liked are never neighbours; they are put beside theirs (`deep_items`).
    """

    views = 0.5
    settings: LatticeSettings
    grid: ClassVar[Grid] = {"keep": (0.7, 0.9), "learning_rate": (5e-3, 2e-2), "batch_size": (2048, 8192)}

    def _network(self, material: Material) -> PairNetwork:
        return LatticeNetwork(material, self.settings)

    def _floats(self, rows: sparse.csr_array, media: Mapping[str, Media]) -> float:
        """With the vectors of all neighbours, gathered for the gradient of the learned graph."""
        return super()._floats(rows, media) + 8.0 * len(media) * rows.shape[1] * self.settings.k * self.settings.dim


class LatticeNetwork(MediaNetwork):
    """Tables of users and items, a fixed and a learned graph per modality."""

    def __init__(self, material: Material, settings: LatticeSettings) -> None:
        super().__init__(material.media)
        self.settings = settings
        self.users, self.items = table(material.n_users, settings.dim), table(material.n_items, settings.dim)
        self.maps = linear_maps(material.media, settings.dim)
        self.trust = nn.Parameter(torch.zeros(len(material.media)))
        self.links = material.links()
        self.fixed = [Graph(graph) for graph in material.graphs(settings.k)]
        self.rows = [_rows(one, material.touched) for one in material.media.values()]
        self.register_buffer("touched", as_column(material.touched), persistent=False)
        self.learned: list[Graph] = []
        self.found: list[IntArray] = []
        self.known: list[tuple[FloatArray, IntArray]] = []

    def begin_epoch(self, rng: np.random.Generator) -> None:
        """Searches neighbours by the features as they are projected now."""
        self.learned, self.found = [], self._search()

    def _search(self) -> list[IntArray]:
        """(present items, k) rows of the nearest touched items, per modality."""
        self.known = [self._nearest(place) for place in range(len(self.rows))]
        return [self.rows[place][1][near] for place, (_, near) in enumerate(self.known)]

    @torch.no_grad()
    def _nearest(self, place: int) -> tuple[FloatArray, IntArray]:
        """The weights of a modality's map, and (present items, k) places of the nearest among its touched items.

        Not searched again while the weights stand; after a step of training from the former neighbours.
        """
        weights, former = flat_weights(self.maps[place].parameters()), self.known[place] if self.known else None
        if former is not None and np.array_equal(weights, former[0]):
            return former
        here, sources = self.rows[place]
        units = unit_rows(to_numpy(self.maps[place](self.features()[place])))
        k, guess = min(self.settings.k, len(sources)), None if former is None else former[1]
        return weights, nearest_rows(units[here], units[sources], k, guess=guess).ids

    def _weights(self, place: int, found: IntArray) -> Tensor:
        """(present items, k) learned weights of the neighbours, each row summing to 1."""
        units = functional.normalize(self.maps[place](self.features()[place]), dim=1)
        here = torch.as_tensor(self.rows[place][0], device=units.device)
        near = units[torch.as_tensor(found, device=units.device)]
        alike = torch.clamp((near @ units[here].unsqueeze(2)).squeeze(2), min=1e-6)
        weights: Tensor = alike / alike.sum(dim=1, keepdim=True)
        return weights

    def _open_step(self, own: Tensor, found: list[IntArray]) -> Tensor:
        """S x with a gradient for the maps and the trust."""
        shares, keep, total = self._shares(), self.settings.keep, torch.zeros_like(own)
        for place, graph in enumerate(self.fixed):
            step = keep * graph(own)
            if keep < 1:
                here = torch.as_tensor(self.rows[place][0], device=own.device)
                near = own[torch.as_tensor(found[place], device=own.device)]
                weights = self._weights(place, found[place])
                step = step.index_add(0, here, (1 - keep) * (weights.unsqueeze(2) * near).sum(dim=1))
            total = total + shares[place] * step
        return total

    def _closed_step(self, own: Tensor) -> Tensor:
        """S x with the graphs as they were at the first batch of the epoch."""
        shares, keep = [share.detach() for share in self._shares()], self.settings.keep
        parts = [keep * old(own) + (1 - keep) * new(own) for old, new in zip(self.fixed, self.learned, strict=True)]
        return sum((shares[place] * part for place, part in enumerate(parts)), torch.zeros_like(own))

    def _shares(self) -> list[Tensor]:
        """(items, 1) per modality: softmax of the trust over the modalities that the item has."""
        there = torch.cat(self.there(), dim=1)
        shares = functional.softmax(self.trust, dim=0) * there
        return list((shares / torch.clamp(shares.sum(dim=1, keepdim=True), min=1e-9)).split(1, dim=1))

    @torch.no_grad()
    def _close(self) -> None:
        for place, found in enumerate(self.found):
            here, n = self.rows[place][0], len(self.items)
            values, rows = to_numpy(self._weights(place, found)), np.broadcast_to(here[:, None], found.shape)
            entries = (values.ravel(), (rows.ravel(), found.ravel()))
            self.learned.append(Graph(sparse.csr_array(entries, shape=(n, n))))

    def vectors(self) -> tuple[Tensor, Tensor]:
        """u and i + h / |h|."""
        own = self.touched * self.items
        users, items = mean_of_layers(layers(self.links, self.users, own, self.settings.layers))
        found = self.found if self.training else self._search()
        closed = self.training and bool(self.learned)
        for _ in range(self.settings.item_layers):
            own = self._closed_step(own) if closed else self._open_step(own, found)
        if self.training and not self.learned:
            self._close()
        return users, items + functional.normalize(own, dim=1)

    def forward(self, users: Tensor, items: Tensor, negatives: Tensor) -> Tensor:
        """BPR and ridge."""
        batch = (users, items, negatives)
        return pair_loss(*self.vectors(), batch) + self.settings.reg * squared(self.users, self.items, batch)


def _rows(one: Media, touched: BoolArray) -> tuple[IntArray, IntArray]:
    """Rows of the items that have the modality, and of those among them that somebody liked."""
    sources = np.flatnonzero(one.present & touched)
    return (np.flatnonzero(one.present) if len(sources) else sources), sources
