"""Loading many items, people or events from a file, into a store or through the API of a running server.

Every row has a result; nothing is left out in silence. An event without an id gets one made of its content, so that
loading a file twice is the same as once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import httpx
import polars as pl
from pydantic import BaseModel, ValidationError

from salon.data.columns import as_numbers
from salon.data.tables import DELIMITERS, JSON_LINES, existing_file, read_delimited
from salon.errors import DataError, SettingError
from salon.serve.schemas_shop import EventBody, NewItem, NewUser
from salon.store import Store
from salon.store.values import StoredEvent, StoredItem, StoredUser
from salon.types import Progress

Kind = Literal["items", "users", "events"]
Part = dict[str, Any]
Result = tuple[str, str]
"""What became of a part: stored, known or rejected; and why it was rejected."""

SCHEMAS: dict[Kind, type[BaseModel]] = {"items": NewItem, "users": NewUser, "events": EventBody}
REST: dict[Kind, str] = {"items": "fields", "users": "fields", "events": "properties"}
"""Where columns go that have no name of their own."""
WORDS = frozenset({"id", "user", "item", "kind", "event_id", "recommendation_id", "session", "scenario"})
"""Columns that are words, even if all of them look like numbers."""
PIECE = 500
"""Rows that are sent together."""
MOST_REASONS = 20


@dataclass
class Loaded:
    """What became of a file.

    Attributes:
        stored: Rows that are stored now.
        known: Events that were there already.
        rejected: Rows that were not taken.
        reasons: (row from 1, why) of the first of them.
    """

    stored: int = 0
    known: int = 0
    rejected: int = 0
    reasons: list[tuple[int, str]] = field(default_factory=list)

    def add(self, row: int, status: str, why: str) -> None:
        """Counts one row."""
        setattr(self, status, getattr(self, status) + 1)
        if status == "rejected" and len(self.reasons) < MOST_REASONS:
            self.reasons.append((row, why))


def load_file(
    path: Path, kind: Kind, send: Callable[[Kind, Sequence[Part]], list[Result]], progress: Progress | None = None
) -> Loaded:
    """Sends the rows of a file, piece by piece.

    Args:
        path: .csv, .tsv, .jsonl or .parquet. Columns that are no part of an item, person or event become fields.
        kind: What its rows are.
        send: `to_store` or `to_server`.
        progress: Told how many rows are done.

    Raises:
        DataError: The file cannot be read.
    """
    loaded, row = Loaded(), 0
    rows = rows_of(path)
    while piece := list(islice(rows, PIECE)):
        sound: list[tuple[int, Part]] = []
        for one in piece:
            row += 1
            part, problem = _part(one, kind)
            if problem:
                loaded.add(row, "rejected", problem)
            else:
                sound.append((row, part))
        if sound:
            results = send(kind, [part for _, part in sound])
            for (number, _), (status, why) in zip(sound, results, strict=True):
                loaded.add(number, status, why)
        if progress is not None:
            progress(row, row, f"load {kind}")
    return loaded


# -- from the file -----------------------------------------------------------------------------------------------------


def rows_of(path: Path) -> Iterator[Mapping[str, Any] | DataError]:
    """The rows of a table, by its suffix; a line that is no JSON yields its error.

    Raises:
        DataError: The file is absent, of no known kind, or cannot be read.
    """
    suffix = existing_file(path).suffix.lower()
    if suffix in DELIMITERS:
        frame = read_delimited(path, DELIMITERS[suffix], None)
        yield from frame.with_columns(*map(_typed, frame.get_columns())).iter_rows(named=True)
    elif suffix in JSON_LINES:
        yield from _lines(path)
    elif suffix == ".parquet":
        try:
            yield from pl.read_parquet(path).iter_rows(named=True)
        except (pl.exceptions.PolarsError, OSError) as error:
            reason = str(error).strip().split("\n")[0]
            raise DataError(f"{path.name!r} cannot be read as parquet: {reason}.") from None
    else:
        known = ", ".join([*DELIMITERS, *JSON_LINES, ".parquet"])
        raise DataError(f"The table {path.name!r} is of no known kind.", hint=f"Known: {known}.")


def _typed(column: pl.Series) -> pl.Series:
    """A column of text as numbers, where all of its cells are and its name says no word."""
    if column.name in WORDS:
        return column
    values, bad = as_numbers(column)
    if bad.any() or column.is_null().all():
        return column
    numbers = pl.Series(column.name, values).fill_nan(None)
    whole = numbers.cast(pl.Int64, strict=False)
    return whole if ((whole == numbers) | numbers.is_null()).all() else numbers


def _lines(path: Path) -> Iterator[Mapping[str, Any] | DataError]:
    with path.open(encoding="utf-8", errors="replace") as stream:
        for line in stream:
            if line.strip():
                try:
                    found = json.loads(line)
                except (ValueError, RecursionError) as error:
                    yield DataError(f"no JSON: {error}")
                    continue
                yield found if isinstance(found, dict) else DataError("no object")


def _part(row: Mapping[str, Any] | DataError, kind: Kind) -> tuple[Part, str]:
    """A row as the API takes it, or what is wrong with it."""
    if isinstance(row, DataError):
        return {}, row.message
    schema, rest = SCHEMAS[kind], REST[kind]
    part: Part = {}
    further: Part = {}
    for name, value in row.items():
        if value is not None:
            (part if name in schema.model_fields else further)[name] = value
    if further:
        given = part.get(rest, {})
        part[rest] = {**further, **(given if isinstance(given, dict) else {})}
    try:
        for name in ("time", "created"):
            if name in part:
                part[name] = _seconds(part[name])
        for name in WORDS & part.keys():
            part[name] = str(part[name])
        read = schema.model_validate(part)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        return {}, f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    except (ValueError, TypeError, OverflowError) as error:
        return {}, str(error)
    if isinstance(read, EventBody) and not read.event_id:
        text = json.dumps(part, sort_keys=True, default=str)
        part["event_id"] = f"load-{hashlib.sha256(text.encode('utf-8', 'replace')).hexdigest()[:32]}"
    return part, ""


def _seconds(value: Any) -> float:
    """Seconds since 1970 of a number, a date, or the text of one."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            value = datetime.fromisoformat(value.strip())
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    return float(value)


