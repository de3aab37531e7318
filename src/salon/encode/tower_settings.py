"""Settings that all trained towers share; importable without torch."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from salon.errors import SettingError
from salon.training.settings import TrainingSettings


class TowerSettings(TrainingSettings):
    """What a tower learns, from which weights it starts, and how much of it is trained."""

    learn: Literal["softmax", "bpr", "classes", "nothing"] = "softmax"
    """The loss: "softmax" over items or "bpr" from what people did, "classes" from the labels of a field; "nothing"
    keeps the weights that it starts from."""
    label: str = ""
    """The category field whose labels are learned with learn = "classes"; of several labels the first counts."""
    start: str = ""
    """Folder of a saved tower of the same kind to start from, absolute or in the folder of the catalogue. Its network
    and its preprocessing are taken over, whatever is set here."""
    tune: Literal["all", "last", "lora", "head"] = "all"
    """What is trained of pretrained weights: all, the last `layers` and the head, adapters of low rank in the last
    `layers` and the head, or the head alone. What is never trained is computed once per value, not in every epoch."""
    layers: int = Field(2, ge=1)
    """How many of the last layers tune = "last" and "lora" reach."""
    rank: int = Field(4, ge=1)
    """Rank of the adapters of tune = "lora"."""
    alpha: float = Field(8.0, gt=0)
    """Adapters are multiplied by alpha / rank."""
    dim: int = Field(64, ge=2)
    """Numbers per vector."""
    dropout: float = Field(0.1, ge=0, lt=1)
    """Share of what the head reads that is dropped in training."""
    epochs: int = Field(40, ge=1)
    """Most passes over the training data."""
    batch_size: int = Field(32, ge=1)
    """Values per step with learn = "classes", people per step otherwise."""
    items_per_step: int = Field(256, ge=2)
    """Most items whose media go through the network in one step of "softmax" and "bpr"."""
    negatives: int = Field(4, ge=1)
    """Items that each liked one is compared with, learn = "bpr"."""
    weight_decay: float = Field(1e-2, ge=0)
    """Decoupled weight decay (AdamW)."""
    trunk_rate: float = Field(0.2, gt=0, le=1)
    """Pretrained weights are trained with this share of the learning rate; the head and adapters with all of it."""
    clip_norm: float = Field(1.0, ge=0)
    """Largest norm of the gradient; 0 does not clip."""
    holdout: float = Field(0.1, ge=0, le=0.5)
    """Share of the labelled values, or of the people, that early stopping looks at."""
    augment: float = Field(0.0, ge=0, le=4)
    """Strength of the augmentation; 0 is none. Videos: every frame is changed in the same way."""
    views: int = Field(8, ge=1, le=64)
    """Copies kept of every value where `augment` is above 0, the first as it is; each epoch takes one at random."""
    memory_mb: int = Field(2048, ge=1)
    """Most megabytes for decoded values and for what is computed of them once."""
    processes: int = Field(1, ge=1, le=1)
    """A tower is trained by one process."""

    @property
    def pretrained(self) -> bool:
        """Whether it starts from weights that somebody has trained."""
        return bool(self.start)

    def shape(self) -> dict[str, Any]:
        """What decides the network and the preprocessing, as plain values."""
        return {"dim": self.dim}

    def check(self) -> None:
        """Raises SettingError where settings contradict each other."""
        if self.learn == "classes" and not self.label:
            raise SettingError('learn = "classes" needs a label.', hint="Name a category field: label = ...")
        if self.tune != "all" and self.learn != "nothing" and not self.pretrained:
            raise SettingError(
                f"tune = {self.tune!r} would leave most of the network as random as it starts.",
                hint='Start from pretrained weights, or set tune = "all".',
            )
