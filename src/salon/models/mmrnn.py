"""A recurrent network that reads several media at every step: the item, its text, its picture, its sound."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from salon.models.base import Grid
from salon.models.sequence import MediaSequenceRecommender, MediaSequenceSettings
from salon.models.sequence_cores import Recurrent
from salon.models.sequence_media import MediaNetwork
from salon.models.sequence_network import Catalogue, Core, ItemNetwork


class MultimodalRNNSettings(MediaSequenceSettings):
    """Settings of `MultimodalRNN`."""

    hidden: int = Field(128, ge=1)
    """Numbers in the state of the recurrent network."""
    layers: int = Field(1, ge=1, le=8)
    """Recurrent layers."""


class MultimodalRNN(MediaSequenceRecommender):
    """A gated recurrent network with one input per modality at every step, our own arrangement.

        x_t = [v_i, A_1 f_i1, .., A_M f_iM, who is there],  h_t = GRU(norm(x_t), h_{t-1})
        score of item i as the next one = (W h_t + b) . (v_i + mean over its modalities of B_m f_im)

    An input that an item lacks shows a learned vector of its own and a 0 among "who is there". The idea to feed
    features beside items is of Hidasi et al. (RecSys 2016), who keep one recurrent network per feature.
    """

    tied = False
    settings: MultimodalRNNSettings
    shape = ("dim", "hidden", "layers", "ids")
    grid: ClassVar[Grid] = {"ids": (True, False), "dropout": (0.1, 0.3), "learning_rate": (1e-3, 3e-3)}

    def _core(self, width: int) -> Core:
        s = self.settings
        return Recurrent(width, s.hidden, s.dim, s.layers, s.dropout)

    def _items(self, catalogue: Catalogue) -> ItemNetwork:
        return SteppedItems(catalogue, ids=self.settings.ids, dim=self.settings.dim, hide=self.settings.hide)


class SteppedItems(MediaNetwork):
    """What a step shows, side by side, and what is compared, added up."""

    def __init__(self, catalogue: Catalogue, *, ids: bool, dim: int, hide: float) -> None:
        super().__init__(catalogue, ids=ids, dim=dim, hide=hide)
        inputs = self.there.shape[1]
        self.width = inputs * (dim + 1)
        self.read = nn.ModuleList([nn.Linear(width, dim) for width in self.widths])
        self.compare = nn.ModuleList([nn.Linear(width, dim) for width in self.widths])
        self.absent = nn.Parameter(torch.randn(inputs, dim) * 0.02)
        for layer in self.compare:
            nn.init.normal_(layer.weight, std=0.1 / layer.in_features**0.5)
            nn.init.zeros_(layer.bias)

    def inputs(self, rows: Tensor) -> Tensor:
        """(k, width)."""
        shown = self.shown(rows)
        views = torch.stack(self._mapped(self.read, rows) + self._free(rows), dim=1)  # (k, inputs, dim)
        views = torch.where(shown.unsqueeze(2) > 0, views, self.absent)
        return torch.cat([views.flatten(1), shown], dim=1)

    def outputs(self, rows: Tensor) -> Tensor:
        """(k, dim)."""
        shown, count = self.shown(rows), len(self.widths)
        there = shown[:, :count]
        weights = there / there.sum(dim=1, keepdim=True).clamp(min=1)
        mixed = (torch.stack(self._mapped(self.compare, rows), dim=1) * weights.unsqueeze(2)).sum(dim=1)
        return mixed if self.ids is None else mixed + shown[:, count:] * self.ids[rows]

    def _mapped(self, layers: nn.ModuleList, rows: Tensor) -> list[Tensor]:
        return [layer(features) for layer, features in zip(layers, self.features(rows), strict=True)]

    def _free(self, rows: Tensor) -> list[Tensor]:
        return [] if self.ids is None else [self.ids[rows]]
