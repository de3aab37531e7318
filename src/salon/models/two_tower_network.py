"""Two towers: an item's modalities become a vector, and a person's history and profile one of the same space.

    t_im = norm(A_m f_im),   e_i = W mean(attend([t_i1, .., t_iM])) + v_i,   item vector [e_i / |e_i|, b.e_i]
    z_u  = M pool({e_j : j in the history of u}) + P a_u,   u = z_u + perceptron(norm(z_u)),   user vector [u / |u|, 1]

Absent modalities are masked in the attention, v_i is a free vector of an item that somebody liked, and a_u are the
attributes of a person. The last number of an item vector says how much it is liked by anybody; cosines alone are slow
to learn that. Training hides modalities and free vectors now and then, so that what is left stands alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from salon.fuse.transformer import TransformerJoiner
from salon.models.sequence_cores import Recurrent
from salon.models.sequence_media import MediaNetwork
from salon.models.sequence_network import PLACED_AT_ONCE, Catalogue
from salon.training.losses import in_batch_softmax, mixed_log_q
from salon.training.network import to_numpy
from salon.types import FloatArray

PoolName = Literal["mean", "attention", "gru"]


class ContentTower(nn.Module):
    """Modalities as the tokens of a small Transformer; what an item lacks is not looked at.

    Args:
        widths: Numbers per modality.
        dim: Numbers per vector.
        heads: Sets of attention weights; must divide `dim`.
        layers: Layers of attention.
    """

    def __init__(self, widths: Sequence[int], dim: int, heads: int, layers: int) -> None:
        super().__init__()
        self.dim = dim
        self.maps = nn.ModuleList([nn.Linear(width, dim) for width in widths])
        self.join = TransformerJoiner(len(widths), dim, heads, layers, "mean")
        self.out = nn.Linear(dim, dim)
        nn.init.normal_(self.out.weight, std=0.1 / dim**0.5)
        nn.init.zeros_(self.out.bias)

    def forward(self, features: Sequence[Tensor], there: Tensor) -> Tensor:
        """(k, dim) of one (k, width) per modality and there (k, modalities) bool; 0 for items without any."""
        some = there.any(dim=1)
        vectors = self.out.weight.new_zeros(len(there), self.dim)
        if not some.any():
            return vectors
        maps = zip(self.maps, features, strict=True)
        tokens = torch.stack([functional.layer_norm(m(f[some]), (self.dim,)) for m, f in maps], dim=1)
        return vectors.index_copy(0, some.nonzero().squeeze(1), self.out(self.join(tokens, there[some])))


class TowerItems(MediaNetwork):
    """The item tower over a catalogue: content, and a free vector per liked item where ids are wanted."""

    def __init__(
        self, catalogue: Catalogue, *, ids: bool, dim: int, hide: float, heads: int = 4, layers: int = 1
    ) -> None:
        super().__init__(catalogue, ids=ids, dim=dim, hide=hide)
        self.width = dim
        self.content = ContentTower(self.widths, dim, heads, layers) if self.widths else None
        self.bias = nn.Parameter(torch.randn(dim) * 0.05)

    def outputs(self, rows: Tensor) -> Tensor:
        """(k, dim) e."""
        shown, count = self.shown(rows), len(self.widths)
        parts = [] if self.content is None else [self.content(self.features(rows), shown[:, :count] > 0)]
        if self.ids is not None:
            parts.append(shown[:, count:] * self.ids[rows])
        return torch.stack(parts).sum(dim=0)

    def vectors(self, outputs: Tensor) -> Tensor:
        """(k, dim + 1) item vectors of (k, dim) outputs."""
        return torch.cat([functional.normalize(outputs, dim=1), (outputs @ self.bias).unsqueeze(1)], dim=1)

    def table(self) -> FloatArray:
        """(items, dim) float32, the outputs of all items."""
        with torch.no_grad():
            parts = torch.arange(self.n_items, device=self.there.device).split(PLACED_AT_ONCE)
            return np.concatenate([to_numpy(self.outputs(part)) for part in parts])


class MeanPool(nn.Module):
    """The mean of the steps."""

    def forward(self, table: Tensor, steps: Tensor) -> Tensor:
        """(n, dim) from the vectors (k, dim) that steps (n, T) name, -1 for none; 0 where there is no step."""
        there = steps >= 0
        counts = there.sum(dim=1)
        return functional.embedding_bag(steps[there], table, counts.cumsum(0) - counts, mode="mean")


class AttentionPool(nn.Module):
    """sum_j w_j x_j with w = softmax_j( q . tanh(W x_j + b) ) (Yang et al., NAACL 2016).

    What a step weighs against another depends on the two alone, so the order of the steps does not matter.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.inner, self.query = nn.Linear(dim, dim), nn.Linear(dim, 1, bias=False)

    def forward(self, table: Tensor, steps: Tensor) -> Tensor:
        """As `MeanPool.forward`."""
        there = steps >= 0
        counts = there.sum(dim=1)
        flat, owner = steps[there], torch.arange(len(steps), device=steps.device).repeat_interleave(counts)
        logits = self.query(torch.tanh(self.inner(table))).squeeze(1)[flat]
        most = logits.new_zeros(len(steps)).scatter_reduce(0, owner, logits.detach(), "amax", include_self=False)
        powers = torch.exp(logits - most[owner])
        weights = powers / powers.new_zeros(len(steps)).index_add(0, owner, powers)[owner]
        offsets = counts.cumsum(0) - counts
        return functional.embedding_bag(flat, table, offsets, mode="sum", per_sample_weights=weights)


