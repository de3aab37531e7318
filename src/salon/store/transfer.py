"""Export and import: what a shop told and what people did, as JSON lines or parquet that other programs read.

Tables: items, users, events, exposures, experiments and scenarios; keys, versions and the audit are in backups only.
Revisions are not exported: an import gives new ones. Importing twice is the same as once, for events keep their ids
and everything else its name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy.engine import Connection

from salon.artifacts import writing
from salon.errors import DataError, SalonError, SettingError, did_you_mean
from salon.store.files import PIECE, Format, read_records, write_jsonl, write_parquet
from salon.store.records import RECORDS, Record
from salon.store.store import Store

MOST_REJECTS = 1000
"""Rejected records that a report names; the others are counted."""


@dataclass(frozen=True)
class Rejected:
    """A record that was not imported.

    Attributes:
        file: Where it stands.
        line: Line, or row of parquet, from 1.
        reason: Why.
    """

    file: str
    line: int
    reason: str


@dataclass(frozen=True)
class Imported:
    """What an import did.

    Attributes:
        counts: Table to how many of its records were stored.
        known: Events that were there already.
        n_rejected: Records that were left out.
        rejects: The first 1,000 of them.
    """

    counts: Mapping[str, int]
    known: int
    n_rejected: int
    rejects: tuple[Rejected, ...]


def export_store(store: Store, folder: Path | str, format: Format = "jsonl") -> dict[str, int]:
    """Writes the tables into a new folder, as one consistent snapshot, in bounded memory.

    Args:
        store: What to export; others may go on writing.
        folder: Made anew; an older export there is replaced.
        format: "jsonl" (one file a table) or "parquet" (a folder of parts a table; objects are JSON text).

    Returns:
        Table to number of records.

    Raises:
        SettingError: The format is unknown.
        ArtifactError: The folder holds something else.
    """
    if format not in ("jsonl", "parquet"):
        raise SettingError(f"The format {format!r} is unknown.", hint=did_you_mean(format, ["jsonl", "parquet"]))
    counts = {}
    with writing(Path(folder), "store-export", content=format) as place, store.database.snapshot() as connection:
        place.chmod(0o700)  # as private as the store
        for table, record in RECORDS.items():
            pieces = _pieces(connection, record)
            if format == "jsonl":
                counts[table] = write_jsonl(place / f"{table}.jsonl", pieces)
            else:
                flat = ([record.flatten(one) for one in piece] for piece in pieces)
                counts[table] = write_parquet(place / table, flat, record.columns)
    return counts


def _pieces(connection: Connection, record: Record) -> Iterator[list[dict[str, Any]]]:
    for rows in connection.execute(record.rows, execution_options={"yield_per": PIECE}).partitions():
        yield [record.write(row) for row in rows]


def import_store(store: Store, folder: Path | str) -> Imported:
    """Stores the records of a folder, in bounded memory; a record that cannot be kept is reported and left out.

    Args:
        store: Where they go; what has the same id there is replaced, events that are known stay.
        folder: With some of items, users, events, exposures, experiments and scenarios, as TABLE.jsonl, TABLE.parquet
            or parquet files in a folder TABLE.

    Raises:
        DataError: The folder holds none of them, or a file cannot be read at all.
    """
    folder = Path(folder)
    tables = [name for name in RECORDS if any((folder / (name + end)).exists() for end in (".jsonl", ".parquet", ""))]
    if not tables:
        hint = "It needs files such as items.jsonl or events.parquet."
        raise DataError(f"There is nothing to import in {str(folder)!r}.", hint=hint)
    work = _Import(store, folder)
    for table in tables:
        work.read(table)
    return Imported(work.counts, work.known, work.n_rejected, tuple(work.rejects))


class _Import:
    """An import under way."""

    def __init__(self, store: Store, folder: Path) -> None:
        self._store, self._folder = store, folder
        self.counts: dict[str, int] = {}
        self.known, self.n_rejected = 0, 0
        self.rejects: list[Rejected] = []

    def read(self, table: str) -> None:
        """Stores the records of one table, piece by piece."""
        self.counts[table] = 0
        records = read_records(self._folder, table)
        while piece := list(islice(records, PIECE)):
            good = []
            for file, line, record in piece:
                try:
                    good.append((file, line, RECORDS[table].read(record)))
                except DataError as error:
                    self._reject(file, line, error)
            stored = RECORDS[table].put(self._store, [value for _, _, value in good])
            self.counts[table] += stored
            if table == "events":
                self.known += len(good) - stored
            if table == "users":
                self._merge(good)

    def _merge(self, people: Sequence[tuple[str, int, Any]]) -> None:
        joined = [one for one in people if one[2].merged_into]
        done = self._store.users.merge_many([(value.id, value.merged_into) for _, _, value in joined])
        for (file, line, _), result in zip(joined, done, strict=True):
            if isinstance(result, SalonError):
                self._reject(file, line, result)

    def _reject(self, file: str, line: int, error: SalonError) -> None:
        self.n_rejected += 1
        if len(self.rejects) < MOST_REJECTS:
            self.rejects.append(Rejected(file, line, str(error)))
