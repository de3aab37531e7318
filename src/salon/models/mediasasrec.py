"""SASRec with media: the vectors of items come from frozen features, with free vectors beside them or without."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from salon.models.base import Grid
from salon.models.sasrec import SASRec, SASRecSettings
from salon.models.sequence import MediaSequenceRecommender, MediaSequenceSettings
from salon.models.sequence_media import AdaptedItems
from salon.models.sequence_network import Catalogue, ItemNetwork


class MediaSASRecSettings(MediaSequenceSettings, SASRecSettings):
    """Settings of `MediaSASRec`."""

    learning_rate: float = Field(1e-3, gt=0)
    """Step size of Adam."""
    patience: int = Field(10, ge=0)
    """Looks without a better score after which training stops; 0 never stops early."""
    experts: int = Field(4, ge=1, le=64)
    """Whitening experts of each modality's adaptor."""
    join: Literal["mean", "gate"] = "mean"
    """Modalities of an item are averaged, or weighed by a learned softmax over those it has."""


class MediaSASRec(MediaSequenceRecommender, SASRec):
    """SASRec over item vectors made by an adaptor from frozen features, as in UniSRec (Hou et al., KDD 2022).

        e_i = mean over its modalities m of sum_g softmax(f_im U_m)_g (f_im - b_mg) W_mg,  + v_i where ids are wanted

    The same e_i is read at a step and compared. An absent modality is left out of the mean. Differs from the paper:
    several modalities, pre-training on one other shop and by the next item alone (`pretrained`), no noise in the gate,
    scores are products and not cosines. An item nobody liked has no v_i; training hides each v_i now and then, so that
    features learn to stand alone.
    """

    settings: MediaSASRecSettings
    shape = ("dim", "length", "blocks", "heads", "intervals", "experts", "join")
    grid: ClassVar[Grid] = {"ids": (True, False), "dropout": (0.2, 0.5), "learning_rate": (5e-4, 1e-3)}

    def _items(self, catalogue: Catalogue) -> ItemNetwork:
        s = self.settings
        return AdaptedItems(
            catalogue, ids=s.ids, dim=s.dim, hide=s.hide, experts=s.experts, dropout=s.dropout, gate=s.join == "gate"
        )
