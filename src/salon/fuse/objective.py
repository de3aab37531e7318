"""What a trained fuser learns from: the actions of people, or the vectors themselves where there are none.

With actions, a batch is some people with a sample of their history each. Every item of a sample is asked for in turn:
the mean of the other items' fused vectors has to find it among all items of the batch,

    L = -log softmax_j( p_u.z_j / temperature - popularity * log q_j )[target],    p_u = unit(sum of z over the others)

with q the share of an item in the log. Without actions the fused vector has to give back the vectors of all modalities
that the item has, those hidden by modality dropout included. Three further terms are added, each with its weight:
reconstruction (as just said), balance (the same loss with all modalities but one hidden) and, for separate encoders,
agreement (contrast of the towers' outputs).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from scipy import sparse
from torch import Tensor, nn
from torch.nn import functional

from salon.fuse.deep_settings import DeepSettings
from salon.fuse.network import FusionNetwork
from salon.training.batches import shuffled
from salon.training.losses import info_nce
from salon.types import BoolArray, FloatArray, IntArray

STEPS = (20, 60)
"""Fewest and most steps of an epoch: small logs are gone through more than once, of large ones a part is drawn."""


class Objective(nn.Module):
    """The loss of a batch of item rows; holds the inputs of all items.

    Args:
        network: What is trained.
        inputs: One (items, size) float32 per modality.
        present: (items, modalities) bool.
        log_q: (items,) float32 log share of each item in the log, or None where there are no actions.
        shares: (modalities,) how often each modality is the one that is not hidden in the balance term.
        settings: Weights of the terms.
    """

    def __init__(
        self,
        network: FusionNetwork,
        inputs: Sequence[FloatArray],
        present: BoolArray,
        log_q: FloatArray | None,
        shares: FloatArray,
        settings: DeepSettings,
    ) -> None:
        super().__init__()
        self.network, self.settings, self.from_actions = network, settings, log_q is not None
        log_q = np.zeros(len(present), np.float32) if log_q is None else log_q
        kept = {"present": present, "log_q": log_q, "shares": np.asarray(shares, np.float32)}
        kept |= {f"input{place}": part for place, part in enumerate(inputs)}
        for name, value in kept.items():
            self.register_buffer(name, torch.from_numpy(np.ascontiguousarray(value)), persistent=False)

    def forward(self, ids: Tensor) -> Tensor:
        """The loss of samples of histories (people, actions), padded with -1, or of items (n, 1)."""
        valid = ids >= 0
        items, flat = torch.unique(ids[valid], return_inverse=True)
        place = torch.zeros_like(ids).masked_scatter(valid, flat)  # where in `items` each action is
        inputs = [self.get_buffer(f"input{number}")[items] for number in range(len(self.network.towers))]
        there = self.present[items]
        tokens = self.network.tokens(inputs)
        fused = self.network.fuse(tokens, self._with_dropout(there))
        loss = self._signal(fused, inputs, items, place, valid)
        if self.from_actions and self.settings.reconstruction:
            loss = loss + self.settings.reconstruction * self._rebuilt(fused, inputs, items)
        if self.settings.balance and there.shape[1] > 1:
            only = self._only_one(there)
            alone = self.network.fuse(tokens, only)
            loss = loss + self.settings.balance * self._signal(
                alone, inputs, items, place, valid & only.any(dim=1)[place]
            )
        if self.settings.encoders == "separate" and self.settings.agreement:
            loss = loss + self.settings.agreement * self._agreement(tokens, there)
        return loss

    def _signal(self, fused: Tensor, inputs: Sequence[Tensor], items: Tensor, place: Tensor, valid: Tensor) -> Tensor:
        if self.from_actions:
            return self._found(fused, items, place, valid)
        return self._rebuilt(fused, inputs, items)

    def _found(self, fused: Tensor, items: Tensor, place: Tensor, valid: Tensor) -> Tensor:
        """Cross entropy of every action given the others of the same sample."""
        rows = fused[place] * valid.unsqueeze(2)  # (people, actions, dim)
        others = rows.sum(dim=1, keepdim=True) - rows
        asked = valid & (valid.sum(dim=1, keepdim=True) > 1)
        if not asked.any():
            return fused.sum() * 0.0
        owner, target = asked.nonzero()[:, 0], place[asked]
        scores = functional.normalize(others[asked], dim=1) @ fused.T / self.settings.temperature
        scores = scores - self.settings.popularity * self.log_q[items]
        own = torch.zeros(len(place), len(items), dtype=torch.bool, device=place.device)
        own[valid.nonzero()[:, 0], place[valid]] = True
        out = own[owner] | ~(fused != 0).any(dim=1)
        out[torch.arange(len(target), device=out.device), target] = False
        return functional.cross_entropy(scores.masked_fill(out, float("-inf")), target)

    def _rebuilt(self, fused: Tensor, inputs: Sequence[Tensor], items: Tensor) -> Tensor:
        """1 - cosine between what is decoded and what an item has, mean over what is there."""
        seen = (fused != 0).any(dim=1, keepdim=True) & self.present[items]
        errors = [
            1 - functional.cosine_similarity(made, part, dim=1)
            for made, part in zip(self.network.decode(fused), inputs, strict=True)
        ]
        return (torch.stack(errors, dim=1) * seen).sum() / seen.sum().clamp(min=1)

    def _with_dropout(self, there: Tensor) -> Tensor:
        """The mask with modalities hidden at random; an item that would lose all keeps what it has."""
        kept = there & (torch.rand(there.shape, device=there.device) >= self.settings.modality_dropout)
        return torch.where(kept.any(dim=1, keepdim=True), kept, there)

    def _only_one(self, there: Tensor) -> Tensor:
        """The mask with one modality left, the same for all items, drawn by the shares."""
        column = torch.multinomial(self.shares, 1)
        only = torch.zeros_like(there)
        only[:, column] = there[:, column]
        return only

    def _agreement(self, tokens: Tensor, there: Tensor) -> Tensor:
        """Contrast of the towers' outputs over the items that have both, mean over the pairs of modalities."""
        losses = [tokens.sum() * 0.0]
        for one in range(there.shape[1]):
            for other in range(one + 1, there.shape[1]):
                both = there[:, one] & there[:, other]
                if int(both.sum()) > 1:
                    losses.append(info_nce(tokens[both, one], tokens[both, other], self.settings.temperature))
        return torch.stack(losses).sum() / max(1, len(losses) - 1)


