"""The state of a training run on disk: arrays and plain values in an artefact folder, replaced at once."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from salon.artifacts import read_state, reading, write_state, writing
from salon.errors import ArtifactError
from salon.training.network import to_numpy

KIND = "checkpoint"

Arrays = dict[str, np.ndarray[Any, Any]]


def write_checkpoint(
    folder: Path, about: dict[str, Any], weights: Arrays, best: Arrays, optimiser: Mapping[str, Any]
) -> None:
    """Writes everything that going on needs; an older checkpoint stays until the new one is whole."""
    moments = {
        f"moment/{number}/{name}": to_numpy(torch.as_tensor(value))
        for number, values in optimiser["state"].items()
        for name, value in values.items()
    }
    arrays = {f"now/{name}": value for name, value in weights.items()}
    arrays |= {f"best/{name}": value for name, value in best.items()}
    with writing(folder, KIND) as new:
        write_state(new, {"about": about, **arrays, **moments})


def read_checkpoint(folder: Path, key: str) -> tuple[dict[str, Any], Arrays, Arrays, dict[int, Any]] | None:
    """(about, weights, best weights, moments of the optimiser), or None where there is none.

    Raises:
        ArtifactError: It is damaged, or of a run with other data, settings or seed.
    """
    if not folder.exists():
        return None
    reading(folder, KIND)
    state = read_state(folder)
    about = state.pop("about")
    if about.pop("key") != key:
        raise ArtifactError(
            f"The checkpoint {str(folder)!r} is of a run with other data, settings or seed.",
            hint="Delete the folder, or name another one.",
        )
    moments: dict[int, Any] = {}
    for name, value in _under(state, "moment/").items():
        number, _, what = name.partition("/")
        moments.setdefault(int(number), {})[what] = torch.from_numpy(value)
    return about, _under(state, "now/"), _under(state, "best/"), moments


def remove_checkpoint(folder: Path) -> None:
    """Removes what a finished run no longer needs."""
    shutil.rmtree(folder, ignore_errors=True)


def _under(state: Mapping[str, Any], prefix: str) -> Arrays:
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
