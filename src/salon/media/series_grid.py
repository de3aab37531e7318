"""Sensor series on a regular grid: resampled by stated rules, gaps kept as NaN, cut into windows."""

from __future__ import annotations

import numpy as np

from salon.errors import DataError, MediaError
from salon.media.limits import DEFAULT_LIMITS, MediaLimits
from salon.media.series import Series
from salon.types import FloatArray


def usual_step(series: Series) -> float:
    """The median time from one row to the next; 1 for a single row."""
    return float(np.median(np.diff(series.times))) if len(series.times) > 1 else 1.0


def resample(series: Series, step: float, *, bridge: float = 3.0, limits: MediaLimits = DEFAULT_LIMITS) -> FloatArray:
    """The series at the times first, first + step, first + 2 step, ... up to the last.

    Each channel by itself: where more than one number falls into a cell of one step about a grid point, their mean
    (which keeps what is faster than the grid from posing as something slow); elsewhere the straight line between the
    numbers on either side, as long as these are at most `bridge` steps (or usual steps of the recording, whichever are
    longer) apart; across longer gaps, and before the first and after the last number, NaN.

    Args:
        series: As recorded.
        step: Time from one grid point to the next, above 0.
        bridge: Longest gap that is filled, in steps.
        limits: `max_series_rows`.

    Returns:
        (m, channels) float64, NaN in gaps.

    Raises:
        DataError: The step is not above 0.
        MediaError: The grid would have too many rows, as one wrong time far away can do.
    """
    if not step > 0:
        raise DataError(f"The step {step} is not above 0.")
    steps = (series.times[-1] - series.times[0]) / step
    limits.check("max_series_rows", steps, "The series", "rows once it is resampled", hint="Look for a wrong time.")
    grid = series.times[0] + step * np.arange(int(np.floor(steps + 1e-6)) + 1)
    longest = bridge * max(step, usual_step(series)) * (1 + 1e-9)
    columns = [_channel(series.times, column, grid, step, longest) for column in series.values.T]
    values = np.stack(columns, axis=1)
    if not np.isfinite(values).any():
        raise MediaError("Nothing of the series is left on the grid.", hint="Raise bridge, or set a larger step.")
    return values


def _channel(times: FloatArray, column: FloatArray, grid: FloatArray, step: float, longest: float) -> FloatArray:
    """One channel on the grid."""
    here = np.isfinite(column)
    if not here.any():
        return np.full(len(grid), np.nan)
    times, column = times[here], column[here]
    after = np.searchsorted(times, grid).clip(0, len(times) - 1)
    before = (np.searchsorted(times, grid, side="right") - 1).clip(0, len(times) - 1)
    near = (times[after] - times[before] <= longest) & (grid >= times[0]) & (grid <= times[-1])
    values = np.where(near, np.interp(grid, times, column), np.nan)
    cell = np.rint((times - grid[0]) / step).astype(np.int64)
    inside = cell < len(grid)
    count = np.bincount(cell[inside], minlength=len(grid))
    total = np.bincount(cell[inside], weights=column[inside], minlength=len(grid))
    return np.where(count > 1, total / np.maximum(count, 1), values)


def windows(values: FloatArray, length: int, hop: int) -> FloatArray:
    """Windows of `length` rows, one every `hop` rows; the last one ends with the series, so that nothing is lost.

    A series shorter than a window is one window, filled up with NaN at its end.

    Args:
        values: (n, channels), n at least 1.
        length: Rows of a window, at least 1.
        hop: Rows from one start to the next, at least 1.

    Returns:
        (windows, length, channels).

    Raises:
        DataError: A length is below 1.
    """
    if length < 1 or hop < 1:
        raise DataError(f"Windows of {length} rows every {hop} are not possible.", hint="Both are at least 1.")
    if len(values) <= length:
        filling = np.full((length - len(values), values.shape[1]), np.nan)
        return np.concatenate([values, filling])[None]
    starts = [*range(0, len(values) - length, hop), len(values) - length]
    return np.stack([values[start : start + length] for start in starts])
