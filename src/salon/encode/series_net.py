"""Sensor series -> vectors by a small network that has learned to fill in hidden stretches of series."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, Self

import numpy as np
import torch
from pydantic import Field
from torch import nn

from salon.arrays import blocks
from salon.encode.series_grid import SeriesEncoder, SeriesReading
from salon.errors import MediaError
from salon.media.series_grid import windows
from salon.training.batches import shuffled
from salon.training.loop import train
from salon.training.network import NetworkComponent, seeded, to_numpy
from salon.training.settings import TrainingSettings
from salon.types import FloatArray, IntArray

FOLD = 8
"""Rows per column of the innermost layer: three layers halve the time."""
AT_ONCE = 256
"""Windows that go through the network at once when series are encoded."""


class SeriesNetSettings(SeriesReading, TrainingSettings):
    """Settings of `SeriesNet`."""

    maps: int = Field(16, ge=1, le=512)
    """Maps of the innermost layer; a vector has two numbers for each."""
    width: int = Field(32, ge=4, le=512)
    """Maps of the first layer; the next two have twice as many."""
    hidden: float = Field(0.3, gt=0, lt=1)
    """Share of each training window that is hidden and has to be filled in, in stretches of an eighth of the window."""
    holdout: float = Field(0.1, gt=0, le=0.5)
    """Share of the series whose windows early stopping looks at."""
    seed: int = Field(0, ge=0)
    """Of initial weights, of what is hidden and of the order."""
    window: int = Field(128, ge=16, le=16384)
    """Rows of the grid in one window; a shorter series is filled up with gaps."""
    clip: float = Field(5.0, gt=0)
    """Scaled values beyond this many standard deviations are pulled in."""
    most_windows: int = Field(20_000, ge=1)
    """Most windows that are trained on, drawn at random."""
    epochs: int = Field(60, ge=1)
    """Most passes over the training data."""
    batch_size: int = Field(64, ge=1)
    """Windows per step."""


class FillIn(nn.Module):
    """Convolutions that halve the time three times and look around, a narrow innermost layer, and the way back.

    Args:
        channels: Of the series.
        width: Maps of the first layer.
        maps: Maps of the innermost layer.
    """

    def __init__(self, channels: int, width: int, maps: int) -> None:
        super().__init__()
        wide = 2 * width
        layers: list[nn.Module] = []
        for before, after in pairwise([2 * channels, width, wide, wide]):
            layers += [nn.Conv1d(before, after, 5, stride=2, padding=2), nn.GELU()]
        self.down = nn.Sequential(*layers)
        around = [nn.Conv1d(wide, wide, 5, padding=2 * reach, dilation=reach) for reach in (1, 2)]
        self.around = nn.ModuleList(around)
        self.inner = nn.Conv1d(wide, maps, 1)
        layers = [nn.Conv1d(maps, wide, 1), nn.GELU()]
        for before, after in pairwise([wide, wide, width, width]):
            layers += [nn.ConvTranspose1d(before, after, 4, stride=2, padding=1), nn.GELU()]
        self.up = nn.Sequential(*layers, nn.Conv1d(width, channels, 5, padding=2))

    def encode(self, values: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
        """(n, maps, rows / 8) of windows (n, channels, rows); what `seen` says is 0 counts for nothing."""
        found = self.down(torch.cat([values * seen, seen], dim=1))
        for layer in self.around:
            found = found + nn.functional.gelu(layer(found))
        return self.inner(found)

    def forward(self, values: torch.Tensor, seen: torch.Tensor, asked: torch.Tensor) -> torch.Tensor:
        """Mean squared error of what is filled in where `asked` is 1."""
        filled = self.up(self.encode(values, seen))[:, :, : values.shape[2]]
        return (((filled - values) ** 2) * asked).sum() / asked.sum().clamp(min=1)


class SeriesNet(NetworkComponent, SeriesEncoder):
    """A small convolutional network, trained on the catalogue's own windows to fill in hidden stretches of them.

    The vector of a series is the mean and the standard deviation over time of each map of the innermost layer, so
    that it does not matter when things happen. Each channel is standardised by the catalogue; gaps, hidden stretches
    and channels that an item lacks are told to the network by a mask. The training follows Zerveas et al., "A
    Transformer-based Framework for Multivariate Time Series Representation Learning", KDD 2021, with convolutions in
    place of the Transformer.
    """

    settings: SeriesNetSettings
    network_: FillIn
    mean_: FloatArray
    std_: FloatArray
    losses_: list[float]

    @property
    def dim(self) -> int:
        """Twice `maps`."""
        return 2 * self.settings.maps

    @property
    def version(self) -> str:
        """Version of the network and of the preprocessing."""
        return "fill-in-1"

    def _network(self) -> FillIn:
        return FillIn(len(self.channels_), self.settings.width, self.settings.maps)

    def fit(self, values: Sequence[Any]) -> Self:
        """Learns channels, step and scale, and trains the network; series that cannot be read are passed over.

        Raises:
            SettingError: The device is not there.
        """
        rng = np.random.default_rng(self.settings.seed)
        channels, step = self.learned_grid(values)
        grids = list(self._grids(values, channels, step))
        rows = np.concatenate(grids) if grids else np.full((1, len(channels)), np.nan)
        here = np.isfinite(rows)
        count = np.maximum(here.sum(axis=0), 1)
        mean = np.where(here, rows, 0).sum(axis=0) / count
        std = np.sqrt(np.where(here, (rows - mean) ** 2, 0).sum(axis=0) / count)
        std = np.where(std > 1e-9 * (1 + np.abs(mean)), std, 1.0)
        with seeded(rng):
            network = FillIn(len(channels), self.settings.width, self.settings.maps)
        losses = self._train(network, [(grid - mean) / std for grid in grids], rng) if grids else []
        self.channels_, self.step_, self.mean_, self.std_ = channels, step, mean, std
        self.losses_, self.network_ = losses, network.eval()
        return self

    def _grids(self, values: Sequence[Any], channels: Sequence[str], step: float) -> Iterator[FloatArray]:
        for series in self.readable(values):
            try:
                yield self.on_grid(series, channels, step)
            except MediaError:
                continue

    def _train(self, network: FillIn, grids: Sequence[FloatArray], rng: np.random.Generator) -> list[float]:
        """Trains with part of the series held out for early stopping; the loss of every epoch."""
        parts = [self._parts(grid) for grid in grids]
        owner = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
        held = set(rng.permutation(len(parts))[: round(self.settings.holdout * len(parts))].tolist())
        table = np.concatenate(parts)
        is_held = np.isin(owner, list(held))
        learn = rng.permutation(np.flatnonzero(~is_held))[: self.settings.most_windows]
        look = rng.permutation(np.flatnonzero(is_held))[: max(64, self.settings.most_windows // 10)]
        kept = [torch.from_numpy(one) for one in self._hidden(table[look], rng)] if len(look) else []

        def batches(order: np.random.Generator) -> Iterator[tuple[FloatArray, ...]]:
            for rows in shuffled(len(learn), self.settings.batch_size, order):
                yield self._hidden(table[learn[rows]], order)

        score = (lambda: -float(network.cpu()(*kept))) if kept else None
        return train(network, batches, self.settings, rng=rng, score=score).losses

    def _parts(self, scaled: FloatArray) -> FloatArray:
        """(windows, channels, rows) float32, NaN in gaps; windows in which nothing is there are left out."""
        clipped = scaled.clip(-self.settings.clip, self.settings.clip)
        parts = np.moveaxis(windows(clipped, self.settings.window, self.settings.hop), 1, 2).astype(np.float32)
        return parts[np.isfinite(parts).any(axis=(1, 2))]

    def _hidden(self, parts: FloatArray, rng: np.random.Generator) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Values, what the network is shown, and what it has to fill in, each (n, channels, rows) float32."""
        rows = parts.shape[2]
        stretch = max(1, rows // FOLD)
        count = -(-rows // stretch)
        hide = rng.random((*parts.shape[:2], count)) < self.settings.hidden
        hide = np.repeat(hide, stretch, axis=2)[:, :, :rows]
        here = np.isfinite(parts)
        values = np.where(here, parts, 0).astype(np.float32)
        return values, (here & ~hide).astype(np.float32), (here & hide).astype(np.float32)

    def prepare(self, value: Any) -> FloatArray:
        """(windows, channels, rows) float32 of a series, NaN in gaps; MediaError when it cannot be used."""
        self.check_fitted()
        return self._parts((self.on_grid(self.read(value), self.channels_, self.step_) - self.mean_) / self.std_)

    def embed(self, batch: Sequence[FloatArray]) -> FloatArray:
        """(n, dim) float32."""
        self.check_fitted()
        if not batch:
            return np.zeros((0, self.dim), np.float32)
        owner: IntArray = np.repeat(np.arange(len(batch)), [len(parts) for parts in batch])
        table = np.concatenate(batch)
        sums = np.zeros((len(batch), 1 + self.dim))
        for rows in blocks(len(table), AT_ONCE):
            np.add.at(sums, owner[rows], self._sums(table[rows]))
        count, first, second = sums[:, :1], sums[:, 1 : 1 + self.settings.maps], sums[:, 1 + self.settings.maps :]
        mean = first / count
        spread = np.sqrt(np.maximum(second / count - mean**2, 0))
        return np.concatenate([mean, spread], axis=1).astype(np.float32)

    def _sums(self, parts: FloatArray) -> FloatArray:
        """(windows, 1 + 2 maps): columns in which something is there, and sums of the maps and their squares there."""
        here = np.isfinite(parts)
        values, seen = np.where(here, parts, 0).astype(np.float32), here.astype(np.float32)
        with torch.inference_mode():
            found = to_numpy(self.network_.encode(torch.from_numpy(values), torch.from_numpy(seen))).astype(np.float64)
        filling = np.zeros((len(parts), found.shape[2] * FOLD - parts.shape[2]), bool)
        some = np.asarray(here.any(axis=1))
        filled = np.concatenate([some, filling], axis=1).reshape(len(parts), -1, FOLD).any(axis=2)
        found = np.where(np.expand_dims(filled, 1), found, 0)
        return np.concatenate([filled.sum(axis=1, keepdims=True), found.sum(axis=2), (found**2).sum(axis=2)], axis=1)
