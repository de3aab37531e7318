"""The network of generated ids: a history as sums of code vectors, and the chance of the next item's codes one by one.

    x_t = sum_l E_l[c_l(i_t)],   h_t = core(x_1 .. x_t),   e_l = a_l + sum over j < l of D_j[c_j]
    g_l = sum over j < l of G_j[c_j],   u_l = h_t + e_l + h_t * g_l + W2 gelu(W1 (h_t + e_l) + b1) + b2
    p(c_l = k | h_t, c_1 .. c_(l-1)) ~ exp(u_l . O_l[k]),   over the codes that are legal there

What a code means depends on those before it, since it names a remainder; so they gate the state, number by number.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from salon.models.semantic_books import NO_CODE
from salon.models.semantic_trie import Trie
from salon.models.sequence_network import PLACED_AT_ONCE, Core
from salon.training.dropout import Dropout
from salon.training.network import to_numpy
from salon.training.softmax import softmax_loss
from salon.types import BoolArray, FloatArray, IntArray


class CodeDecoder(nn.Module):
    """The chance of a code, given the state of a history and the codes before it.

    Args:
        sizes: Codes per level.
        dim: Numbers per vector.
        hidden: Numbers between the two maps.
        dropout: Share of those hidden in training.
    """

    def __init__(self, sizes: Sequence[int], dim: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.sizes = list(sizes)
        self.level = nn.Parameter(torch.randn(len(self.sizes), dim) * 0.5)
        self.before = nn.ParameterList([torch.randn(size, dim) * 0.5 for size in self.sizes[:-1]])
        self.gate = nn.ParameterList([torch.randn(size, dim) * 0.3 for size in self.sizes[:-1]])
        self.out = nn.ParameterList([torch.randn(size, dim) * 0.1 for size in self.sizes])
        self.wide, self.narrow = nn.Linear(dim, hidden), nn.Linear(hidden, dim)
        self.dropout = Dropout(dropout)

    def forward(self, level: int, states: Tensor, codes: Tensor) -> Tensor:
        """(n, codes of the level) logits after states (n, dim) and the codes before (n, at least level)."""
        context, gate = self.prefix(level, codes)
        seen = states + context
        mixed = seen + states * gate + self.narrow(self.dropout(functional.gelu(self.wide(seen))))
        return mixed @ self.out[level].T

    def prefix(self, level: int, codes: Tensor) -> tuple[Tensor, Tensor]:
        """(n, dim) e and (n, dim) g of the codes before a level, (n, at least level)."""
        context, gate = self.level[level].expand(len(codes), -1), torch.zeros_like(self.level[:1])
        for place in range(level):
            context = context + self.before[place][codes[:, place]]
            gate = gate + self.gate[place][codes[:, place]]
        return context, gate.expand(len(codes), -1)

    def loss(self, states: Tensor, codes: Tensor, legal: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
        """Mean of -log p over the rows of states (n, dim) and codes (n, levels).

        `legal` holds for each level (n,) rows of a table (rows, codes) bool of what is legal; -1 where one code is.
        """
        total = states.new_zeros(())
        for level, (row, table) in enumerate(legal):
            open_ = row >= 0
            logits = self(level, states[open_], codes[open_]).masked_fill(~table[row[open_]], float("-inf"))
            total = total + functional.cross_entropy(logits, codes[open_, level], reduction="sum")
        return total / len(states)


class DenseItems(nn.Module):
    """A linear map of frozen vectors, stretched so that the numbers of a row have a mean square of about 1 or less."""

    def __init__(self, vectors: FloatArray, dim: int) -> None:
        super().__init__()
        stretched = torch.from_numpy(vectors * np.float32(math.sqrt(vectors.shape[1])))
        self.register_buffer("vectors", stretched, persistent=False)
        self.map = nn.Linear(vectors.shape[1], dim)
        nn.init.normal_(self.map.weight, std=0.1 / math.sqrt(vectors.shape[1]))

    def forward(self, rows: Tensor) -> Tensor:
        """(k, dim) of item rows (k,)."""
        mapped: Tensor = self.map(self.vectors[rows])
        return mapped


class GenerativeNetwork(nn.Module):
    """Code vectors, a core that reads their sums, and a decoder trained on the codes of the next item.

    Args:
        core: Reads histories.
        decoder: Gives the chance of codes.
        codes: (items, levels) codes of every item, -1 where it has none.
        can_come: (items,) bool, the items that can come next: only their codes are legal in training.
        dense: Vectors of the items by which they are compared as well, or None.
    """

    def __init__(
        self, core: Core, decoder: CodeDecoder, codes: IntArray, can_come: BoolArray, dense: DenseItems | None = None
    ) -> None:
        super().__init__()
        self.core, self.decoder, self.dense = core, decoder, dense
        self.shown = nn.ParameterList([torch.randn(size, core.dim) * 0.02 for size in decoder.sizes])
        self.register_buffer("can_come", torch.from_numpy(np.flatnonzero(can_come)), persistent=False)
        self.register_buffer("place", torch.from_numpy(np.cumsum(can_come) - 1), persistent=False)
        self.register_buffer("codes", torch.from_numpy(codes), persistent=False)
        for level, (row, table) in enumerate(legal_codes(codes, can_come, decoder.sizes)):
            self.register_buffer(f"row_{level}", torch.from_numpy(row), persistent=False)
            self.register_buffer(f"table_{level}", torch.from_numpy(table), persistent=False)

    def vectors(self, rows: Tensor) -> Tensor:
        """(.., dim) the sum of the code vectors of item rows (..); 0 where a row is -1 or has no codes."""
        codes = self.codes[rows.clamp(min=0)]
        there = (rows >= 0) & (codes[..., 0] != NO_CODE)
        parts = [table[codes[..., level].clamp(min=0)] for level, table in enumerate(self.shown)]
        return torch.stack(parts).sum(dim=0) * there.unsqueeze(-1)

    def forward(self, steps: Tensor, targets: Tensor, times: Tensor, negatives: Tensor) -> Tensor:
        """Mean loss over the steps (n, T) with a target (n, T); negatives are not read."""
        states = self.core(self.vectors(steps), times)
        there = targets >= 0
        wanted = targets[there]
        levels = range(len(self.decoder.sizes))
        legal = [(self.get_buffer(f"row_{n}")[wanted], self.get_buffer(f"table_{n}")) for n in levels]
        loss = self.decoder.loss(states[there], self.codes[wanted], legal)
        if self.dense is None:
            return loss
        return loss + softmax_loss(states[there], self.dense(self.can_come), self.place[wanted])

    def kept(self) -> list[nn.Parameter]:
        """The parameters that answers need; by what items are compared is kept as vectors."""
        return [*self.core.parameters(), *self.decoder.parameters(), *self.shown]

    def tables(self) -> tuple[FloatArray, FloatArray]:
        """(items, dim) what a step shows of each item, and (items, dim) what it is compared by or (0, dim); float32."""
        with torch.no_grad():
            parts = torch.arange(len(self.codes), device=self.codes.device).split(PLACED_AT_ONCE)
            shown = np.concatenate([to_numpy(self.vectors(part)) for part in parts])
            if self.dense is None:
                return shown, shown[:0]
            return shown, np.concatenate([to_numpy(self.dense(part)) for part in parts])


def legal_codes(codes: IntArray, can_come: BoolArray, sizes: Sequence[int]) -> list[tuple[IntArray, BoolArray]]:
    """Per level (items,) the row of each item that can come in a table (rows, codes) of what may follow next.

    The row is -1 where only one code may follow, which is then certain.
    """
    trie, found = Trie.of(codes, can_come), []
    above = np.zeros(len(trie.items), np.int64)
    for floor, size in zip(trie.floors, sizes, strict=True):
        open_ = np.flatnonzero(np.diff(floor.first) > 1)
        place: IntArray = np.full(len(floor.first) - 1, -1)
        place[open_] = np.arange(len(open_))
        table = np.zeros((len(open_), size), bool)
        inside = place[floor.parent] >= 0
        table[place[floor.parent[inside]], floor.code[inside]] = True
        row: IntArray = np.full(len(codes), -1)
        row[trie.items] = place[above]
        found.append((row, table))
        above = np.repeat(np.arange(len(floor.code)), np.diff(floor.leaf))
    return found
