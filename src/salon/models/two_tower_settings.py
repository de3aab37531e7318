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
    length: int = Field(50, ge=1, le=2000)
    """Most steps that training shows, a random part unless order is read; answers read all, "gru" the last ones."""
    ids: bool = True
    """A free vector per liked item beside its features; without, items differ by their features alone."""
    hide: float = Field(0.3, ge=0, lt=1)
    """Chance that training hides a modality or a free vector of an item, or the history of somebody with a profile."""
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

    temperature: float = Field(0.15, gt=0)
    """Divides the scores, tau."""
    log_q: bool = True
    """Take the log of an item's chance to be in the batch off its score, so that being liked often is not punished."""
    negatives: int = Field(0, ge=0)
    """Further items per batch, drawn uniformly over those that somebody liked."""


class MMoESettings(TowerSettings):
    """Settings of `MMoE`."""

    tasks: tuple[Literal["click", "like", "rating", "dwell"], ...] = ()
    """What is learned; empty: all that the log has data for."""
    clicks: tuple[str, ...] = ()
    """Kinds of action that are a click; empty: every action that counts for an item."""
    likes: tuple[str, ...] = ("like",)
    """Kinds of action that are a like."""
    dwell: str = "dwell"
    """Further column of the events that holds the seconds spent."""
    weights: dict[str, float] = {}  # noqa: RUF012  pydantic copies it
    """Task to the weight of its loss; 1 where not named."""
    balance: Literal["given", "learned"] = "given"
    """Losses are weighed as given, or by a learned uncertainty of each task on top (Kendall et al., CVPR 2018)."""
    rank: dict[str, float] = {}  # noqa: RUF012
    """Task to what it adds to the score of an item; 1 where not named."""
    experts: int = Field(4, ge=1, le=64)
    """Experts that all tasks share."""
    hidden: int = Field(32, ge=1)
    """Numbers that an expert gives."""
    head: int = Field(16, ge=1)
    """Numbers in the hidden layer of a task."""
    negatives: int = Field(4, ge=1)
    """Items that a person has not touched, drawn uniformly for each pair; they were not clicked."""
    held: float = Field(0.05, ge=0, lt=0.5)
    """Share of the pairs kept apart to report how well each task is learned, and to stop by without validation."""
    validate_every: int = Field(3, ge=1)
    """Epochs between two looks at the validation score."""
