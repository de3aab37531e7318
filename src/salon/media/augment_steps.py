"""Steps of an augmentation: each happens with a probability and is as strong as a draw says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

T = TypeVar("T")


@dataclass(frozen=True)
class Step(Generic[T]):
    """One way to change a value.

    Attributes:
        probability: How often it happens, 0..1.
        strength: What `change` is given; 0 or less leaves the step out.
        change: (value, rng, strength) -> value. It draws from the rng alone and leaves its argument as it was.
    """

    probability: float
    strength: float
    change: Callable[[T, np.random.Generator, float], T]


def run_steps(value: T, rng: np.random.Generator, steps: Sequence[Step[T]]) -> T:
    """The value after every step that happens, in order; one draw decides for each, whether it can happen or not."""
    for step in steps:
        happens = rng.random() < step.probability
        if happens and step.strength > 0:
            value = step.change(value, rng, step.strength)
    return value
