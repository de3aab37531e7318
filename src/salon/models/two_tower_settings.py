"""Settings of models with two towers; importable without torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from salon.training.settings import TrainingSettings


class TowerSettings(TrainingSettings):
    """Settings of both towers and of how they are trained."""

    dim: int = Field(64, ge=2)
    """Numbers per vector."""
    pool: Literal["mean", "attention", "gru"] = "mean"
    """How a history becomes one vector: its mean, a weighted mean, or read step by step, which costs most."""
    length: int = Field(100, ge=1, le=2000)
    """Most steps of a history: shown in training, a random part unless order is read; read by "gru", the last ones."""
    ids: bool = True
    """A free vector per liked item beside its features; without, items differ by their features alone."""
    hide: float = Field(0.2, ge=0, lt=1)
    """Chance that training hides a modality or the free vector of an item, or the history of somebody with a profile."""
    dropout: float = Field(0.2, ge=0, lt=1)
    """Share of the steps of a history that training hides."""
    heads: int = Field(4, ge=1)
    """Sets of attention weights between modalities; must divide `dim`."""
    layers: int = Field(1, ge=1, le=8)
    """Layers of attention between modalities."""
    width: int = Field(256, ge=1)
    """Leading directions (PCA) kept of wider features; they are not trained."""
    epochs: int = Field(200, ge=1)
    """Most passes over the pairs."""
    batch_size: int = Field(2048, ge=1)
    """Pairs per step."""
    learning_rate: float = Field(3e-3, gt=0)
    """Step size of Adam."""
    validate_every: int = Field(2, ge=1)
    """Epochs between two looks at the validation score."""
    patience: int = Field(5, ge=0)
    """Looks without a better score after which training stops; 0 never stops early."""
    memory_gb: float = Field(8.0, gt=0)
    """Memory that a fit may need by its estimate, in GB; more is refused before it starts."""


class TwoTowerSettings(TowerSettings):
    """Settings of `TwoTower`."""

    temperature: float = Field(0.1, gt=0)
    """Divides the cosines, tau."""
    log_q: bool = True
    """Take the log of an item's chance to be in the batch off its score, so that being liked often is not punished."""
    negatives: int = Field(0, ge=0)
    """Further items per batch, drawn uniformly over those that somebody liked."""
