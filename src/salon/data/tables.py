"""Tables from files and databases: only the columns that were asked for, every failure a `DataError` with a name in it.

csv, tsv and text are read as strings, so that an id "007" stays "007"; parquet and databases keep their types.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.sql.elements import quoted_name

from salon.data.sources import TableSource
from salon.errors import DataError, did_you_mean

DELIMITERS = {".csv": ",", ".tsv": "\t", ".txt": "\t", ".tab": "\t", ".inter": "\t", ".item": "\t", ".user": "\t"}
JSON_LINES = (".jsonl", ".ndjson")
MAX_LINE = 16 << 20
"""Longest line of a .jsonl file in characters."""


@dataclass(frozen=True)
class Loaded:
    """A table as it was found.

    Attributes:
        frame: The columns asked for; one row per usable line.
        numbers: Number of each row from 1, where lines were left out; otherwise None.
        broken: (line number, what is wrong, line) of lines that are no rows.
    """

    frame: pl.DataFrame
    numbers: list[int] | None = None
    broken: tuple[tuple[int, str, str], ...] = ()


def load_table(source: TableSource, columns: Sequence[str], base: Path) -> Loaded:
    """Some columns of a table.

    Args:
        source: Where it is.
        columns: Names of the columns to read, each once.
        base: The folder that relative paths start from.

    Raises:
        DataError: The table or a column is absent (the hint suggests close names), or the file is broken.
    """
    if source.is_database:
        return Loaded(_from_database(source, columns, base))
    path = existing_file(base / source.path)
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return Loaded(_from_parquet(path, columns))
    if suffix in JSON_LINES:
        check_utf8(path)
        return _from_json_lines(path, columns)
    if suffix in DELIMITERS:
        return Loaded(read_delimited(path, source.delimiter or DELIMITERS[suffix], columns, quotes=source.quotes))
    known = ", ".join([*DELIMITERS, *JSON_LINES, ".parquet"])
    raise DataError(f"The table {path.name!r} is of no known kind.", hint=f"Known: {known}, and database URLs.")


def existing_file(path: Path) -> Path:
    """`path`, if it is a file.

    Raises:
        DataError: It is not; the hint names files that are there.
    """
    if path.is_file():
        return path
    if path.is_dir():
        raise DataError(f"{str(path)!r} is a folder, not a table.", hint="Name the file in it, or set `format`.")
    near = [p.name for p in path.parent.iterdir() if p.is_file()] if path.parent.is_dir() else []
    hint = did_you_mean(path.name, near[:200]) if near else f"There is nothing to read in {str(path.parent)!r}."
    raise DataError(f"There is no file {str(path)!r}.", hint=hint)


def check_columns(wanted: Iterable[str], found: Sequence[str], name: str) -> None:
    """Raises DataError unless every wanted column was found."""
    for column in wanted:
        if column not in found:
            raise DataError(f"The table {name!r} has no column {column!r}.", hint=did_you_mean(column, found))


def check_utf8(path: Path) -> None:
    """Raises DataError with the byte offset where the file stops being UTF-8; reads in pieces of 1 MiB."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    offset = 0
    with path.open("rb") as file:
        while True:
            piece = file.read(1 << 20)
            pending = len(decoder.getstate()[0])
            try:
                decoder.decode(piece, final=not piece)
            except UnicodeDecodeError as error:
                at = offset - pending + error.start
                raise DataError(
                    f"{path.name!r} is not UTF-8 at byte {at} (0x{error.object[error.start]:02x}).",
                    hint="Convert it, for example: iconv -f latin1 -t utf-8.",
                ) from None
            if not piece:
                return
            offset += len(piece)


def read_delimited(path: Path, delimiter: str, columns: Sequence[str] | None, *, quotes: bool = True) -> pl.DataFrame:
    """Columns of a text table with a header, all as strings; empty cells are null.

    Args:
        path: The file.
        delimiter: One character.
        columns: Which to read; None for all.
        quotes: Whether '"' quotes a cell.
    """
    check_utf8(existing_file(path))
    try:
        table = pl.scan_csv(
            path, separator=delimiter, infer_schema=False, quote_char='"' if quotes else None, low_memory=True
        )
        found = table.collect_schema().names()
        if columns is not None:
            check_columns(columns, found, path.name)
            _check_once(columns, found, path.name)
            table = table.select(columns)
        return table.collect(engine="streaming")
    except pl.exceptions.NoDataError:
        raise DataError(f"{path.name!r} is empty.", hint="It needs a header and at least one row.") from None
    except pl.exceptions.PolarsError as error:
        reason = str(error).strip().split("\n")[0]
        raise DataError(
            f"{path.name!r} cannot be read as a table: {reason}.",
            hint="Check the `delimiter`, and set `quotes` to false where '\"' means nothing.",
        ) from None


def _check_once(columns: Sequence[str], found: Sequence[str], name: str) -> None:
    for column in columns:
        if f"{column}_duplicated_0" in found:
            raise DataError(f"The table {name!r} has two columns {column!r}.", hint="Rename one of them.")


def _from_parquet(path: Path, columns: Sequence[str]) -> pl.DataFrame:
    try:
        table = pl.scan_parquet(path)
        check_columns(columns, table.collect_schema().names(), path.name)
        return table.select(columns).collect(engine="streaming")
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:  # a panic is no Exception
        reason = str(error).strip().split("\n")[0]
        raise DataError(f"{path.name!r} cannot be read as parquet: {reason}.", hint="Write the file again.") from None


