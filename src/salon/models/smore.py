"""SMORE: media filtered in the spectrum, alone and together, beside the collaborative view."""

from __future__ import annotations

from functools import reduce
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from salon.arrays import power_or_zero, scale_rows
from salon.models.base import Grid
from salon.models.deep_graph import Graph
from salon.models.deep_items import ItemGraphRecommender
from salon.models.deep_network import Material, PairNetwork, as_column
from salon.models.mgcn import MGCNSettings, ViewNetwork, gate
from salon.training.dropout import Dropout


class SMORESettings(MGCNSettings):
    """Settings of `SMORE`."""

    dropout: float = Field(0.1, ge=0, lt=1)
    """Share of the numbers of the preference gates dropped in training."""


class SMORE(ItemGraphRecommender):
    """Spectrum-based modality representation fusion (Ong and Khong, WSDM 2025).

        g_m = irfft(rfft(W_m f_m) * C_m)                         each modality, denoised by learned complex weights
        g = irfft(prod_m rfft(W_m f_m) * C)                      all of them, fused
        v_m = spread(E_item * sigmoid(A_m g_m)) over S_m;  v over the element-wise largest S
        side = mean over m of softmax(q_m(v)) * sigmoid(P_m c) * v_m, and of sigmoid(P c) * v
        vector = c + side,  c = LightGCN(E);  loss as in MGCN

    Transforms run over the numbers of a vector, orthonormal. Items lacking a modality leave it out of the product, and
    a modality that an item lacks (for a person: that no liked item has) takes no part in the mean. The fused graph is
    scaled so that its rows sum to 1. Items nobody liked have no c and are put beside their neighbours
    (`deep_items`).
    """

    views = 0.8
    settings: SMORESettings
    grid: ClassVar[Grid] = {"contrast_weight": (1e-2, 3e-2), "learning_rate": (5e-3, 2e-2), "batch_size": (2048, 8192)}

    def _network(self, material: Material) -> PairNetwork:
        return SMORENetwork(material, self.settings)


class SMORENetwork(ViewNetwork):
    """The views of SMORE."""

    def __init__(self, material: Material, settings: SMORESettings) -> None:
        super().__init__(material, settings)
        dim, count = settings.dim, len(material.media)
        self.filters = nn.ParameterList([complex_weights(dim) for _ in range(count + 1)])
        self.gates = nn.ModuleList([gate(dim) for _ in range(count + 1)])
        self.wishes = nn.ModuleList([nn.Sequential(*gate(dim), Dropout(settings.dropout)) for _ in range(count + 1)])
        self.queries = nn.ModuleList(
            [nn.Sequential(nn.Linear(dim, dim), nn.Tanh(), nn.Linear(dim, dim, bias=False)) for _ in range(count)]
        )
        largest = reduce(lambda one, other: one.maximum(other), self.graphs)
        self.fused = Graph(scale_rows(largest, power_or_zero(largest.sum(axis=1), -1.0)))
        self.register_buffer("touched", as_column(material.touched), persistent=False)

    def denoised(self) -> list[Tensor]:
        """(items, d) of each modality, and of all together."""
        dim = self.settings.dim
        spectra = [
            torch.fft.rfft(fold(f), dim=1, norm="ortho") for fold, f in zip(self.maps, self.features(), strict=True)
        ]
        weights = [torch.view_as_complex(part) for part in self.filters]
        product: Tensor = reduce(
            torch.mul, [torch.where(mask > 0, one, 1) for one, mask in zip(spectra, self.there(), strict=True)]
        )
        parts = [*spectra, product]
        return [torch.fft.irfft(s * w, n=dim, dim=1, norm="ortho") for s, w in zip(parts, weights, strict=True)]

    def side(self, shared: Tensor) -> Tensor:
        """The mean of the wanted views."""
        gated = [self.items * let(part) for let, part in zip(self.gates, self.denoised(), strict=True)]
        *views, fused = (self.spread(part, graph) for part, graph in zip(gated, [*self.alike, self.fused], strict=True))
        total, count = self.wishes[-1](shared) * fused, torch.ones_like(shared[:, :1])
        for view, query, wish, reach in zip(views, self.queries, self.wishes[:-1], self.reach, strict=True):
            mask = reach.to(shared.device)
            total = total + mask * functional.softmax(query(fused), dim=1) * wish(shared) * view
            count = count + mask
        return total / count


def complex_weights(dim: int) -> nn.Parameter:
    """(1, dim // 2 + 1, 2) real and imaginary parts, drawn around 1: a filter that lets everything through."""
    weights = 0.02 * torch.randn(1, dim // 2 + 1, 2)
    weights[..., 0] += 1
    return nn.Parameter(weights)
