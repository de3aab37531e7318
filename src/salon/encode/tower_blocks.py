"""The parts that towers are made of. Every block maps (n, ...) values and their (n,) lengths to values.

Sequences are (n, steps, width), padded with zeros at the end; what stands in the padding never reaches a result.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from salon.training.dropout import Dropout


class TowerNetwork(nn.Module):
    """Blocks one after the other, the last of which pools, and a head.

    Args:
        blocks: At least the pooling one.
        width: Numbers that come out of the last block.
        dim: Numbers per vector.
        dropout: Of what the head reads.
        sequential: Whether values are sequences until they are pooled.
    """

    def __init__(
        self, blocks: Sequence[nn.Module], width: int, dim: int, dropout: float = 0.0, *, sequential: bool = False
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.head = nn.Sequential(Dropout(dropout), nn.Linear(width, dim))
        self.sequential = sequential

    def run(self, values: Tensor, lengths: Tensor, start: int, stop: int) -> Tensor:
        """What comes out of blocks `start` to `stop`."""
        for block in self.blocks[start:stop]:
            values = block(values, lengths)
        return values

    def forward(self, values: Tensor, lengths: Tensor, start: int = 0) -> Tensor:
        """(n, dim) vectors of unit length, of what goes into block `start`."""
        pooled = self.run(values, lengths, start, len(self.blocks))
        return functional.normalize(self.head(pooled), dim=1)


def mask_of(values: Tensor, lengths: Tensor) -> Tensor:
    """(n, steps) bool, where a sequence has not ended."""
    return torch.arange(values.shape[1], device=values.device)[None] < lengths.to(values.device)[:, None]


class Pixels(nn.Module):
    """(n, side, side, 3) uint8 -> (n, 3, side, side) about -1 to 1."""

    def forward(self, values: Tensor, lengths: Tensor) -> Tensor:
        """See the class."""
        return (values.permute(0, 3, 1, 2).float() - 127.0) / 128.0


class ConvStage(nn.Module):
    """Halves the sides: a 3x3 convolution with stride 2, and a residual one, each with group normalisation."""

    def __init__(self, ins: int, outs: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(ins, outs, 3, stride=2, padding=1, bias=False)
        self.second = nn.Conv2d(outs, outs, 3, padding=1, bias=False)
        self.norms = nn.ModuleList([nn.GroupNorm(max(1, outs // 8), outs) for _ in range(2)])

    def forward(self, values: Tensor, lengths: Tensor) -> Tensor:
        """(n, ins, h, w) -> (n, outs, h / 2, w / 2)."""
        values = functional.relu(self.norms[0](self.first(values)))
        return functional.relu(values + self.norms[1](self.second(values)))


class PlacesMean(nn.Module):
    """The mean over all places of a map: (n, c, h, w) -> (n, c)."""

    def forward(self, values: Tensor, lengths: Tensor) -> Tensor:
        """See the class."""
        return values.mean(dim=(2, 3))


class StepsPool(nn.Module):
    """The mean over the steps of a sequence and, where asked for, the largest of each number: (n, t, w) -> (n, w)."""

    def __init__(self, *, largest: bool = True) -> None:
        super().__init__()
        self.largest = largest

    def forward(self, values: Tensor, lengths: Tensor) -> Tensor:
        """(n, w), or (n, 2 w) with the largest."""
        mask = mask_of(values, lengths)[:, :, None]
        mean = (values * mask).sum(1) / mask.sum(1).clamp(min=1)
        if not self.largest:
            return mean
        return torch.cat([mean, values.masked_fill(~mask, float("-inf")).amax(1)], dim=1)


class PerFrame(nn.Module):
    """A block for pictures, applied to every frame: (n, frames, ...) -> (n, frames, ...)."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block

    def forward(self, values: Tensor, lengths: Tensor) -> Tensor:
        """See the class."""
        flat = self.block(values.flatten(0, 1), lengths)
        return flat.view(*values.shape[:2], *flat.shape[1:])


