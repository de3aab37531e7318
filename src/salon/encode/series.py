"""Sensor series as vectors: statistics of every window and channel, scaled by what the catalogue shows."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from pydantic import Field

from salon.encode.series_grid import SeriesEncoder, SeriesReading
from salon.errors import MediaError
from salon.media.series_grid import windows
from salon.types import FloatArray

STATISTICS = (
    "mean",
    "std",
    "min",
    "max",
    "slope",
    "energy",
    "crossings",
    "frequency",
    "purity",
    "autocorrelation",
    "period",
    "present",
)
"""What is measured of a window: mean, standard deviation, smallest, largest, slope per unit of time, log(1 + mean
square), crossings of the mean per unit of time, dominant frequency (cycles per unit of time), its share of the power,
autocorrelation at one step, highest autocorrelation after the first dip below zero, share of rows that are there."""
ENOUGH = 0.5
"""Share of a window that must be there; windows with more gaps are passed over where a channel has better ones."""


def window_statistics(parts: FloatArray, step: float) -> FloatArray:
    """STATISTICS of windows; all NaN where a channel has fewer than two numbers in a window.

    Gaps are left out of the first six; the others see the window's mean in their place.

    Args:
        parts: (windows, rows, channels), NaN in gaps.
        step: Time from one row to the next.

    Returns:
        (windows, channels, 12) float64.
    """
    series = np.moveaxis(np.asarray(parts, dtype=np.float64), 1, 2)  # (windows, channels, rows)
    here = np.isfinite(series)
    count = here.sum(axis=2)
    with warnings.catch_warnings():  # of means of nothing, which become NaN below
        warnings.simplefilter("ignore", RuntimeWarning)
        mean, low, high = np.nanmean(series, axis=2), np.nanmin(series, axis=2), np.nanmax(series, axis=2)
        energy = np.log1p(np.nanmean(series**2, axis=2))
    centred = np.where(here, series - mean[:, :, None], 0.0)
    std = np.sqrt((centred**2).sum(axis=2) / np.maximum(count, 1))
    centred = np.where(std[:, :, None] > 1e-9 * (1 + np.abs(mean[:, :, None])), centred, 0.0)  # rounding is no wave
    frequency, purity = _dominant(centred, step)
    first, period = _autocorrelation(centred)
    slope, crossings = _slope(centred, here, step), _crossings(centred) / (max(1, series.shape[2] - 1) * step)
    measured = [mean, std, low, high, slope, energy, crossings, frequency, purity, first, period]
    found = np.stack([*measured, count / series.shape[2]], axis=2)
    return np.where((count >= 2)[:, :, None], found, np.nan)


def _slope(centred: FloatArray, here: FloatArray, step: float) -> FloatArray:
    """Least squares slope over the rows that are there."""
    time = step * np.arange(centred.shape[2])
    count = np.maximum(here.sum(axis=2), 1)
    away = np.where(here, time - ((here * time).sum(axis=2) / count)[:, :, None], 0.0)
    spread = (away**2).sum(axis=2)
    return np.divide((away * centred).sum(axis=2), spread, out=np.zeros_like(spread), where=spread > 0)


def _crossings(centred: FloatArray) -> FloatArray:
    """How often the sign changes; rows at 0 go with the row before them."""
    sign = np.sign(centred)
    place = np.where(sign != 0, np.arange(sign.shape[2]), 0)
    filled = np.take_along_axis(sign, np.maximum.accumulate(place, axis=2), axis=2)
    return np.asarray((filled[:, :, 1:] * filled[:, :, :-1] < 0).sum(axis=2), dtype=np.float64)


def _dominant(centred: FloatArray, step: float) -> tuple[FloatArray, FloatArray]:
    """Frequency of the highest point of the spectrum (Hann window, parabola through three bins), and its share."""
    rows = centred.shape[2]
    power = np.abs(np.fft.rfft(centred * np.hanning(rows + 2)[1:-1], axis=2)) ** 2
    power[:, :, 0] = 0.0
    total = power.sum(axis=2)
    top = power.argmax(axis=2)[:, :, None]
    edge = power.shape[2] - 1
    left, middle, right = (
        np.take_along_axis(power, (top + shift).clip(0, edge), axis=2)[:, :, 0] for shift in (-1, 0, 1)
    )
    bend = left - 2 * middle + right
    shift = np.divide(left - right, 2 * bend, out=np.zeros_like(bend), where=bend < 0).clip(-0.5, 0.5)
    some = total > 0
    frequency = np.where(some, (top[:, :, 0] + shift) / (rows * step), 0.0)
    return frequency, np.divide(left + middle + right, total, out=np.zeros_like(total), where=some).clip(0, 1)


def _autocorrelation(centred: FloatArray) -> tuple[FloatArray, FloatArray]:
    """At a lag of one row; and the highest one after the first lag below zero, up to half of the window."""
    rows = centred.shape[2]
    spectrum = np.abs(np.fft.rfft(centred, 2 * rows, axis=2)) ** 2
    raw = np.fft.irfft(spectrum, axis=2)[:, :, : max(2, rows // 2 + 1)]
    power = raw[:, :, :1]
    curve = np.divide(raw, power, out=np.zeros_like(raw), where=power > 0)
    after_dip = np.logical_or.accumulate(curve < 0, axis=2)
    period = np.where(after_dip, curve, 0.0).max(axis=2)
    return curve[:, :, 1], period


class SeriesSettings(SeriesReading):
    """Settings of `SeriesStatistics`."""

    clip: float = Field(5.0, gt=0)
    """Scaled statistics beyond this many standard deviations are pulled in."""


class SeriesStatistics(SeriesEncoder):
    """Twelve statistics of every window and channel of a series: their mean and their spread over the windows.

    Each number is standardised by the series seen at fit. The numbers of a channel that an item lacks are 0 (the
    catalogue's mean), and one more number per channel says whether it is there.
    """

    settings: SeriesSettings
    mean_: FloatArray
    std_: FloatArray

    @property
    def dim(self) -> int:
        """25 per channel."""
        self.check_fitted()
        return len(self.channels_) * (2 * len(STATISTICS) + 1)

    @property
    def version(self) -> str:
        """Version of the formula."""
        return "window-statistics-1"

    def fit(self, values: Sequence[Any]) -> Self:
        """Learns channels, step and scale; series that cannot be read are passed over."""
        channels, step = self.learned_grid(values)
        rows = []
        for series in self.readable(values):
            try:
                rows.append(self._pooled(self.on_grid(series, channels, step), step))
            except MediaError:
                continue
        table = np.stack(rows) if rows else np.full((1, len(channels), 2 * len(STATISTICS)), np.nan)
        here = np.isfinite(table)
        count = np.maximum(here.sum(axis=0), 1)
        mean = np.where(here, table, 0).sum(axis=0) / count
        std = np.sqrt(np.where(here, (table - mean) ** 2, 0).sum(axis=0) / count)
        self.mean_, self.std_ = mean, np.where(std > 1e-9 * (1 + np.abs(mean)), std, 1.0)
        self.channels_, self.step_ = channels, step
        return self

    def prepare(self, value: Any) -> FloatArray:
        """(channels, 24) statistics, NaN in the rows of channels that are not there; MediaError when none is."""
        self.check_fitted()
        return self._pooled(self.on_grid(self.read(value), self.channels_, self.step_), self.step_)

    def embed(self, batch: Sequence[FloatArray]) -> FloatArray:
        """(n, dim) float32."""
        self.check_fitted()
        if not batch:
            return np.zeros((0, self.dim), np.float32)
        table = np.stack(batch)
        here = np.isfinite(table)
        scaled = ((table - self.mean_) / self.std_).clip(-self.settings.clip, self.settings.clip)
        parts = np.concatenate([np.where(here, scaled, 0.0), here.any(axis=2, keepdims=True)], axis=2)
        return parts.reshape(len(batch), self.dim).astype(np.float32)

    def _pooled(self, values: FloatArray, step: float) -> FloatArray:
        """(channels, 24): mean and standard deviation over the windows that are used."""
        length = min(self.settings.window, len(values))
        found = window_statistics(windows(values, length, self.settings.hop), step)
        share = np.nan_to_num(found[:, :, -1])  # (windows, channels)
        used = np.where((share >= ENOUGH).any(axis=0), share >= ENOUGH, share > 0)
        if not used.any():
            raise MediaError("No window of the series holds two numbers of a channel.", hint="Raise window or bridge.")
        count = used.sum(axis=0)[:, None]
        kept = np.where(used[:, :, None], found, 0.0)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = kept.sum(axis=0) / count
            spread = np.sqrt(np.where(used[:, :, None], (found - mean) ** 2, 0.0).sum(axis=0) / count)
        return np.concatenate([mean, spread], axis=1)
