"""The files that hold sensor series, by content: raw bytes to named columns, sizes checked before memory is taken."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import polars as pl

from salon.errors import MediaError
from salon.media.limits import MediaLimits

_NPY = b"\x93NUMPY"
_PARQUET = b"PAR1"
SPARE_COLUMNS = 8
"""Columns that a file may have besides its channels: the time, labels, notes."""


def read_columns(content: bytes, limits: MediaLimits, name: str) -> dict[str, pl.Series]:
    """The columns of a file, by name, in order.

    Args:
        content: The file.
        limits: `max_series_rows` and `max_series_channels`.
        name: The file, for messages.

    Raises:
        MediaError: It is too large, or cannot be understood.
    """
    if content.startswith(_NPY):
        return _npy(content, limits, name)
    if content.startswith(_PARQUET):
        return _parquet(content, limits, name)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        hint = "Use CSV or JSON in UTF-8, parquet or .npy."
        raise MediaError(f"{name} is not a series: byte {error.start:,} is no text.", hint=hint) from None
    start = text.lstrip()[:1]
    if start == "[":
        return _rows(json.loads(text), limits, name)
    if start == "{":
        return _rows(_lines(text, limits, name), limits, name)
    return _csv(text, limits, name)


def _check(rows: int, columns: int, limits: MediaLimits, name: str) -> None:
    """Refuse more rows or columns than the limits allow."""
    limits.check("max_series_rows", rows, name, "rows", hint="Record less often, or cut the series.")
    limits.check("max_series_channels", columns - SPARE_COLUMNS, name, f"columns beyond {SPARE_COLUMNS} to spare")


def _npy(content: bytes, limits: MediaLimits, name: str) -> dict[str, pl.Series]:
    stream = io.BytesIO(content)
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(stream)
    if len(shape) not in (1, 2) or dtype.kind not in "fiub":
        raise MediaError(
            f"{name} holds {shape} {dtype}, not rows of numbers.", hint="Store (n,) or (n, channels) floats."
        )
    _check(shape[0], shape[1] if len(shape) == 2 else 1, limits, name)
    stream.seek(0)
    table = np.atleast_2d(np.load(stream, allow_pickle=False).T)
    return {str(number): pl.Series(str(number), column.astype(np.float64)) for number, column in enumerate(table)}


def _parquet(content: bytes, limits: MediaLimits, name: str) -> dict[str, pl.Series]:
    schema = pl.read_parquet_schema(io.BytesIO(content))
    usable = [
        column
        for column, kind in schema.items()
        if kind.is_numeric() or kind in (pl.Boolean, pl.String, pl.Datetime, pl.Date)
    ]
    rows = pl.scan_parquet(io.BytesIO(content)).select(pl.len()).collect().item()
    _check(rows, len(usable), limits, name)
    frame = pl.read_parquet(io.BytesIO(content), columns=usable)
    return {column: frame[column] for column in usable}


def _lines(text: str, limits: MediaLimits, name: str) -> list[Any]:
    rows = []
    for line in text.splitlines():
        if line.strip():
            rows.append(json.loads(line))
            if len(rows) > limits.max_series_rows:
                _check(len(rows), 0, limits, name)
    return rows


def _rows(rows: Any, limits: MediaLimits, name: str) -> dict[str, pl.Series]:
    """Numbers, lists of numbers or objects, one per row; null, words and what is missing are gaps."""
    _check(len(rows), 0, limits, name)
    columns: dict[str, list[float]] = {}
    texts: dict[str, list[str | None]] = {}
    for place, row in enumerate(rows):
        cells = row if isinstance(row, dict) else dict(enumerate(row if isinstance(row, list) else [row]))
        for key, cell in cells.items():
            column = str(key)
            if column not in columns:
                _check(0, len(columns) + 1, limits, name)
                columns[column], texts[column] = [np.nan] * len(rows), [None] * len(rows)
            if isinstance(cell, int | float):
                columns[column][place] = float(cell)
            elif isinstance(cell, str):
                texts[column][place] = cell
    return {
        column: pl.Series(column, texts[column], dtype=pl.String)
        if any(text is not None for text in texts[column])
        else pl.Series(column, numbers, dtype=pl.Float64)
        for column, numbers in columns.items()
    }


def _csv(text: str, limits: MediaLimits, name: str) -> dict[str, pl.Series]:
    first = text.lstrip("\r\n").partition("\n")[0].strip("\r")
    separator = max(",;\t", key=first.count)
    cells = [cell.strip().strip('"') for cell in first.split(separator)]
    headed = not all(_is_number(cell) for cell in cells if cell) or not any(cells)
    _check(0, len(cells), limits, name)
    frame = pl.read_csv(
        io.StringIO(text),
        separator=separator,
        has_header=headed,
        infer_schema=False,
        n_rows=limits.max_series_rows + 1,
        truncate_ragged_lines=True,
    )
    _check(frame.height, frame.width, limits, name)
    names = [column.strip() for column in frame.columns] if headed else [str(number) for number in range(frame.width)]
    return {column: frame.to_series(number) for number, column in enumerate(names)}


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