def history_batches(
    likes: sparse.csr_array, size: int, history: int, rng: np.random.Generator
) -> Iterator[tuple[IntArray]]:
    """One epoch of samples of histories: (people, history) item rows padded with -1.

    Args:
        likes: (users, items) sparse; users with fewer than two are left out.
        size: People per batch.
        history: Most actions of a person in a batch, drawn anew in every epoch.
        rng: Who, and which actions.
    """
    able = np.flatnonzero(np.diff(likes.indptr) > 1)
    steps = 0
    while steps < STEPS[0] and len(able):
        for part in shuffled(len(able), size, rng):
            if steps == STEPS[1]:
                return
            yield (_sampled(sparse.csr_array(likes[able[part]]), history, rng),)
            steps += 1


def _sampled(rows: sparse.csr_array, history: int, rng: np.random.Generator) -> IntArray:
    """(people, history) int64, some columns of every row at random."""
    owner = np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr))
    order = np.lexsort((rng.random(len(owner)), owner))
    rank = np.arange(len(owner)) - np.repeat(rows.indptr[:-1], np.diff(rows.indptr))
    found = np.full((rows.shape[0], history), -1, np.int64)
    kept = rank < history
    found[owner[kept], rank[kept]] = rows.indices[order][kept]
    return found


def item_batches(able: BoolArray, size: int, rng: np.random.Generator) -> Iterator[tuple[IntArray]]:
    """One epoch of items with media, (n, 1) item rows."""
    rows = np.flatnonzero(able)
    for part in shuffled(len(rows), size, rng):
        yield (rows[part][:, None],)
