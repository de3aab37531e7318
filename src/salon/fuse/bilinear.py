"""Bilinear pooling of low rank: products of modalities, for tastes that lie in their combination.

Sources: Kim et al., "Hadamard Product for Low-rank Bilinear Pooling" (MLB), ICLR 2017; Ben-younes et al., "MUTAN",
ICCV 2017. Ours adds a linear part per modality, so that an item with one modality has a vector too, and takes every
pair of modalities.
"""

from __future__ import annotations

from itertools import combinations

from pydantic import Field
from torch import Tensor, nn

from salon.fuse.deep import DeepFuser
from salon.fuse.deep_settings import DeepSettings
from salon.fuse.network import Joiner


class BilinearJoiner(Joiner):
    """h = sum_m A_m t_m + sum_{m < l, both there} P_ml (U_ml t_m * V_ml t_l), each sum over what is there.

    `rank` is the length of the product; a full bilinear map of each of dim numbers has dim times dim.
    """

    def __init__(self, modalities: int, dim: int, rank: int) -> None:
        super().__init__()
        self.pairs = list(combinations(range(modalities), 2))
        self.linear = nn.ModuleList([nn.Linear(dim, dim, bias=False) for _ in range(modalities)])
        self.left = nn.ModuleList([nn.Linear(dim, rank, bias=False) for _ in self.pairs])
        self.right = nn.ModuleList([nn.Linear(dim, rank, bias=False) for _ in self.pairs])
        self.out = nn.ModuleList([nn.Linear(rank, dim, bias=False) for _ in self.pairs])

    def forward(self, tokens: Tensor, there: Tensor) -> Tensor:
        """(n, dim)."""
        joined = sum(layer(tokens[:, m]) for m, layer in enumerate(self.linear))
        for (m, other), left, right, out in zip(self.pairs, self.left, self.right, self.out, strict=True):
            joined = joined + out(left(tokens[:, m]) * right(tokens[:, other]))  # 0 where one of them is absent
        return joined


class BilinearSettings(DeepSettings):
    """Settings of `Bilinear`."""

    rank: int = Field(64, ge=1)
    """Length of the product of each pair of modalities."""


class Bilinear(DeepFuser):
    """Products of pairs of modalities at low rank beside a linear part (MLB)."""

    settings: BilinearSettings

    def _joiner(self) -> Joiner:
        return BilinearJoiner(len(self.names_), self.settings.dim, self.settings.rank)
