"""Attention of one set of vectors over another, softmax(q W k') k, as a building block of fusers.

Source: Vaswani et al., "Attention Is All You Need", NeurIPS 2017; across modalities: Lu et al., "ViLBERT", NeurIPS
2019. We keep the form softmax(W f1 f2') f2 with one bilinear map W per head and no map of the values, so that what
comes out is a weighted mean of what went in, head by head, and the weights can be read.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from salon.errors import SettingError


class CrossModalAttention(nn.Module):
    """softmax(f1 W f2' / sqrt(d)) f2 per head, absent keys left out.

    Every head has a (dim, dim) map W and mixes its own dim / heads numbers of the keys.

    Args:
        dim: Numbers per vector, of queries and keys alike.
        heads: How many sets of weights; must divide `dim`.
    """

    def __init__(self, dim: int, heads: int = 1) -> None:
        super().__init__()
        if heads < 1 or dim % heads:
            raise SettingError(f"{dim} numbers cannot be parted among {heads} heads.", hint="Choose a divisor.")
        self.dim, self.heads = dim, heads
        self.weight = nn.Parameter(torch.empty(heads, dim, dim))
        with torch.no_grad():
            self.weight.copy_(torch.eye(dim) + torch.randn(heads, dim, dim) * (0.1 / math.sqrt(dim)))

    def forward(self, query: Tensor, keys: Tensor, key_mask: Tensor | None = None) -> Tensor:
        """(n, a, dim) mixed keys for (n, a, dim) queries.

        Args:
            query: (n, a, dim) float.
            keys: (n, b, dim) float.
            key_mask: (n, b) bool, True where a key is there. A row without any gives 0, never NaN.
        """
        weights = self.weights(query, keys, key_mask)
        values = keys.unflatten(-1, (self.heads, -1))  # (n, b, heads, dim / heads)
        return torch.einsum("nhab,nbhd->nahd", weights, values).flatten(-2)

    def weights(self, query: Tensor, keys: Tensor, key_mask: Tensor | None = None) -> Tensor:
        """(n, heads, a, b): how much each query looks at each key; rows sum to 1, or are 0 where no key is there."""
        scores = torch.einsum("nad,hde,nbe->nhab", query, self.weight, keys) / math.sqrt(self.dim)
        if key_mask is None:
            return torch.softmax(scores, dim=-1)
        there = key_mask[:, None, None, :]
        scores = scores.masked_fill(~there, torch.finfo(scores.dtype).min)
        return torch.softmax(scores, dim=-1) * there
