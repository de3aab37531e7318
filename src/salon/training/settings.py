"""Settings of everything that is trained by gradients; importable without torch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import Field

from salon.config import Settings


class TrainingSettings(Settings):
    """How a network is trained."""

    epochs: int = Field(100, ge=1)
    """Most passes over the training data."""
    batch_size: int = Field(1024, ge=1)
    """Rows per step."""
    learning_rate: float = Field(1e-3, gt=0)
    """Step size of Adam."""
    weight_decay: float = Field(0.0, ge=0)
    """Decoupled weight decay (AdamW)."""
    clip_norm: float = Field(0.0, ge=0)
    """Largest norm of the gradient; 0 does not clip."""
    validate_every: int = Field(1, ge=1)
    """Epochs between two looks at the validation score."""
    patience: int = Field(10, ge=0)
    """Looks without a better score after which training stops; 0 never stops early."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where to train; "auto" takes a GPU where there is one."""
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    """Number format. The mixed ones are for GPUs; with AMX bf16-mixed is faster where all items are scored."""
    processes: int = Field(1, ge=1, le=64)
    """Processes that share every batch and average their gradients."""
    checkpoint: str = ""
    """Folder for the state after every look; a fit that was killed goes on from there. Empty: none is kept."""


S = TypeVar("S", bound=TrainingSettings)


def settings_for_all(settings: S, choose: Callable[[S], int]) -> S:
    """Settings of a run on everything, for as many epochs as a run that keeps some data apart has found best.

    Where nothing could stop the first run it is left out, and the settings stay as they are.

    Args:
        settings: As given. With a checkpoint, each of the two runs has a folder of its own below it.
        choose: The first run, under the settings it is called with; gives its best epoch.
    """
    if not settings.patience or settings.epochs <= settings.validate_every:
        return settings
    first, last = (str(Path(settings.checkpoint) / name) if settings.checkpoint else "" for name in ("choose", "all"))
    epochs = choose(settings.model_copy(update={"checkpoint": first}))
    return settings.model_copy(update={"epochs": epochs, "checkpoint": last})
