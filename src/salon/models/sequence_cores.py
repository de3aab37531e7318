"""What reads a history step by step: a causal Transformer, with intervals between steps or without, and a GRU."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from salon.errors import SettingError
from salon.models.sequence_network import Core
from salon.training.dropout import Dropout

BUCKETS = 64
"""Kinds of interval: half octaves of seconds up to 2^31.5, about 100 years; one more for unknown ones."""


def interval_buckets(times: Tensor) -> Tensor:
    """(n, T, T) int64: floor(2 log2(1 + |t_i - t_j|)), at most 63; 64 where a time is unknown (NaN)."""
    gaps = (times.unsqueeze(2) - times.unsqueeze(1)).abs()
    buckets = (2 * torch.log2(1 + gaps)).clamp(max=BUCKETS - 1)
    return torch.where(gaps.isnan(), torch.full_like(buckets, BUCKETS), buckets.floor()).long()


class CausalAttention(nn.Module):
    """Attention of each step to itself and those before, over several heads.

    With intervals (Li et al., WSDM 2020), r_ij = rows of two tables at the bucket of |t_i - t_j|, one head's width:

        w_ij = softmax_j( q_i . (k_j + rK_ij) / sqrt(d) ),   out_i = sum_j w_ij (v_j + rV_ij)

    The products with rK are made per bucket, so no (T, T, d) array is held.
    """

    def __init__(self, dim: int, heads: int, dropout: float, *, intervals: bool) -> None:
        super().__init__()
        self.heads, self.root, self.dropout = heads, math.sqrt(dim // heads), Dropout(dropout)
        self.project, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.intervals = nn.Parameter(torch.randn(2, BUCKETS + 1, dim // heads) * 0.02) if intervals else None

    def forward(self, x: Tensor, buckets: Tensor | None) -> Tensor:
        """(n, T, dim) of (n, T, dim) and buckets (n, T, T), or None without intervals."""
        n, length, dim = x.shape
        parts = self.project(x).view(n, length, 3, self.heads, dim // self.heads).permute(2, 0, 3, 1, 4)
        queries, keys, values = parts.unbind(0)  # (n, heads, T, width)
        if self.intervals is not None and buckets is not None:
            mixed = self._with_intervals(queries, keys, values, buckets, self.intervals)
        elif self.training and self.dropout.p:
            mixed = self._weights(queries @ keys.transpose(2, 3)) @ values
        else:
            mixed = functional.scaled_dot_product_attention(queries, keys, values, is_causal=True)
        return self.out(mixed.transpose(1, 2).reshape(n, length, dim))

    def _with_intervals(self, queries: Tensor, keys: Tensor, values: Tensor, buckets: Tensor, tables: Tensor) -> Tensor:
        of_keys, of_values = tables[0], tables[1]
        n, heads, length, _ = queries.shape
        places = buckets.unsqueeze(1).expand(n, heads, length, length)
        logits = queries @ keys.transpose(2, 3) + (queries @ of_keys.T).gather(3, places)
        weights = self._weights(logits)
        per_bucket = weights.new_zeros(n, heads, length, BUCKETS + 1).scatter_add(3, places, weights)
        return weights @ values + per_bucket @ of_values

    def _weights(self, logits: Tensor) -> Tensor:
        """(n, heads, T, T) weights of the steps up to each, some of them dropped in training."""
        later = torch.full(logits.shape[2:], -math.inf, device=logits.device).triu(1)
        weights: Tensor = self.dropout(torch.softmax(logits / self.root + later, dim=3))
        return weights


class TransformerBlock(nn.Module):
    """x + attention(norm(x)), then x + perceptron(norm(x))."""

    def __init__(self, dim: int, heads: int, dropout: float, *, intervals: bool) -> None:
        super().__init__()
        self.norms = nn.ModuleList([nn.LayerNorm(dim), nn.LayerNorm(dim)])
        self.attention = CausalAttention(dim, heads, dropout, intervals=intervals)
        self.dense = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim), Dropout(dropout))
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, buckets: Tensor | None) -> Tensor:
        """(n, T, dim)."""
        x = x + self.dropout(self.attention(self.norms[0](x), buckets))
        return x + self.dense(self.norms[1](x))


class CausalTransformer(Core):
    """Blocks of causal attention over steps and their positions, counted from the first step read.

    A step's output is the same whatever follows it. Norms stand in front of the parts, and one at either end. The
    number of heads must divide `dim`.
    """

    def __init__(self, dim: int, length: int, blocks: int, heads: int, dropout: float, *, intervals: bool) -> None:
        super().__init__()
        if dim % heads:
            raise SettingError(f"{dim} numbers cannot be parted among {heads} heads.", hint="Set heads or dim.")
        self.dim, self.intervals = dim, intervals
        self.positions = nn.Parameter(torch.randn(length, dim) * 0.02)
        self.first, self.last, self.dropout = nn.LayerNorm(dim), nn.LayerNorm(dim), Dropout(dropout)
        self.blocks = nn.ModuleList([TransformerBlock(dim, heads, dropout, intervals=intervals) for _ in range(blocks)])

    def forward(self, steps: Tensor, times: Tensor) -> Tensor:
        """(n, T, dim); T is at most `length`."""
        x = self.dropout(self.first(steps + self.positions[: steps.shape[1]]))
        buckets = interval_buckets(times) if self.intervals else None
        for block in self.blocks:
            x = block(x, buckets)
        return self.last(x)


class Recurrent(Core):
    """Gated recurrent units (Cho et al., 2014) over normed steps, and a linear map of their state."""

    def __init__(self, width: int, hidden: int, dim: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.dim = dim
        self.first, self.dropout = nn.LayerNorm(width), Dropout(dropout)
        self.gru = nn.GRU(width, hidden, layers, batch_first=True, dropout=dropout if layers > 1 else 0.0)
        self.out = nn.Linear(hidden, dim)

    def forward(self, steps: Tensor, times: Tensor) -> Tensor:
        """(n, T, dim); times are not read."""
        states, _ = self.gru(self.dropout(self.first(steps)))
        return self.out(self.dropout(states))
