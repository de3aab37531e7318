"""AlphaRec: no table of ids; item features, a small network and the graph of likes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from salon.data import Dataset
from salon.models.base import Grid
from salon.models.deep import DeepRecommender, MediaSettings
from salon.models.deep_answers import Answers
from salon.models.deep_graph import Graph, layers, mean_links, mean_of_layers
from salon.models.deep_media import Media, having_any
from salon.models.deep_network import Material, MediaNetwork, PairNetwork
from salon.models.pretrained import PretrainedSettings, Start, Transferable, projection_state
from salon.models.rows import ones_like, touched_columns
from salon.training.losses import sampled_softmax
from salon.training.network import flat_weights, load_flat, to_numpy
from salon.types import BoolArray


class AlphaRecSettings(MediaSettings, PretrainedSettings):
    """Settings of `AlphaRec`."""

    epochs: int = Field(300, ge=0)
    """Most passes over the likes; 0 takes a pretrained model as it is."""
    reg: float = Field(0.0, ge=0)
    """Weight of the squared weights of the network."""
    negatives: int = Field(256, ge=1)
    """Items drawn uniformly that the liked ones of a batch are compared with."""
    learning_rate: float = Field(3e-3, gt=0)
    """Step size of Adam."""
    layers: int = Field(2, ge=0, le=8)
    """Steps over the graph of likes."""
    hidden: int = Field(0, ge=0)
    """Width of the hidden layer; 0 takes half of the features' width."""
    temperature: float = Field(0.15, gt=0)
    """Divides the cosines, tau."""


class AlphaRec(Transferable, DeepRecommender):
    """Language representations for recommendation (Sheng et al., ICLR 2025), for any modalities.

        e_i = MLP(f_i),  e_u = mean of e_i over the likes,  then the mean of layers 0..L of LightGCN
        loss = -ln [exp(cos(u, i) / tau) / (exp(cos(u, i) / tau) + sum over the negatives)],  score = cos(u, i)

    The features of all modalities stand side by side, absent ones as 0. The negatives of a batch are shared by its rows
    (the paper draws them for each row); one that equals the liked item is left out. An item nobody liked has its own
    layer 0 and nothing from the graph. An item without any feature is placed by its likes alone.

    The perceptron knows no ids: on another catalogue it reads the graph of the likes there, where there are any, and a
    person is the mean of e_i where there are none.
    """

    settings: AlphaRecSettings
    carried = ("mlp_",)
    shape = ("dim", "hidden")
    grid: ClassVar[Grid] = {"temperature": (0.1, 0.15, 0.2), "layers": (1, 2), "learning_rate": (1e-3, 3e-3)}

    def _network(self, material: Material) -> PairNetwork:
        return AlphaRecNetwork(material, self.settings)

    def _placed(self, material: Material) -> BoolArray:
        return material.touched | having_any(material.media, material.n_items)

    def _carried(self, network: PairNetwork, material: Material) -> dict[str, Any]:
        assert isinstance(network, AlphaRecNetwork)
        return {"mlp_": flat_weights(network.mlp.parameters()), **projection_state(material.media)}

    def _moved(self, data: Dataset, media: Mapping[str, Media], start: Start) -> dict[str, Any]:
        rows = ones_like(data.positives())
        material = Material(rows, touched_columns(rows), media, start)
        with torch.random.fork_rng(), torch.no_grad():
            network = self._network(material).eval()
            users, items = (to_numpy(part) for part in network.vectors())
        placed = self._placed(material)
        answers = Answers.of(rows, users, items, placed) if rows.nnz else Answers.of_items(items, placed)
        return {**answers.state(), **self._carried(network, material)}


class AlphaRecNetwork(MediaNetwork):
    """A perceptron over frozen features, and the graph of likes."""

    others = "shared"

    def __init__(self, material: Material, settings: AlphaRecSettings) -> None:
        super().__init__(material.media)
        self.settings = settings
        width = sum(one.vectors.shape[1] for one in material.media.values())
        hidden = settings.hidden or max(width // 2, settings.dim)
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.LeakyReLU(), nn.Linear(hidden, settings.dim))
        if material.start is not None:
            load_flat(self.mlp.parameters(), material.start.arrays["mlp_"])
        self.links, self.means = material.links(), Graph(mean_links(material.rows))
        self.placed = having_any(material.media, material.n_items)
        self.register_buffer("any", torch.from_numpy(self.placed[:, None].astype(np.float32)), persistent=False)

    def vectors(self) -> tuple[Tensor, Tensor]:
        """Unit vectors of users and items."""
        items = self.any * self.mlp(torch.cat(self.features(), dim=1))
        users, items = mean_of_layers(layers(self.links, self.means(items), items, self.settings.layers))
        return functional.normalize(users, dim=1), functional.normalize(items, dim=1)

    def forward(self, users: Tensor, items: Tensor, negatives: Tensor) -> Tensor:
        """Sampled softmax over cosines."""
        all_users, all_items = self.vectors()
        u, i = all_users.index_select(0, users), all_items.index_select(0, items)
        others = u @ all_items.index_select(0, negatives).T / self.settings.temperature
        others = others.masked_fill(items[:, None] == negatives[None, :], float("-inf"))
        loss = sampled_softmax((u * i).sum(dim=1) / self.settings.temperature, others)
        if self.settings.reg:
            loss = loss + self.settings.reg * sum(part.pow(2).sum() for part in self.mlp.parameters())
        return loss