class Recurrent(nn.Module):
    """One recurrent layer read in both directions: (n, t, ins) -> (n, t, 2 width).

    Sources: Hochreiter and Schmidhuber, "Long Short-Term Memory", Neural Computation, 1997; Cho et al. (GRU), EMNLP
    2014; Schuster and Paliwal, "Bidirectional Recurrent Neural Networks", 1997.
    """

    def __init__(self, ins: int, width: int, kind: str = "lstm") -> None:
        super().__init__()
        layer = {"lstm": nn.LSTM, "gru": nn.GRU}[kind]
        self.layer = layer(ins, width, batch_first=True, bidirectional=True)

    def forward(self, values: Tensor, lengths: Tensor) -> Tensor:
        """See the class."""
        packed = pack_padded_sequence(values, lengths.cpu(), batch_first=True, enforce_sorted=False)
        return pad_packed_sequence(self.layer(packed)[0], batch_first=True, total_length=values.shape[1])[0]


class Tokens(nn.Module):
    """Token numbers (n, t) -> (n, t, width); number 0 is padding."""

    def __init__(self, count: int, width: int) -> None:
        super().__init__()
        self.table = nn.Embedding(count, width, padding_idx=0)

    def forward(self, values: Tensor, lengths: Tensor) -> Tensor:
        """See the class."""
        return self.table(values)


class Positions(nn.Module):
    """A linear map to `width` and where in the sequence each step stands, as sines (Vaswani et al., 2017)."""

    def __init__(self, ins: int, width: int) -> None:
        super().__init__()
        self.map = nn.Linear(ins, width)

    def forward(self, values: Tensor, lengths: Tensor) -> Tensor:
        """(n, t, ins) -> (n, t, width)."""
        mapped = self.map(values)
        half = (mapped.shape[2] + 1) // 2
        rates = torch.exp(torch.arange(half, device=values.device) * (-math.log(10000.0) / half))
        angles = torch.arange(mapped.shape[1], device=values.device)[:, None] * rates
        return mapped + torch.cat([angles.sin(), angles.cos()], dim=1)[:, : mapped.shape[2]]


class TransformerLayer(nn.Module):
    """Attention among the steps of a sequence and a dense layer, each with a shortcut: (n, t, w) -> (n, t, w).

    Source: Vaswani et al., "Attention Is All You Need", NeurIPS 2017; normalised before each part, or after it, as in
    BERT (Devlin et al., 2019).
    """

    def __init__(self, width: int, heads: int, hidden: int, *, after: bool = False, eps: float = 1e-5) -> None:
        super().__init__()
        self.heads, self.after = heads, after
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))
        self.wide, self.narrow = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.norms = nn.ModuleList([nn.LayerNorm(width, eps=eps) for _ in range(2)])

    def forward(self, values: Tensor, lengths: Tensor) -> Tensor:
        """See the class."""
        mask = mask_of(values, lengths)[:, None, None]
        if self.after:
            values = self.norms[0](values + self._attended(values, mask))
            return self.norms[1](values + self._dense(values))
        values = values + self._attended(self.norms[0](values), mask)
        return values + self._dense(self.norms[1](values))

    def _attended(self, values: Tensor, mask: Tensor) -> Tensor:
        n, steps, width = values.shape
        query, key, value = (
            part(values).view(n, steps, self.heads, width // self.heads).transpose(1, 2)
            for part in (self.query, self.key, self.value)
        )
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        return self.out(mixed.transpose(1, 2).reshape(n, steps, width))

    def _dense(self, values: Tensor) -> Tensor:
        return self.narrow(functional.gelu(self.wide(values)))


def over_time(kind: str, ins: int, width: int, depth: int) -> tuple[list[nn.Module], int]:
    """Layers over the steps of a sequence with their pool, and the numbers that come out.

    Args:
        kind: "lstm", "gru" or "transformer".
        ins: Numbers per step.
        width: Numbers per step and direction; a multiple of 4 for a Transformer.
        depth: How many layers.
    """
    if kind == "transformer":
        layers = [TransformerLayer(width, 4, 2 * width) for _ in range(depth)]
        return [Positions(ins, width), *layers, StepsPool()], 2 * width
    layers = [Recurrent(ins if number == 0 else 2 * width, width, kind) for number in range(depth)]
    return [*layers, StepsPool()], 4 * width
