"""SASRec: a causal Transformer over the items of a history, with the intervals between actions if they are wanted."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from salon.models.base import Grid
from salon.models.sequence import SequenceRecommender, SequenceSettings
from salon.models.sequence_cores import CausalTransformer
from salon.models.sequence_network import Catalogue, Core, IdItems, ItemNetwork


class SASRecSettings(SequenceSettings):
    """Settings of `SASRec`."""

    blocks: int = Field(2, ge=1, le=24)
    """Layers of attention."""
    heads: int = Field(2, ge=1)
    """Sets of attention weights; must divide `dim`."""
    learning_rate: float = Field(3e-3, gt=0)
    """Step size of Adam."""
    patience: int = Field(5, ge=0)
    """Looks without a better score after which training stops; 0 never stops early."""
    intervals: bool = False
    """Let attention depend on the time between actions; the events must have timestamps."""


class SASRec(SequenceRecommender):
    """Self-attentive sequential recommendation (Kang, McAuley, ICDM 2018), trained with a softmax.

        h_t = Transformer(norm(e_i1 + p_1), .., norm(e_it + p_t)),  score of item i as the next one = h_t . e_i

    Differs from the paper: softmax over the catalogue, or over shared samples with the log-q correction, in place of
    one negative and binary cross entropy; GELU, and perceptrons four times as wide as the vectors; positions counted
    from the first step read. With `intervals`, attention as in TiSASRec (Li et al., WSDM 2020), the time between two
    steps put into half octaves of seconds and not scaled per person. A history without times is read with intervals
    unknown; the time since the last action is not read.
    """

    settings: SASRecSettings
    grid: ClassVar[Grid] = {"dropout": (0.2, 0.5), "learning_rate": (1e-3, 3e-3), "blocks": (1, 2)}

    def _core(self, width: int) -> Core:
        s = self.settings
        return CausalTransformer(s.dim, s.length, s.blocks, s.heads, s.dropout, intervals=s.intervals)

    def _items(self, catalogue: Catalogue) -> ItemNetwork:
        return IdItems(catalogue.n_items, self.settings.dim)

    @property
    def _reads_times(self) -> bool:
        return self.settings.intervals

    def _floats_of_a_step(self, length: int) -> float:
        s = self.settings
        return super()._floats_of_a_step(length) + 6.0 * s.blocks * s.heads * length * (1 + s.intervals)