# -- to the store or the server ----------------------------------------------------------------------------------------


def to_store(store: Store) -> Callable[[Kind, Sequence[Part]], list[Result]]:
    """Stores parts directly; a running server takes them over by itself."""

    def put(kind: Kind, parts: Sequence[Part]) -> list[bool]:
        if kind == "events":
            return store.events.append([StoredEvent(**part) for part in parts])
        if kind == "items":
            store.items.put([StoredItem(**part) for part in parts])
        else:
            store.users.put([StoredUser(**part) for part in parts])
        return [True] * len(parts)

    def send(kind: Kind, parts: Sequence[Part]) -> list[Result]:
        try:
            return [("stored" if new else "known", "") for new in put(kind, parts)]
        except DataError as error:
            if len(parts) == 1:
                return [("rejected", error.message)]
            return [result for part in parts for result in send(kind, [part])]  # the bad one harms no other

    return send


def to_server(url: str, key: str) -> Callable[[Kind, Sequence[Part]], list[Result]]:
    """Sends parts to the API of a running server.

    Raises:
        SettingError: It refuses the key.
        DataError: It cannot be reached, or answers with an error.
    """
    headers = {"Authorization": f"Bearer {key}"}

    def send(kind: Kind, parts: Sequence[Part]) -> list[Result]:
        address = f"{url.rstrip('/')}/v1/{kind}"
        try:
            answer = httpx.post(address, json={kind: list(parts)}, headers=headers, timeout=60.0, trust_env=False)
        except httpx.HTTPError as error:
            raise DataError(f"{address} cannot be reached: {error}.", hint="Does the server run there?") from None
        if answer.status_code in (401, 403):
            raise SettingError(f"The server refuses the key: {_detail(answer)}", hint="Give it with --key-file.")
        if answer.status_code != 200:
            raise DataError(f"The server answers with status {answer.status_code}: {_detail(answer)}")
        return [(one["status"], (one["error"] or {}).get("message", "")) for one in answer.json()["results"]]

    return send


def _detail(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return "no reason is given."