class RecurrentPool(nn.Module):
    """The state of gated recurrent units after the last step."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.core = Recurrent(dim, dim, dim, 1, 0.0)

    def forward(self, table: Tensor, steps: Tensor) -> Tensor:
        """As `MeanPool.forward`."""
        steps = steps.gather(1, (steps < 0).int().argsort(dim=1, stable=True))  # what is there comes first
        counts = (steps >= 0).sum(dim=1)
        pooled = table.new_zeros(len(steps), table.shape[1])
        some = counts.nonzero().squeeze(1)
        if not len(some):
            return pooled
        states = self.core(table[steps[some].clamp(min=0)], table.new_zeros(0))
        return pooled.index_copy(0, some, states[torch.arange(len(some), device=some.device), counts[some] - 1])


def pool_of(name: PoolName, dim: int) -> nn.Module:
    """The named way to pool a history."""
    return MeanPool() if name == "mean" else AttentionPool(dim) if name == "attention" else RecurrentPool(dim)


class UserTower(nn.Module):
    """A history and a profile become a vector.

    Args:
        dim: Numbers per vector.
        attributes: Columns of a profile, 0 for none.
        pool: How the steps of a history are pooled.
    """

    def __init__(self, dim: int, attributes: int, pool: PoolName) -> None:
        super().__init__()
        self.dim = dim
        self.pool, self.read = pool_of(pool, dim), nn.Linear(dim, dim, bias=False)
        nn.init.eye_(self.read.weight)
        self.profile = nn.Parameter(torch.randn(attributes, dim) * 0.05)
        last = nn.Linear(2 * dim, dim)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.dense = nn.Sequential(nn.Linear(dim, 2 * dim), nn.GELU(), last)

    def forward(self, table: Tensor, steps: Tensor, profiles: Tensor) -> Tensor:
        """(n, dim + 1) user vectors.

        Args:
            table: (k, dim) outputs of the item tower.
            steps: (n, T) int rows of `table`, -1 for none.
            profiles: (n, attributes).
        """
        joined = self.read(self.pool(table, steps)) + profiles @ self.profile
        people = joined + self.dense(functional.layer_norm(joined, (self.dim,)))
        return torch.cat([functional.normalize(people, dim=1), torch.ones_like(people[:, :1])], dim=1)


class TowerNetwork(nn.Module):
    """Both towers; what they are trained for is added by others."""

    def __init__(self, items: TowerItems, users: UserTower) -> None:
        super().__init__()
        self.items, self.users = items, users

    def tables(self, steps: Tensor, *rows: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
        """The outputs (k, dim) of all items that steps (n, T) and rows name, and both as rows of these.

        Each item is worked out once, so what is hidden of it is hidden wherever a batch shows it.
        """
        place = torch.full((self.items.n_items + 1,), -1, device=steps.device)  # the last one stands for no step
        for part in (steps, *rows):
            place[part] = 0
        place[-1] = -1
        named = (place == 0).nonzero().squeeze(1)
        place[named] = torch.arange(len(named), device=steps.device)
        return self.items.outputs(named), place[steps], [place[part] for part in rows]


class InBatchNetwork(TowerNetwork):
    """Two towers under a softmax over the items of a batch, less the log of their chance to be in it.

    Args:
        items: The item tower.
        users: The user tower.
        temperature: Divides the products of vectors.
        log_q: (2, items) float32 log chance of an item to be liked in a pair, and to be drawn as a further negative.
        correct: Whether the chances are subtracted.
    """

    def __init__(
        self, items: TowerItems, users: UserTower, *, temperature: float, log_q: FloatArray, correct: bool
    ) -> None:
        super().__init__(items, users)
        self.temperature, self.correct = temperature, correct
        self.register_buffer("log_q", torch.from_numpy(log_q), persistent=False)

    def forward(self, wanted: Tensor, steps: Tensor, profiles: Tensor, negatives: Tensor) -> Tensor:
        """Mean loss of pairs: wanted (n,), steps (n, T), profiles (n, attributes), and further negatives (m,)."""
        candidates, place, counts = torch.unique(
            torch.cat([wanted, negatives]), return_inverse=True, return_counts=True
        )
        table, steps, (own,) = self.tables(steps, candidates)
        people, vectors = self.users(table, steps, profiles) / self.temperature, self.items.vectors(table[own])
        liked, drawn = self.log_q[:, candidates]
        log_q = mixed_log_q(liked, len(wanted), drawn, len(negatives)) if self.correct else None
        return in_batch_softmax(people, vectors, place[: len(wanted)], counts, log_q)