def _from_json_lines(path: Path, columns: Sequence[str]) -> Loaded:
    """Line by line, so that one broken line costs one row and not the table."""
    cells: dict[str, list[Any]] = {name: [] for name in columns}
    numbers: list[int] = []
    broken: list[tuple[int, str, str]] = []
    seen: dict[str, None] = {}
    for number, line in _lines(path):
        row = _object(line)
        if row is None:
            broken.append((number, "the line is not a JSON object", line))
            continue
        seen.update(dict.fromkeys(row))
        numbers.append(number)
        for name in columns:
            cells[name].append(row.get(name))
    if not numbers:
        raise DataError(f"{path.name!r} holds no JSON object.", hint="It needs one object per line.")
    check_columns(columns, list(seen), path.name)
    return Loaded(pl.DataFrame([_series(n, v) for n, v in cells.items()]), numbers, tuple(broken))


def _object(line: str) -> dict[str, Any] | None:
    """The object of a line, or None; half a surrogate pair can be written in JSON but is no text."""
    try:
        row = json.loads(line)
        if "\\ud" in line.lower():
            json.dumps(row, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """(number from 1, line) of the lines that are not blank."""
    with path.open(encoding="utf-8-sig", newline="\n") as file:
        number = 0
        while line := file.readline(MAX_LINE + 1):
            number += 1
            if len(line) > MAX_LINE:
                raise DataError(f"Line {number} of {path.name!r} is longer than {MAX_LINE:,} characters.")
            if line.strip():
                yield number, line


def _series(name: str, values: list[Any]) -> pl.Series:
    """Plain values as a column: numbers and times stay what they are, lists hold strings, anything else is a string."""
    kinds = {type(v) for v in values if v is not None}
    if kinds & {bytes, bytearray, memoryview}:
        raise DataError(f"The column {name!r} holds bytes.", hint="Store text or numbers.")
    if kinds and kinds <= {datetime, date}:
        return pl.Series(name, [_utc(v) for v in values], dtype=pl.Datetime("us"))
    if kinds and kinds <= {int, float}:
        if kinds == {int} and all(abs(v) < 2**63 for v in values if v is not None):
            return pl.Series(name, values, dtype=pl.Int64)
        if kinds == {float}:
            return pl.Series(name, values, dtype=pl.Float64)
    if kinds & {list, tuple}:
        rows = [_texts(v) for v in values]
        return pl.Series(name, rows, dtype=pl.List(pl.String))
    return pl.Series(name, [_text(v) for v in values], dtype=pl.String)


def _utc(value: datetime | date | None) -> datetime | None:
    """A moment without its zone, in UTC, where moments without a zone are taken to be."""
    if value is None:
        return None
    if not isinstance(value, datetime):
        return datetime(value.year, value.month, value.day)
    return value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value


def _texts(value: Any) -> list[str | None] | None:
    if value is None:
        return None
    return [_text(v) for v in value] if isinstance(value, (list, tuple)) else [_text(value)]


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (dict, list)):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


def _from_database(source: TableSource, columns: Sequence[str], base: Path) -> pl.DataFrame:
    """Names are quoted by SQLAlchemy; no text of the catalogue file becomes SQL."""
    url = _url(source.path, base)
    try:
        engine = sa.create_engine(url)
    except (SQLAlchemyError, ImportError, ValueError) as error:
        raise DataError(f"The database of {source.table!r} cannot be opened: {_first_line(error)}.") from None
    try:
        names = [*sa.inspect(engine).get_table_names(), *sa.inspect(engine).get_view_names()]
        if source.table not in names:
            raise DataError(f"The database has no table {source.table!r}.", hint=did_you_mean(source.table, names))
        place = sa.table(quoted_name(source.table, quote=True))
        with engine.connect() as connection:
            found = list(connection.execute(sa.select(sa.literal_column("*")).select_from(place).limit(0)).keys())
            check_columns(columns, found, source.table)
            wanted: list[sa.ColumnElement[Any]] = [sa.column(quoted_name(name, quote=True)) for name in columns]
            rows = connection.execution_options(yield_per=10_000).execute(sa.select(*wanted).select_from(place))
            cells: list[list[Any]] = [[] for _ in columns]
            for part in rows.partitions():
                for cell, values in zip(cells, zip(*part, strict=True), strict=True):
                    cell.extend(values)
    except SQLAlchemyError as error:
        raise DataError(f"The table {source.table!r} cannot be read: {_first_line(error)}.") from None
    finally:
        engine.dispose()
    return pl.DataFrame([_series(name, values) for name, values in zip(columns, cells, strict=True)])


def _url(text: str, base: Path) -> URL:
    """The URL; a relative SQLite file is looked for beside the catalogue file and must be there."""
    try:
        url = make_url(text)
    except SQLAlchemyError:
        raise DataError("The database URL cannot be parsed.", hint="Write it as sqlite:///shop.db.") from None
    if url.get_backend_name() == "sqlite" and url.database not in (None, "", ":memory:"):
        url = url.set(database=str(existing_file(base / str(url.database))))
    return url


def _first_line(error: Exception) -> str:
    return (str(getattr(error, "orig", None) or error).strip() or type(error).__name__).split("\n")[0].rstrip(".")
