"""What encoders of sensor series share: reading, the channels and the time step of a catalogue, windows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from salon.config import Settings
from salon.encode.base import Encoder
from salon.errors import MediaError
from salon.media.series import Series, read_series
from salon.media.series_grid import resample, usual_step
from salon.types import FloatArray, Modality


class SeriesReading(Settings):
    """How series are read and laid on a regular grid."""

    time: str = ""
    """Column with the times; empty: one named time, timestamp, datetime, date, seconds or t, else evenly spaced."""
    channels: tuple[str, ...] = ()
    """Columns to look at; empty: all columns of numbers, the most frequent ones of the catalogue."""
    most_channels: int = Field(16, ge=1, le=64)
    """Channels that are kept where none are named."""
    step: float = Field(0.0, ge=0)
    """Time between two rows of the grid, in seconds (or rows where series have no times); 0: the usual one of the
    catalogue, learned at fit."""
    bridge: float = Field(3.0, ge=0)
    """Longest gap that is filled by a straight line, in steps; longer ones stay gaps."""
    window: int = Field(128, ge=8, le=65536)
    """Rows of the grid in one window; a shorter series is one window."""
    overlap: float = Field(0.5, ge=0, lt=1)
    """Share of a window that the next one repeats."""
    fit_items: int = Field(2000, ge=1)
    """Most series that are read to learn channels, step and scale, spread evenly over the catalogue."""

    @property
    def hop(self) -> int:
        """Rows from one window to the next."""
        return max(1, round(self.window * (1 - self.overlap)))


class SeriesEncoder(Encoder):
    """Base of the encoders of series: what the catalogue's series have in common is learned at fit.

    Attributes:
        channels_: Names of the channels, in order.
        step_: Time from one row of the grid to the next.
    """

    modality = Modality.SERIES
    settings: SeriesReading
    needs_fit = True
    channels_: list[str]
    step_: float

    def read(self, value: Any) -> Series:
        """The series at a path, or written in place as a JSON list; MediaError when it cannot be used."""
        source = value if isinstance(value, str) and value.lstrip().startswith("[") else Path(value)
        return read_series(source, time=self.settings.time, channels=self.settings.channels)

    def readable(self, values: Sequence[Any]) -> Iterator[Series]:
        """The series that can be read among at most `fit_items` values, spread evenly."""
        every = -(-len(values) // self.settings.fit_items) or 1
        for value in values[::every]:
            try:
                yield self.read(value)
            except MediaError:
                continue  # masked and reported when the catalogue is encoded

    def learned_grid(self, values: Sequence[Any]) -> tuple[list[str], float]:
        """The channels and the step of a catalogue; one nameless channel where no series can be read."""
        counts: Counter[str] = Counter()
        steps = []
        for series in self.readable(values):
            counts.update(series.channels)
            steps.append(usual_step(series))
        frequent = sorted(sorted(counts), key=lambda channel: -counts[channel])[: self.settings.most_channels]
        channels = list(self.settings.channels) or frequent or ["0"]
        return channels, self.settings.step or float(np.median(steps or [1.0]))

    def on_grid(self, series: Series, channels: Sequence[str], step: float) -> FloatArray:
        """(m, channels) float64 of a series, NaN in gaps and in all of a channel that it lacks.

        Raises:
            MediaError: It has none of the channels, or nothing of it is left on the grid.
        """
        place = {channel: number for number, channel in enumerate(series.channels)}
        if not any(channel in place for channel in channels):
            raise MediaError(
                f"The series has the channels {', '.join(series.channels[:8])}, none of {', '.join(channels[:8])}.",
                hint="Name the channels alike in all files, or set `channels`.",
            )
        found = resample(series, step, bridge=self.settings.bridge)
        gap = np.full(len(found), np.nan)
        return np.stack([found[:, place[c]] if c in place else gap for c in channels], axis=1)
