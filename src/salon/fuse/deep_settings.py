"""Settings of every trained fuser; importable without torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from salon.fuse.layout import CentreSettings
from salon.training.settings import TrainingSettings

Share = Annotated[float, Field(ge=0)]


class DeepSettings(TrainingSettings, CentreSettings):
    """What all trained fusers share."""

    dim: int = Field(128, ge=1)
    """Numbers per fused vector."""
    reduce: int = Field(256, ge=0)
    """Principal axes of each modality that the network sees; 0 shows it the vectors as they are, which takes longer."""
    encoders: Literal["joint", "separate"] = "joint"
    """One linear map per modality and one shared layer after the join, or an encoder of two layers per modality."""
    agreement: float = Field(0.1, ge=0)
    """Weight of the contrast between the outputs of separate encoders for the same item."""
    modality_dropout: float = Field(0.2, ge=0, lt=1)
    """Share of the modalities hidden in training, so that one fuser serves items that lack some."""
    dropout: float = Field(0.1, ge=0, lt=1)
    """Share of the numbers of each input set to 0 in training."""
    balance: float = Field(0.2, ge=0)
    """Weight of the loss with all modalities but one hidden, so that a strong one does not starve the others."""
    balance_weights: dict[str, Share] = {}  # noqa: RUF012  pydantic copies it
    """How often each modality is the one that is not hidden; those not named have 1."""
    reconstruction: float = Field(0.1, ge=0)
    """Weight of giving back the vectors of all modalities, beside the actions; without actions it is all there is."""
    temperature: float = Field(0.1, gt=0)
    """Divides cosines in the softmax over items."""
    popularity: float = Field(0.0, ge=0, le=1)
    """How far popular items, which are in more batches, are corrected for: 1 learns popularity too, 0 taste alone."""
    learning_rate: float = Field(3e-4, gt=0)
    """Step size of Adam."""
    history: int = Field(16, ge=2)
    """Most actions of a person in one batch."""
    epochs: int = Field(40, ge=1)
    """Most passes over the people; of more than 3840 people a part is drawn anew each time."""
    batch_size: int = Field(64, ge=1)
    """People per step; without actions, items per step."""
    patience: int = Field(5, ge=0)
    """Looks at the held-out actions without a better score after which training stops; 0 never stops early."""
