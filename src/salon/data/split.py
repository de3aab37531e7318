"""Splits: what a model may learn from, and the questions that it is then asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from salon.data.dataset import Dataset
from salon.data.queries import Holdout


@dataclass(frozen=True)
class Split:
    """One way to part a log.

    Attributes:
        train: All that a model may learn from.
        valid: Questions to choose settings by.
        test: Questions to report on.
        about: How the split was made, as plain values for the report.
    """

    train: Dataset
    valid: Holdout
    test: Holdout
    about: Mapping[str, Any] = field(default_factory=dict)
