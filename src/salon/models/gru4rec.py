"""GRU4Rec: a recurrent network over the items of a history."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from salon.models.base import Grid
from salon.models.sequence import SequenceRecommender, SequenceSettings
from salon.models.sequence_cores import Recurrent
from salon.models.sequence_network import Catalogue, Core, IdItems, ItemNetwork


class RecurrentSettings(SequenceSettings):
    """Settings of `GRU4Rec`."""

    hidden: int = Field(128, ge=1)
    """Numbers in the state of the recurrent network."""
    layers: int = Field(1, ge=1, le=8)
    """Recurrent layers."""
    learning_rate: float = Field(3e-3, gt=0)
    """Step size of Adam."""
    patience: int = Field(5, ge=0)
    """Looks without a better score after which training stops; 0 never stops early."""


class GRU4Rec(SequenceRecommender):
    """Session-based recommendation with recurrent networks (Hidasi et al., ICLR 2016; Hidasi, Karatzoglou, CIKM 2018).

        h_t = GRU(norm(e_it), h_{t-1}),  score of item i as the next one = (W h_t + b) . e_i

    One table serves steps and scores, as in the later "constrained embedding". Differs from the papers: softmax over
    the catalogue or over shared samples in place of TOP1 and BPR-max, windows of a history in place of
    session-parallel batches, Adam, a norm in front. No bias of items.
    """

    settings: RecurrentSettings
    grid: ClassVar[Grid] = {"dropout": (0.1, 0.3, 0.5), "learning_rate": (1e-3, 3e-3), "hidden": (64, 128)}

    def _core(self, width: int) -> Core:
        s = self.settings
        return Recurrent(width, s.hidden, s.dim, s.layers, s.dropout)

    def _items(self, catalogue: Catalogue) -> ItemNetwork:
        return IdItems(catalogue.n_items, self.settings.dim)
