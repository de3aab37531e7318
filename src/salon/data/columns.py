"""Columns of a table as plain values, with a mask of what could not be understood."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import PurePosixPath, PureWindowsPath

import numpy as np
import polars as pl

from salon.errors import DataError
from salon.types import BoolArray, FloatArray


def as_ids(column: pl.Series) -> list[str | None]:
    """Ids as written; whole floats (an integer column with gaps, in parquet) without ".0"; blank ones are None."""
    if column.dtype.is_float():
        whole = column.cast(pl.Int64, strict=False)
        column = whole if ((column == whole) | column.is_nan()).fill_null(True).all() else column
    if isinstance(column.dtype, pl.List):
        cells = [v[0] if v is not None and len(v) == 1 else None for v in column.to_list()]
        return as_ids(pl.Series(column.name, cells))
    return [None if v is None or not v.strip() else v for v in _strings(column).to_list()]


def _strings(column: pl.Series) -> pl.Series:
    """The column as strings; raises DataError where its type has none, such as a struct."""
    if isinstance(column.dtype, pl.List):
        return pl.Series(column.name, as_texts(column), dtype=pl.String)
    if column.dtype.is_nested() or column.dtype in (pl.Binary, pl.Object):
        raise DataError(
            f"The column {column.name!r} holds values of the type {column.dtype}.", hint="Store text or numbers."
        )
    return column.cast(pl.String)


def cell(column: pl.Series, row: int) -> str:
    """One cell as text, for messages."""
    value = column[row]
    return str(value.to_list() if isinstance(value, pl.Series) else value)


def as_texts(column: pl.Series) -> list[str | None]:
    """Cells as text; lists are joined by blanks."""
    if isinstance(column.dtype, pl.List):
        return [None if v is None else " ".join(str(p) for p in v if p is not None) for v in column.to_list()]
    return list(_strings(column).to_list())


def as_lists(column: pl.Series) -> list[str | None]:
    """Cells as text, where a list of numbers, or of rows of numbers, becomes a JSON list; an empty one is None."""
    if column.dtype == pl.List(pl.String):
        column = column.cast(pl.List(pl.Float64), strict=False)
    if isinstance(column.dtype, pl.List | pl.Array):
        return [json.dumps(v) if v else None for v in column.to_list()]
    return as_texts(column)


def as_labels(column: pl.Series, separator: str) -> list[list[str]]:
    """Cells as lists of labels, split at `separator` unless it is empty."""
    if isinstance(column.dtype, pl.List):
        return [[str(p) for p in row if p is not None] if row is not None else [] for row in column.to_list()]
    cells = _strings(column).to_list()
    return [[] if c is None else c.split(separator) if separator else [c] for c in cells]


def as_numbers(column: pl.Series) -> tuple[FloatArray, BoolArray]:
    """(n,) float64, NaN where there is none, and (n,) bool, where a cell holds something that is no finite number."""
    if column.dtype.is_numeric() or column.dtype == pl.Boolean:
        cells = column
    else:
        column = _strings(column)
        cells = column.str.strip_chars()
        cells = cells.set(cells.fill_null("") == "", None)
    values = cells.cast(pl.Float64, strict=False).fill_null(float("nan")).to_numpy().astype(np.float64)
    bad = cells.is_not_null().to_numpy() & ~np.isfinite(values)
    if column.dtype != pl.String:
        bad &= ~np.isnan(values)  # NaN is how parquet files of pandas say "missing"
    return np.where(bad, np.nan, values), bad


def as_times(column: pl.Series, how: str) -> FloatArray:
    """(n,) float64 seconds since 1970, NaN where the cell is missing or cannot be understood.

    Args:
        column: The cells.
        how: "unix", "unix_ms" or "iso"; columns that hold times already are taken as they are.
    """
    if column.dtype in (pl.Datetime, pl.Date):
        return column.dt.timestamp("us").cast(pl.Float64).fill_null(float("nan")).to_numpy() / 1e6
    if how == "iso":
        texts = as_texts(column)
        known = {text: _iso(text) for text in set(texts)}
        return np.array([known[text] for text in texts], np.float64)
    return as_numbers(column)[0] / (1000.0 if how == "unix_ms" else 1.0)


def _iso(text: str | None) -> float:
    try:
        moment = datetime.fromisoformat((text or "").strip())
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return float("nan")


def leaves_folder(paths: Sequence[str | None]) -> BoolArray:
    """(n,) bool, the media paths that are absolute or climb by "..", as any system writes them.

    Links are followed, and checked again, where a medium is opened.
    """
    return np.array([path is not None and _leaves(path) for path in paths], bool)


def _leaves(path: str) -> bool:
    windows = PureWindowsPath(path)
    if PurePosixPath(path).is_absolute() or windows.drive or windows.root or "\0" in path:
        return True
    return ".." in windows.parts
