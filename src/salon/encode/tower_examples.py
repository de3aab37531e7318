"""Values as a tower takes them: one array each, or a few views of each, held in memory within a limit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from salon.arrays import blocks
from salon.encode.tower_blocks import TowerNetwork
from salon.errors import ResourceError
from salon.training.network import to_numpy
from salon.types import IntArray

AT_ONCE = 32
"""Values that go through a network at once where nothing is trained."""

Array = np.ndarray


def collate(examples: Sequence[Array]) -> tuple[Array, IntArray]:
    """(n, longest, ...) examples padded with zeros at the end of their first axis, and their (n,) lengths."""
    lengths = np.array([len(one) for one in examples], np.int64)
    padded = np.zeros((len(examples), int(lengths.max()), *examples[0].shape[1:]), examples[0].dtype)
    for row, one in enumerate(examples):
        padded[row, : len(one)] = one
    return padded, lengths


class Examples:
    """One or several views of every value.

    Args:
        views: Per value its views, the first of which is the value as it is.
    """

    def __init__(self, views: Sequence[Sequence[Array]]) -> None:
        self.views = views

    def __len__(self) -> int:
        return len(self.views)

    def batch(self, rows: IntArray, rng: np.random.Generator | None = None) -> tuple[Array, IntArray]:
        """Some values as a batch: the values as they are, or one view of each at random."""
        drawn = [0 if rng is None else int(rng.integers(len(self.views[row]))) for row in rows]
        return collate([self.views[row][view] for row, view in zip(rows, drawn, strict=True)])


def check_memory(one: Array, count: int, limit_mb: int) -> None:
    """Raises ResourceError where `count` arrays like this one would not fit."""
    needed = one.nbytes * count / 2**20
    if needed > limit_mb:
        raise ResourceError(
            f"{count} arrays of shape {one.shape} take {needed:.0f} MB; memory_mb is {limit_mb}.",
            hint="Lower views, the size of the values, or layers; or raise memory_mb.",
        )


def through(network: TowerNetwork, examples: Examples, stop: int, limit_mb: int, device: torch.device) -> Examples:
    """What the first `stop` blocks give for every view, so that blocks which are never trained run once.

    Raises:
        ResourceError: It would take more than `limit_mb` megabytes.
    """
    if stop == 0:
        return examples
    flat = [view for views in examples.views for view in views]
    found: list[Array] = []
    network.to(device).eval()
    for rows in blocks(len(flat), AT_ONCE):
        values, lengths = collate(flat[rows])
        with torch.no_grad():
            passed = to_numpy(network.run(torch.as_tensor(values).to(device), torch.as_tensor(lengths), 0, stop))
        is_sequence = network.sequential and stop < len(network.blocks)
        found += [row[:length].copy() if is_sequence else row for row, length in zip(passed, lengths, strict=True)]
        if rows.start == 0:
            check_memory(found[0], len(flat), limit_mb)
    parts = iter(found)
    return Examples([[next(parts) for _ in views] for views in examples.views])
