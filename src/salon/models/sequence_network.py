"""The shape of networks that read histories in order: vectors of items, a core that reads them, a loss over the next.

    h_t = core(x_1 .. x_t),   score of item i as the next one = h_t . e_i

x is what a step shows of its item, e what is compared; most models use one vector for both (tied).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from salon.models.deep_media import Media
from salon.models.sequence_data import Sequences
from salon.training.losses import sampled_softmax
from salon.training.network import to_numpy
from salon.training.softmax import softmax_loss
from salon.types import BoolArray, FloatArray, IntArray

READ_AT_ONCE = 512
"""Histories that are read together when questions are answered."""
PLACED_AT_ONCE = 8192
"""Items whose vectors are made together after training."""


@dataclass(frozen=True)
class Catalogue:
    """What a network of items is built from.

    Attributes:
        touched: (items,) bool, the items that somebody liked.
        media: The modalities by name.
    """

    touched: BoolArray
    media: Mapping[str, Media]

    @property
    def n_items(self) -> int:
        """Number of items."""
        return len(self.touched)


class ItemNetwork(nn.Module, ABC):
    """Vectors of items."""

    n_items: int
    width: int
    """Numbers that a step shows of its item."""

    @abstractmethod
    def outputs(self, rows: Tensor) -> Tensor:
        """(k, dim) what is compared, of item rows (k,)."""

    def general(self) -> list[nn.Parameter]:
        """The parameters that belong to no item."""
        return [part for name, part in self.named_parameters() if name != "ids"]

    def inputs(self, rows: Tensor) -> Tensor:
        """(k, width) what a step shows, of item rows (k,)."""
        return self.outputs(rows)

    def steps(self, rows: Tensor) -> Tensor:
        """(n, T, width) of item rows (n, T); 0 where a row is -1. Each item is worked out once."""
        unique, place = torch.unique(rows.clamp(min=0), return_inverse=True)
        return self.inputs(unique)[place] * (rows >= 0).unsqueeze(2)


class IdItems(ItemNetwork):
    """One free vector per item, for steps and for scores."""

    def __init__(self, n_items: int, dim: int) -> None:
        super().__init__()
        self.n_items, self.width = n_items, dim
        self.ids = nn.Parameter(torch.randn(n_items, dim) * 0.02)

    def outputs(self, rows: Tensor) -> Tensor:
        """Rows of the table."""
        return self.ids.index_select(0, rows)


class Core(nn.Module, ABC):
    """Reads steps from left to right: what comes out at a step depends on it and on those before."""

    dim: int

    @abstractmethod
    def forward(self, steps: Tensor, times: Tensor) -> Tensor:
        """(n, T, dim) from steps (n, T, width) and their times (n, T), NaN where unknown."""


class SequenceNetwork(nn.Module):
    """Item vectors, a core, and the softmax loss over the next item.

    Args:
        items: Vectors of items.
        core: What reads them.
        catalogue: (k,) the item rows that can come next.
        log_q: (items,) log of the chance to be drawn as a negative, or None for no correction.
    """

    def __init__(self, items: ItemNetwork, core: Core, catalogue: IntArray, log_q: FloatArray | None) -> None:
        super().__init__()
        self.items, self.core = items, core
        place = np.full(int(catalogue.max(initial=0)) + 1, -1, np.int64)
        place[catalogue] = np.arange(len(catalogue))
        self.register_buffer("catalogue", torch.from_numpy(np.array(catalogue, np.int64)), persistent=False)
        self.register_buffer("place", torch.from_numpy(place), persistent=False)
        self.register_buffer("log_q", None if log_q is None else torch.from_numpy(log_q), persistent=False)

    def forward(self, steps: Tensor, targets: Tensor, times: Tensor, negatives: Tensor) -> Tensor:
        """Mean loss over the steps with a target; all (n, T), negatives (k,), none of them for the whole catalogue."""
        states = self.core(self.items.steps(steps), times)
        there = targets >= 0
        states, wanted = states[there], targets[there]
        if not len(negatives):
            return softmax_loss(states, self.items.outputs(self.catalogue), self.place[wanted])
        unique, place = torch.unique(torch.cat([wanted, negatives]), return_inverse=True)
        vectors = self.items.outputs(unique)
        right = (states * vectors[place[: len(wanted)]]).sum(dim=1)
        others = states @ vectors[place[len(wanted) :]].T
        if self.log_q is not None:
            right, others = right - self.log_q[wanted], others - self.log_q[negatives]
        return sampled_softmax(right, others.masked_fill(wanted[:, None] == negatives[None, :], float("-inf")))

    def tables(self) -> tuple[FloatArray, FloatArray]:
        """(items, width) what steps show and (items, dim) what is compared, of all items; float32."""
        with torch.no_grad():
            parts = torch.arange(self.items.n_items, device=self.catalogue.device).split(PLACED_AT_ONCE)
            shown = np.concatenate([to_numpy(self.items.inputs(part)) for part in parts])
            compared = np.concatenate([to_numpy(self.items.outputs(part)) for part in parts])
        return shown, compared


def read(core: Core, shown: FloatArray, sequences: Sequences, length: int) -> FloatArray:
    """(n, dim) float32: what the core says after the last step of each history, 0 for empty ones.

    Args:
        core: In evaluation mode.
        shown: (items, width) what steps show of their items.
        sequences: n histories.
        length: Most steps that are read, the last ones.
    """
    device = next(core.parameters()).device
    table = torch.from_numpy(shown)
    parts = [np.zeros((0, core.dim), np.float32)]
    for start in range(0, len(sequences), READ_AT_ONCE):
        some = sequences.take(slice(start, start + READ_AT_ONCE))
        counts = np.minimum(np.diff(some.indptr), length)
        answers = np.zeros((len(some), core.dim), np.float32)
        if counts.any():
            filled = np.flatnonzero(counts)
            items, times = (torch.from_numpy(part) for part in some.take(filled).last(length))
            with torch.no_grad():
                states = core(table[items.clamp(min=0)].to(device), times.to(device))
                answers[filled] = to_numpy(states[torch.arange(len(filled)), torch.from_numpy(counts[filled] - 1)])
        parts.append(answers)
    return np.concatenate(parts)
