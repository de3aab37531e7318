"""Records in files, in pieces: JSON lines, and parquet in parts; neither ever holds a whole table in memory."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import polars as pl

from salon.errors import DataError

Format = Literal["jsonl", "parquet"]

PIECE = 1000
"""Records that are handled together."""
PART = 50_000
"""Records in one parquet file."""
MAX_LINE = 1 << 26
"""Most bytes of one line."""


def write_jsonl(path: Path, pieces: Iterable[Sequence[Mapping[str, Any]]]) -> int:
    """Writes records as JSON lines; how many there were."""
    count = 0
    with path.open("w", encoding="utf-8") as file:
        for piece in pieces:
            file.writelines(json.dumps(record, ensure_ascii=False, separators=(",", ":")) + "\n" for record in piece)
            count += len(piece)
    return count


def write_parquet(folder: Path, pieces: Iterable[Sequence[Mapping[str, Any]]], schema: Mapping[str, Any]) -> int:
    """Writes records as parquet files of up to 50,000 rows into a new folder; how many there were."""
    folder.mkdir()
    count, waiting = 0, [pl.DataFrame(schema=schema)]

    def write() -> None:
        pl.concat(waiting).write_parquet(folder / f"{count:012d}.parquet")
        waiting[:] = [pl.DataFrame(schema=schema)]

    for piece in pieces:
        waiting.append(pl.DataFrame(list(piece), schema=schema))
        if sum(map(len, waiting)) >= PART:
            count += sum(map(len, waiting))
            write()
    count += sum(map(len, waiting))
    write()
    return count


def read_records(folder: Path, table: str) -> Iterator[tuple[str, int, Any]]:
    """The records of a table from FOLDER/TABLE.jsonl, FOLDER/TABLE.parquet or the parts in FOLDER/TABLE.

    Yields:
        (name of the file, line or row from 1, record); a line that is no JSON yields the error in place of a record.

    Raises:
        DataError: A file cannot be read.
    """
    lines = folder / f"{table}.jsonl"
    if lines.is_file():
        yield from _read_lines(lines)
    for path in [folder / f"{table}.parquet", *sorted((folder / table).glob("*.parquet"))]:
        if path.is_file():
            yield from _read_parquet(path, path.relative_to(folder).as_posix())


def _read_lines(path: Path) -> Iterator[tuple[str, int, Any]]:
    with path.open("rb") as file:
        number = 0
        while line := file.readline(MAX_LINE + 1):
            number += 1
            if len(line) > MAX_LINE:
                raise DataError(f"Line {number} of {path.name!r} has over {MAX_LINE} bytes.", hint="Is it JSON lines?")
            if line.strip():
                try:
                    yield path.name, number, json.loads(line)
                except (ValueError, RecursionError) as error:
                    yield path.name, number, DataError(f"no JSON: {error}")


def _read_parquet(path: Path, name: str) -> Iterator[tuple[str, int, Any]]:
    try:
        lazy = pl.scan_parquet(path, glob=False)
        total = int(lazy.select(pl.len()).collect().item())
        for start in range(0, total, PART):
            frame = lazy.slice(start, PART).collect()
            for place, record in enumerate(frame.iter_rows(named=True), start + 1):
                yield name, place, record
    except (OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise DataError(f"{name!r} cannot be read: {str(error).splitlines()[0]}.", hint="Is it parquet?") from None
