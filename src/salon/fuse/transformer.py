"""Attention between modalities: each looks at the others, or all are words of one short sentence."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from salon.errors import SettingError
from salon.fuse.attention import CrossModalAttention
from salon.fuse.deep import DeepFuser
from salon.fuse.deep_settings import DeepSettings
from salon.fuse.network import Joiner


class CrossAttentionJoiner(Joiner):
    """h = mean over the modalities there of mean_s( t_ms + attention of t_ms over the slots of all other modalities ).

    Each token is first mapped to several slots t_ms: with one vector per modality there would be nothing to choose
    between, and attention would be addition.
    """

    def __init__(self, modalities: int, dim: int, heads: int, slots: int) -> None:
        super().__init__()
        self.slots = nn.ModuleList([nn.Linear(dim, slots * dim) for _ in range(modalities)])
        self.attention = nn.ModuleList([CrossModalAttention(dim, heads) for _ in range(modalities)])

    def forward(self, tokens: Tensor, there: Tensor) -> Tensor:
        """(n, dim)."""
        parts = [layer(tokens[:, m]).unflatten(1, (-1, tokens.shape[2])) for m, layer in enumerate(self.slots)]
        keys, count = torch.cat(parts, dim=1), parts[0].shape[1]  # (n, modalities * slots, dim)
        joined = tokens.new_zeros(len(tokens), tokens.shape[2])
        for m, attend in enumerate(self.attention):
            others = there.clone()
            others[:, m] = False
            mixed = parts[m] + attend(parts[m], keys, others.repeat_interleave(count, dim=1))
            joined = joined + mixed.mean(dim=1) * there[:, m : m + 1]
        return joined / there.sum(dim=1, keepdim=True)


class AttentionSettings(DeepSettings):
    """Settings of fusers with attention."""

    heads: int = Field(4, ge=1)
    """Sets of attention weights; must divide `dim`."""


class CrossAttentionSettings(AttentionSettings):
    """Settings of `CrossAttention`."""

    slots: int = Field(4, ge=1)
    """Vectors that each modality is spread over, to look with and to be looked at."""


class CrossAttention(DeepFuser):
    """Every modality looks at the others by softmax(f1 W f2') f2 and takes from them what fits."""

    settings: CrossAttentionSettings

    def _joiner(self) -> Joiner:
        given = self.settings
        return CrossAttentionJoiner(len(self.names_), given.dim, given.heads, given.slots)


class Block(nn.Module):
    """x + attention(norm(x)), then x + perceptron(norm(x)): a layer of a Transformer with its norms in front."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList([nn.LayerNorm(dim), nn.LayerNorm(dim)])
        self.attention = nn.MultiheadAttention(dim, heads, batch_first=True)
        self.dense = nn.Sequential(nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim))

    def forward(self, x: Tensor, absent: Tensor, wanted: slice) -> tuple[Tensor, Tensor]:
        """(n, wanted, dim) of x (n, tokens, dim), and how these looked at all, (n, wanted, tokens), mean over heads."""
        normed = self.norms[0](x)
        mixed, weights = self.attention(normed[:, wanted], normed, normed, key_padding_mask=absent)
        x = x[:, wanted] + mixed
        return x + self.dense(self.norms[1](x)), weights


class TransformerJoiner(Joiner):
    """Layers of attention over [CLS, t_1 + e_1, ..., t_M + e_M]; h is the CLS token, or the mean of the others."""

    def __init__(self, modalities: int, dim: int, heads: int, layers: int, pool: str) -> None:
        super().__init__()
        self.first = nn.Parameter(torch.randn(1, 1, dim) * 0.02)
        self.kind = nn.Parameter(torch.randn(1, modalities, dim) * 0.02)
        self.layers = nn.ModuleList([Block(dim, heads) for _ in range(layers)])
        self.norm = nn.LayerNorm(dim)
        self.pool = pool

    def _run(self, tokens: Tensor, there: Tensor) -> tuple[Tensor, Tensor]:
        """What comes out, (n, dim), and how the pooled tokens looked at the modalities, (n, modalities)."""
        x = torch.cat([self.first.expand(len(tokens), -1, -1), tokens + self.kind], dim=1)
        absent = torch.cat([torch.zeros_like(there[:, :1]), ~there], dim=1)
        pooled, looks = slice(0, 1) if self.pool == "cls" else slice(1, None), []
        for layer in self.layers[:-1]:
            x, attention = layer(x, absent, slice(None))
            looks.append(attention[:, pooled])
        x, attention = self.layers[-1](x, absent, pooled)  # of the last layer nothing else is used
        looks.append(attention)
        present = (~absent[:, pooled]).to(x.dtype)
        share = (present / present.sum(dim=1, keepdim=True)).unsqueeze(1)  # (n, 1, pooled)
        return (share @ self.norm(x)).squeeze(1), (share @ torch.stack(looks).mean(dim=0)).squeeze(1)[:, 1:]

    def forward(self, tokens: Tensor, there: Tensor) -> Tensor:
        """(n, dim)."""
        return self._run(tokens, there)[0]

    def weights(self, tokens: Tensor, there: Tensor) -> Tensor:
        """(n, modalities), the attention of what is pooled, mean over heads and layers, without that on CLS."""
        looks = self._run(tokens, there)[1]
        return looks / looks.sum(dim=1, keepdim=True).clamp(min=1e-12)


class TransformerSettings(AttentionSettings):
    """Settings of `Transformer`."""

    layers: int = Field(1, ge=1, le=12)
    """Layers of attention."""
    pool: Literal["cls", "mean"] = "cls"
    """Take the output of an extra token that looks at all modalities, or the mean of the modalities' outputs."""


class Transformer(DeepFuser):
    """Modalities as the tokens of a small Transformer (Vaswani et al., 2017), pooled by a CLS token or their mean."""

    settings: TransformerSettings

    def _joiner(self) -> Joiner:
        given = self.settings
        if given.dim % given.heads:
            raise SettingError(f"{given.dim} numbers cannot be parted among {given.heads} heads.", hint="Set heads.")
        return TransformerJoiner(len(self.names_), given.dim, given.heads, given.layers, given.pool)
