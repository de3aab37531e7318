"""The shape of networks trained on pairs (user, liked item), and the parts that many of them share."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from scipy import sparse
from torch import Tensor, nn
from torch.nn import functional

from salon.models.deep_graph import Graph, media_graph, normalised_links
from salon.models.deep_media import Media
from salon.models.pretrained import Start
from salon.training.losses import bpr, info_nce
from salon.types import BoolArray

Batch = tuple[Tensor, Tensor, Tensor]
"""Rows of users (n,), of items they liked (n,), and of other items (n, k)."""


@dataclass(frozen=True)
class Material:
    """What a network is built from.

    Attributes:
        rows: (users, items) sparse ones, the likes to learn from.
        touched: (items,) bool, the items that somebody liked.
        media: The modalities by name.
        start: Where training begins, or None.
    """

    rows: sparse.csr_array
    touched: BoolArray
    media: Mapping[str, Media]
    start: Start | None = None
    _graphs: dict[int, list[sparse.csr_array]] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def n_users(self) -> int:
        """Number of users."""
        return int(self.rows.shape[0])

    @property
    def n_items(self) -> int:
        """Number of items."""
        return int(self.rows.shape[1])

    def links(self) -> Graph:
        """The normalised graph of likes."""
        return Graph(normalised_links(self.rows))

    def graphs(self, k: int) -> list[sparse.csr_array]:
        """(items, items) sparse per modality: each row averages the k nearest touched items; found once."""
        if k not in self._graphs:
            self._graphs[k] = [
                media_graph(one.raw, one.present, one.present & self.touched, k) for one in self.media.values()
            ]
        return self._graphs[k]


class PairNetwork(nn.Module, ABC):
    """A network that places users and items, and is trained on pairs."""

    others: Literal["own", "shared", "none"] = "own"
    """Which other items a batch brings: (n, k) drawn for each user, (k,) for all, or none."""

    @abstractmethod
    def vectors(self) -> tuple[Tensor, Tensor]:
        """(users, d) and (items, d), whose products are the scores; in evaluation mode nothing in it is random."""

    @abstractmethod
    def forward(self, users: Tensor, items: Tensor, negatives: Tensor) -> Tensor:
        """The loss of (n,) users, (n,) liked items and other items."""

    def begin_epoch(self, rng: np.random.Generator) -> None:
        """Called before every epoch."""


class MediaNetwork(PairNetwork):
    """A network that reads frozen item features."""

    def __init__(self, media: Mapping[str, Media]) -> None:
        super().__init__()
        self.count = len(media)
        for place, one in enumerate(media.values()):
            self.register_buffer(f"features_{place}", torch.from_numpy(one.vectors), persistent=False)
            there = torch.from_numpy(one.present[:, None].astype(np.float32))
            self.register_buffer(f"there_{place}", there, persistent=False)

    def features(self) -> list[Tensor]:
        """(items, width) per modality."""
        return [self.get_buffer(f"features_{place}") for place in range(self.count)]

    def there(self) -> list[Tensor]:
        """(items, 1) per modality: 1 where the item has it, else 0."""
        return [self.get_buffer(f"there_{place}") for place in range(self.count)]


def table(n: int, dim: int) -> nn.Parameter:
    """(n, dim) free vectors, drawn by Xavier's rule (uniform)."""
    bound = math.sqrt(6 / (n + dim))
    return nn.Parameter(torch.empty(n, dim).uniform_(-bound, bound))


def linear_maps(media: Mapping[str, Media], dim: int, *, bias: bool = True) -> nn.ModuleList:
    """One linear map per modality, from its features to `dim` numbers."""
    return nn.ModuleList([nn.Linear(one.vectors.shape[1], dim, bias=bias) for one in media.values()])


def as_column(mask: BoolArray) -> Tensor:
    """(n, 1) float32 of a mask."""
    return torch.from_numpy(mask[:, None].astype(np.float32))


class _Products(torch.autograd.Function):
    """(n, c) products of the rows of two tables that `who` (n,) and `columns` (n, c) name.

    Their gradients are products of a sparse matrix of the incoming ones with the other table: no row is written twice.
    """

    @staticmethod
    def forward(ctx: Any, users: Tensor, items: Tensor, who: Tensor, columns: Tensor) -> Tensor:
        ctx.save_for_backward(users, items, who, columns)
        people = users.index_select(0, who)
        # one column at a time: on a processor less than half of the time of one batched product
        found = [(people * items.index_select(0, rows)).sum(dim=1) for rows in columns.unbind(dim=1)]
        return torch.stack(found, dim=1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None, None]:
        users, items, who, columns = ctx.saved_tensors
        places = torch.stack([who[:, None].expand_as(columns).reshape(-1), columns.reshape(-1)])
        values, shape = gradients[0].reshape(-1), (len(users), len(items))
        there = torch.sparse_coo_tensor(places, values, shape, check_invariants=False)
        back = torch.sparse_coo_tensor(places.flip(0), values, shape[::-1], check_invariants=False)
        return there @ items, back @ users, None, None


def pair_scores(users: Tensor, items: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """(n,) scores of the liked and (n, k) of the others, from all vectors and a batch of rows."""
    who, liked, others = batch
    found: Tensor = _Products.apply(users.float(), items.float(), who, torch.cat([liked[:, None], others], dim=1))
    return found[:, 0], found[:, 1:]


def pair_loss(users: Tensor, items: Tensor, batch: Batch) -> Tensor:
    """Bayesian personalised ranking over a batch of rows."""
    return bpr(*pair_scores(users, items, batch))


def squared(users: Tensor, items: Tensor, batch: Batch) -> Tensor:
    """Half the mean squared length of the rows that a batch names, summed over its three kinds."""
    who, liked, others = batch
    things = torch.cat([liked, others[:, 0]]) if others.dim() == 2 and others.shape[1] else liked
    return (_squared_rows(users, who) + _squared_rows(items, things)) / (2 * len(who))


def _squared_rows(vectors: Tensor, rows: Tensor) -> Tensor:
    """Sum of the squares of the rows named; whichever is shorter is walked, the table or the rows."""
    if len(rows) < len(vectors):
        return vectors.index_select(0, rows).pow(2).sum()
    return torch.bincount(rows, minlength=len(vectors)).to(vectors.dtype) @ vectors.pow(2).sum(dim=1)


def contrast(one: Tensor, other: Tensor, rows: Tensor, temperature: float, most: int) -> Tensor:
    """InfoNCE between two views of the distinct rows among the first `most` that a batch names."""
    chosen = torch.unique(rows[:most])
    return info_nce(one.index_select(0, chosen), other.index_select(0, chosen), temperature, symmetric=False)


def masked_softmax(logits: Tensor, there: Tensor) -> Tensor:
    """Softmax over the columns where `there` is 1; rows without any are 0. Both (n, m)."""
    return functional.softmax(logits.masked_fill(there == 0, -1e9), dim=1) * there


def attentive_mean(views: list[Tensor], there: list[Tensor], query: nn.Module) -> Tensor:
    """(n, d) the mean of views (n, d) each, weighted by a softmax of query(view) (n, 1) over those there (n, 1)."""
    weights = masked_softmax(torch.cat([query(view) for view in views], dim=1), torch.cat(there, dim=1))
    return (torch.stack(views, dim=1) * weights.unsqueeze(2)).sum(dim=1)
