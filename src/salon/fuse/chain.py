"""Several fusers one after the other, such as an imputer and then a join."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from pydantic import Field, field_validator

from salon.config import Settings
from salon.data import Events
from salon.encode.base import FeatureSet
from salon.errors import SettingError
from salon.fuse.base import Fuser
from salon.fuse.impute import Imputer
from salon.registry import create
from salon.types import BoolArray

Step = str | dict[str, Any]
"""A short name, or a table with "name" and settings."""


def step_of(step: Step) -> Fuser:
    """A new fuser for one step.

    Raises:
        SettingError: A name or setting is unknown.
    """
    table = {"name": step} if isinstance(step, str) else dict(step)
    name = table.pop("name", None)
    if not isinstance(name, str):
        raise SettingError(f"A step of 'chain' is {step!r}.", hint='Write a name, or {name = "...", ...}.')
    fuser: Fuser = create("fuser", name, table)
    return fuser


class ChainSettings(Settings):
    """Settings of `Chain`."""

    steps: list[Step] = Field(["impute-ridge", "none"], min_length=1)
    """Fusers in order: names, or tables with a name and settings."""

    @field_validator("steps")
    @classmethod
    def _known(cls, steps: list[Step]) -> list[Step]:
        """Refuses unknown names and settings before anything is read or learned."""
        for step in steps:
            step_of(step)
        return steps


class Chain(Fuser):
    """Fusers one after the other; each is fitted on what the one before gives."""

    settings: ChainSettings
    steps_: list[Fuser]

    def fit(
        self, features: FeatureSet, events: Events | None = None, *, rng: np.random.Generator | None = None
    ) -> Self:
        """Fits the steps in order."""
        steps = []
        for step in self.settings.steps:
            fuser = step_of(step).fit(features, events, rng=rng)
            features = fuser.transform(features)
            steps.append(fuser)
        self.steps_ = steps
        return self

    def transform(self, features: FeatureSet) -> FeatureSet:
        """What the last step gives."""
        self.check_fitted()
        for step in self.steps_:
            features = step.transform(features)
        return features

    def filled(self, features: FeatureSet) -> dict[str, BoolArray]:
        """By modality (n,) bool, the rows that an imputer among the steps made up; empty where there is none."""
        self.check_fitted()
        found: dict[str, BoolArray] = {}
        for step in self.steps_:
            if isinstance(step, Imputer):
                for name, rows in step.filled(features).items():
                    found[name] = found.get(name, np.zeros(len(rows), bool)) | rows
            features = step.transform(features)
        return found

    def state(self) -> dict[str, Any]:
        """The state of every step, its names behind the number of the step."""
        return {
            f"{number}/{name}": value
            for number, step in enumerate(vars(self).get("steps_", ()))
            for name, value in step.state().items()
        }

    def restore(self, state: Mapping[str, Any]) -> Self:
        """Takes back what `state` gave."""
        steps = [step_of(step) for step in self.settings.steps]
        for number, step in enumerate(steps):
            prefix = f"{number}/"
            step.restore({name.removeprefix(prefix): v for name, v in state.items() if name.startswith(prefix)})
        self.steps_ = steps
        return self
