"""Sensor series: reading CSV, parquet, .npy, JSON lines and JSON lists within limits, told by content, to arrays.

What a row of numbers means is stated here once: one column may hold the time, every other column of numbers is a
channel, and a cell without a finite number is a gap, never a zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from salon.errors import MediaError
from salon.media.limits import DEFAULT_LIMITS, MediaLimits
from salon.media.series_formats import read_columns
from salon.media.source import as_media_error, open_source, source_name
from salon.types import FloatArray

TIME_NAMES = ("time", "timestamp", "datetime", "date", "seconds", "t")
"""Names of a time column, in lower case, looked for in this order where none is given."""
MAX_TIME = 1e14
"""Times beyond this many seconds either way are damage, not times."""


@dataclass(frozen=True)
class Series:
    """One series as it was recorded.

    Attributes:
        times: (n,) float64, rising: seconds (since 1970 where dates were written), or 0, 1, 2 ... where none are given.
        values: (n, channels) float64, NaN where there is a gap; at least one number in every channel.
        channels: Names of the channels.
        timed: Whether the times were given.
    """

    times: FloatArray
    values: FloatArray
    channels: tuple[str, ...]
    timed: bool


def read_series(
    source: Path | bytes | str,
    *,
    time: str = "",
    channels: Sequence[str] = (),
    limits: MediaLimits = DEFAULT_LIMITS,
) -> Series:
    """A series from a file, or from a JSON list written in place.

    CSV (comma, semicolon or tab; a first line of numbers is data, anything else names the columns), parquet, .npy of
    shape (n,) or (n, channels), JSON lines of objects, or a JSON list of numbers or of rows; null is a gap. Unnamed
    columns are called "0", "1", and so on. Numbers are read as written; a column is a channel when half of its filled
    cells or more are numbers, and the other cells are gaps; columns of other things are passed over. Times are numbers
    (seconds), or ISO 8601 (UTC where no zone is given). Rows without a time are dropped, rows are put in order of time,
    and rows of the same time are averaged.

    Args:
        source: Path of a file, its bytes, or the JSON list itself.
        time: The column with the times; empty: the first of TIME_NAMES that is there, in any case; else rows are
            taken as evenly spaced.
        channels: The channels wanted, in this order; those that the series lacks are left out. Empty: all.
        limits: `max_series_bytes`, `max_series_rows` and `max_series_channels`.

    Raises:
        MediaError: It cannot be read, is larger than the limits, or holds fewer than two numbers in every channel.
    """
    raw = source.encode(errors="replace") if isinstance(source, str) else source
    name = "The series in place" if isinstance(source, str) else source_name(source)
    with open_source(raw, limits) as stream, as_media_error(name):
        content = stream.read(limits.max_series_bytes + 1)
        limits.check("max_series_bytes", len(content), name, "bytes or more")
        try:
            columns = read_columns(content, limits, name)
        except pl.exceptions.PanicException as error:  # no Exception: it would pass by as_media_error
            raise MediaError(f"{name} cannot be decoded.", hint="The file is damaged.") from error
        return _series(columns, time, channels, name, limits)


def _series(columns: dict[str, pl.Series], time: str, wanted: Sequence[str], name: str, limits: MediaLimits) -> Series:
    """Times and channels told apart, rows in order."""
    clock = _clock(columns, time, name)
    times = _times(columns.pop(clock)) if clock else np.arange(len(next(iter(columns.values()), ())), dtype=np.float64)
    found = {c: _numbers(column) for c, column in columns.items() if not wanted or c in wanted}
    chosen = [c for c in (wanted or found) if c in found and np.isfinite(found[c]).sum() >= 2]
    if not chosen:
        raise MediaError(f"{name} holds no channel with two numbers.", hint="Check its columns, or leave it out.")
    limits.check("max_series_channels", len(chosen), name, "channels")
    values = np.stack([found[c] for c in chosen], axis=1)
    timed = np.isfinite(times) & (np.abs(times) < MAX_TIME)
    if not timed.any():
        raise MediaError(f"{name} has no row with a time.", hint=f"Check the column {clock!r}.")
    times, values = _in_order(times[timed], values[timed])
    held = np.flatnonzero(np.isfinite(values).any(axis=0))
    return Series(times, values[:, held], tuple(chosen[int(place)] for place in held), bool(clock))


def _clock(columns: dict[str, pl.Series], time: str, name: str) -> str:
    """The column that holds the times, or ""."""
    if time:
        if time not in columns:
            raise MediaError(f"{name} has no column {time!r}.", hint=f"It has: {', '.join(list(columns)[:8])}.")
        return time
    lower = {column.strip().lower(): column for column in reversed(list(columns))}
    found = next((lower[known] for known in TIME_NAMES if known in lower), "")
    return found if len(columns) > 1 else ""


def _times(column: pl.Series) -> FloatArray:
    """(n,) float64 seconds, NaN where there is no time."""
    if column.dtype in (pl.Datetime, pl.Date):
        return column.dt.timestamp("us").cast(pl.Float64).fill_null(np.nan).to_numpy() / 1e6
    numbers = _numbers(column)
    if column.dtype == pl.String and not np.isfinite(numbers).any():
        moments = column.str.strip_chars().str.to_datetime(strict=False, time_zone="UTC", time_unit="us")
        return moments.dt.timestamp("us").cast(pl.Float64).fill_null(np.nan).to_numpy() / 1e6
    return numbers


def _numbers(column: pl.Series) -> FloatArray:
    """(n,) float64, NaN for a gap; all NaN where fewer than half of the filled cells are numbers."""
    if column.dtype.is_numeric() or column.dtype == pl.Boolean:
        values = column.cast(pl.Float64).fill_null(np.nan).to_numpy().astype(np.float64)
        return np.where(np.isfinite(values), values, np.nan)
    if column.dtype != pl.String:
        return np.full(len(column), np.nan)
    cells = column.str.strip_chars()
    values = cells.cast(pl.Float64, strict=False).fill_null(np.nan).to_numpy().astype(np.float64)
    filled = int((~cells.str.to_lowercase().is_in(["", "nan", "na", "null", "none", "-"])).fill_null(False).sum())
    values = np.where(np.isfinite(values), values, np.nan)
    return values if 2 * np.isfinite(values).sum() >= filled else np.full(len(column), np.nan)


def _in_order(times: FloatArray, values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Rows by rising time, those of one time made their mean."""
    moments, place = np.unique(times, return_inverse=True)
    if len(moments) == len(times):
        order = np.argsort(times, kind="stable")
        return times[order], values[order]
    here = np.isfinite(values)
    total, count = np.zeros((2, len(moments), values.shape[1]))
    np.add.at(total, place, np.where(here, values, 0))
    np.add.at(count, place, here)
    return moments, np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)
