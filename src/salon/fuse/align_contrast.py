"""Trained alignment: contrast between all pairs of modalities, consistency, and an adversary."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import combinations
from typing import Any, Self

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from salon.data import Events
from salon.errors import SettingError
from salon.fuse.align import Aligner, AlignSettings, held_out, pair_score
from salon.fuse.collaborative import collaborative_features
from salon.training.batches import shuffled
from salon.training.dropout import Dropout
from salon.training.loop import History, train
from salon.training.losses import info_nce
from salon.training.network import NetworkComponent, seeded, to_numpy
from salon.training.settings import TrainingSettings
from salon.types import BoolArray, FloatArray

PENALTY = 2.0
"""Weight of the squared gradient of the adversary; without it the modalities change sides without end."""
COLDEST = 0.01
"""Smallest temperature that can be learned, as in CLIP."""


class ContrastiveSettings(AlignSettings, TrainingSettings):
    """Settings of `Contrastive`: how it is trained, and the weight of each loss."""

    hidden: int = Field(0, ge=0)
    """Units of one hidden layer in the head of each modality; 0: the heads are linear."""
    temperature: float = Field(0.07, gt=COLDEST)
    """Temperature at the start; it is learned."""
    contrast: float = Field(1.0, ge=0)
    """Weight of the symmetric InfoNCE between every two modalities."""
    events: float = Field(0.0, ge=0)
    """Weight of the same between every modality and the collaborative space; needs events."""
    consistency: float = Field(0.0, ge=0)
    """Weight of the disagreement of similarities among the items of a batch, between and within modalities."""
    keep: float = Field(0.0, ge=0)
    """Weight of the change of similarities within a modality against those of its encoder."""
    adversarial: float = Field(0.0, ge=0)
    """Weight of misleading a network that tells modalities apart; needs no pairs."""
    modality_dropout: float = Field(0.0, ge=0, lt=1)
    """Chance that a modality of an item is hidden in a step."""
    dropout: float = Field(0.5, ge=0, lt=1)
    """Chance that a number of a vector is hidden in a step."""
    share: float = Field(0.1, ge=0, lt=1)
    """Share of the items with two modalities that training is stopped by; 0 runs all epochs."""
    batch_size: int = Field(512, ge=2)
    """Items per step; the others of a step are the negatives."""
    weight_decay: float = Field(1e-2, ge=0)
    """Decoupled weight decay (AdamW)."""

    @model_validator(mode="after")
    def _has_a_loss(self) -> Self:
        if not any((self.contrast, self.events, self.consistency, self.adversarial)):
            raise ValueError("at least one of contrast, events, consistency and adversarial must be above 0")
        return self

    @property
    def needs_pairs(self) -> bool:
        """Whether a loss looks at two modalities of one item."""
        return bool(self.contrast or self.consistency)


class Contrastive(NetworkComponent, Aligner):
    """Heads per modality, trained so that vectors of one item agree and those of others do not.

    The loss is the sum, each with its weight, of
    contrast: symmetric InfoNCE with one learned temperature, the mean over all pairs of modalities in a batch,
    events: the same between each modality and the collaborative vectors of the items,
    consistency: |S - S'|^2 with S the similarities of modality m to l, plus |S_m - S_l|^2 with those within,
    keep: |S_m - X_m|^2 with X_m the similarities of the encoder's vectors,
    adversarial: a network learns to tell the modality of each vector and the heads to mislead it, both in every step;
    it looks at items with one modality too.

    `losses_`, `scores_` and `best_epoch_` (from 1) tell how it went. Training stops when held-out items are no longer
    found better; their share is not learned from. The adversary by itself makes modalities alike as a whole; which
    sentence belongs to which picture it cannot know.

    Source: Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", ICML 2021; the
    consistency of Goel et al., "CyCLIP", NeurIPS 2022; the adversary of Ganin et al., "Domain-Adversarial Training
    of Neural Networks", JMLR 2016, with the gradient penalty of Mescheder et al., ICML 2018.
    """

    settings: ContrastiveSettings
    events_dim_: int
    losses_: list[float]
    scores_: list[float]
    best_epoch_: int

    @property
    def dim(self) -> int:
        """Numbers per vector of the common space."""
        return self.settings.dim

    def _learn(
        self, rows: list[FloatArray], present: BoolArray, events: Events | None, rng: np.random.Generator
    ) -> None:
        if self.settings.needs_pairs:
            self._check_pairs(present)
        share = self.settings.share if self.settings.needs_pairs else 0.0
        learn, judge = held_out(present, share, rng)
        if len(judge) < 10:
            learn, judge = np.arange(len(present)), judge[:0]
        self.events_dim_ = 0
        if self.settings.events:
            target = self._collaborative(events, len(present))
            self.events_dim_ = target.shape[1]
            rows, present = [*rows, target], np.column_stack([present, target.any(axis=1)])
        wanted = 1 if self.settings.adversarial else 2
        learn = learn[present[learn].sum(axis=1) >= wanted]
        self.network_, history = self._trained(rows, present, learn, judge, rng)
        self.losses_, self.scores_, self.best_epoch_ = history.losses, history.scores, history.best_epoch

    def _trained(
        self, rows: list[FloatArray], present: BoolArray, learn: Any, judge: Any, rng: np.random.Generator
    ) -> tuple[nn.Module, History]:
        """The network, trained on some items and stopped by others."""
        with seeded(rng):
            network = self._network()

        def batches(epoch_rng: np.random.Generator) -> Iterator[tuple[FloatArray, ...]]:
            for part in shuffled(len(learn), self.settings.batch_size, epoch_rng, drop_single=True):
                chosen = learn[part]
                yield present[chosen], *(one[chosen] for one in rows)

        def score() -> float:
            mapped = [network.embed(i, rows[i][judge]) for i in range(len(self.names_))]
            return pair_score(mapped, present[judge])

        looked: Callable[[], float] | None = score if len(judge) else None
        return network, train(network, batches, self.settings, rng=rng, score=looked)

    def _collaborative(self, events: Events | None, n_items: int) -> FloatArray:
        if events is None or not (events.weights > 0).any():
            raise SettingError(f"events = {self.settings.events}, but there are none.", hint="Set events to 0.")
        return collaborative_features(events, n_items, self.settings.dim).vectors

    def _network(self) -> AlignNetwork:
        return AlignNetwork(self.dims_, self.events_dim_, self.settings)

    def _mapped(self, name: str, rows: FloatArray) -> FloatArray:
        network: Any = self.network_
        found: FloatArray = network.embed(self._place(name), rows)
        return found


class AlignNetwork(nn.Module):
    """One head per modality, the temperature and the adversary; called on a batch it gives the loss.

    Args:
        dims: Numbers per vector of each modality.
        events_dim: The same of the collaborative space; 0 where it takes no part.
        settings: Sizes and weights of the losses.
    """

    def __init__(self, dims: list[int], events_dim: int, settings: ContrastiveSettings) -> None:
        super().__init__()
        self.settings, self.modalities = settings, len(dims)
        sizes = [*dims, events_dim] if events_dim else dims
        self.heads = nn.ModuleList([_head(size, settings) for size in sizes])
        self.log_temperature = nn.Parameter(torch.tensor(math.log(settings.temperature)))
        self.adversary = nn.Sequential(nn.Linear(settings.dim, 64), nn.ReLU(), nn.Linear(64, len(dims)))

    def embed(self, place: int, rows: FloatArray) -> FloatArray:
        """(n, dim) float32 of unit length for (n, d) rows of one modality, no gradient."""
        with torch.no_grad():
            device = self.log_temperature.device
            given = torch.as_tensor(np.asarray(rows, np.float32), device=device)
            return to_numpy(functional.normalize(self.heads[place](given), dim=1))

    def forward(self, present: Tensor, *rows: Tensor) -> Tensor:
        """The weighted sum of the losses for (n, modalities) bool and (n, d) rows of each."""
        if self.training and self.settings.modality_dropout:
            present = present & (torch.rand(present.shape, device=present.device) >= self.settings.modality_dropout)
        mapped = [functional.normalize(head(part), dim=1) for head, part in zip(self.heads, rows, strict=True)]
        parts = list(zip(mapped, rows, present.T, strict=True))[: self.modalities]
        total = self.log_temperature * 0  # a batch without a pair has a gradient too: none
        if self.settings.contrast:
            total = total + self.settings.contrast * self._contrast(mapped, present, own=True)
        if self.settings.events:
            total = total + self.settings.events * self._contrast(mapped, present, own=False)
        if self.settings.consistency:
            total = total + self.settings.consistency * self._consistency(mapped, present)
        if self.settings.keep:
            kept = [_disagreement(z[there], x[there]) for z, x, there in parts if there.any()]
            total = total + self.settings.keep * sum(kept) / max(1, len(kept))
        if self.settings.adversarial:
            total = total + self._adversarial([z[there] for z, _, there in parts])
        return total

    def _contrast(self, mapped: list[Tensor], present: Tensor, *, own: bool) -> Tensor:
        """Mean InfoNCE over the pairs of modalities, or of each modality with the collaborative space."""
        temperature = self.log_temperature.exp().clamp(min=COLDEST)
        last = self.modalities
        pairs = combinations(range(last), 2) if own else ((place, last) for place in range(last))
        losses = []
        for one, other in pairs:
            both = present[:, one] & present[:, other]
            if both.sum() > 1:
                losses.append(info_nce(mapped[one][both], mapped[other][both], temperature))
        return torch.stack(losses).mean() if losses else temperature * 0

    def _consistency(self, mapped: list[Tensor], present: Tensor) -> Tensor:
        losses = []
        for one, other in combinations(range(self.modalities), 2):
            both = present[:, one] & present[:, other]
            if both.any():
                losses.append(consistency(mapped[one][both], mapped[other][both]))
        return torch.stack(losses).mean() if losses else self.log_temperature * 0

    def _adversarial(self, parts: list[Tensor]) -> Tensor:
        """What the adversary learns by, less what the heads lose by it; every modality counts alike.

        The adversary sees vectors without their history, the heads an adversary that does not move, so that each
        learns its own side in one step. The penalty is on the adversary's gradient at its input.
        """
        fixed = {name: value.detach() for name, value in self.adversary.named_parameters()}
        losses = []
        for place, part in enumerate(parts):
            if not len(part):
                continue
            label = torch.full((len(part),), place, device=part.device)
            seen = part.detach().requires_grad_(self.training)
            told = functional.cross_entropy(self.adversary(seen), label)
            if self.training:
                (slope,) = torch.autograd.grad(told * len(part), seen, create_graph=True)
                told = told + PENALTY * slope.square().sum(dim=1).mean()
            against = functional.cross_entropy(functional_call(self.adversary, fixed, (part,)), label)
            losses.append(told - self.settings.adversarial * against)
        return torch.stack(losses).mean() if losses else self.log_temperature * 0


def consistency(one: Tensor, other: Tensor) -> Tensor:
    """How much similarities between and within two modalities of the same items disagree; (n, d) of unit length."""
    across = one @ other.T
    return (across - across.T).square().mean() + _disagreement(one, other)


def _disagreement(one: Tensor, other: Tensor) -> Tensor:
    """Mean squared difference of the similarities among the rows of one and of the other."""
    return (one @ one.T - other @ other.T).square().mean()


def _head(size: int, settings: ContrastiveSettings) -> nn.Module:
    """Rows that are centred need no offset, and one drawn at random would part the modalities from the start."""
    last = nn.Linear(settings.hidden or size, settings.dim, bias=not settings.centre)
    if not settings.hidden:
        return nn.Sequential(Dropout(settings.dropout), last)
    return nn.Sequential(Dropout(settings.dropout), nn.Linear(size, settings.hidden), nn.GELU(), last)
