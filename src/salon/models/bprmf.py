"""BPR-MF: matrix factorisation trained to rank."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from torch import Tensor

from salon.models.base import Grid
from salon.models.deep import DeepRecommender, DeepSettings
from salon.models.deep_network import Material, PairNetwork, pair_loss, squared, table


class BPRMFSettings(DeepSettings):
    """Settings of `BPRMF`."""

    reg: float = Field(2e-2, ge=0)
    """Weight of the squared vectors of a batch."""
    learning_rate: float = Field(1e-2, gt=0)
    """Step size of Adam."""


class BPRMF(DeepRecommender):
    """Matrix factorisation by Bayesian personalised ranking (Rendle et al., UAI 2009).

        score = u.i,  loss = mean of -ln sigma(s_ui - s_uj) + reg (|u|^2 + |i|^2 + |j|^2) / 2

    Differs from the paper in the optimiser (Adam on batches in place of single steps). `bpr` is the same loss by the
    library `implicit`, with item biases.
    """

    settings: BPRMFSettings
    grid: ClassVar[Grid] = {"reg": (1e-2, 2e-2), "learning_rate": (5e-3, 2e-2), "batch_size": (2048, 8192)}

    def _network(self, material: Material) -> PairNetwork:
        return BPRMFNetwork(material, self.settings)


class BPRMFNetwork(PairNetwork):
    """Two tables."""

    def __init__(self, material: Material, settings: BPRMFSettings) -> None:
        super().__init__()
        self.reg = settings.reg
        self.users, self.items = table(material.n_users, settings.dim), table(material.n_items, settings.dim)

    def vectors(self) -> tuple[Tensor, Tensor]:
        """The tables."""
        return self.users, self.items

    def forward(self, users: Tensor, items: Tensor, negatives: Tensor) -> Tensor:
        """BPR and ridge."""
        batch = (users, items, negatives)
        return pair_loss(self.users, self.items, batch) + self.reg * squared(self.users, self.items, batch)
