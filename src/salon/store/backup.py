"""Backup and restore: everything in the store, exactly, in one folder with checksums.

    backup/
      manifest.json     when, of which database, at which step and revision, rows per table, SHA-256 of every file
      store.sqlite      of an SQLite store: a copy by SQLite's online backup, checked page by page
      tables/           of a PostgreSQL store: every table as JSON lines, read in one snapshot
      media/  model/    copies of the folders that were given

Either kind is restored into either database. A restore is one transaction: a kill leaves what was there before.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from salon.artifacts import reading, writing
from salon.errors import ArtifactError, ConflictError, StoreError
from salon.store.database import Database, database_url, make_file
from salon.store.files import PIECE, read_records, write_jsonl
from salon.store.migrate import HEAD, run_steps
from salon.store.schema import METADATA, counter
from salon.store.store import Store

KIND = "store-backup"
_OTHER = "Use another backup."
_FOLDERS = ("media", "model")


def backup(store: Store, path: Path | str, *, media: Path | None = None, model: Path | None = None) -> dict[str, int]:
    """Writes everything into a new folder while others go on reading and writing.

    Args:
        store: What to back up.
        path: The folder; an older backup there is replaced when the new one is complete.
        media: Folder with the media of the items, to be kept too.
        model: Folder of the live model, to be kept too.

    Returns:
        Table to number of rows.

    Raises:
        ArtifactError: `path` holds something else, or a folder has links in it.
        StoreError: The database is damaged or cannot be read.
    """
    about: dict[str, Any] = {"time": time.time(), "step": HEAD, "rows": {}}
    with writing(Path(path), KIND, about=about) as place:
        place.chmod(0o700)  # as private as the store
        if store.database.is_sqlite:
            about |= _copy_sqlite(store, place / "store.sqlite")
        else:
            about |= _dump_tables(store, place / "tables")
        for name, folder in zip(_FOLDERS, (media, model), strict=True):
            if folder is not None:
                _copy_files(folder, place / name)
    return dict(about["rows"])


def _copy_sqlite(store: Store, path: Path) -> dict[str, Any]:
    with store.database.read() as connection, closing(sqlite3.connect(path)) as copy:
        source = connection.connection.driver_connection
        assert isinstance(source, sqlite3.Connection)
        source.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")  # one file, without a log beside it
        found = copy.execute("PRAGMA integrity_check").fetchone()[0]
        if found != "ok":
            raise StoreError(
                f"The store {store.database.place!r} is damaged: {found}.", hint="Restore an older backup."
            )
        rows = {name: int(copy.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0]) for name in METADATA.tables}  # noqa: S608
        return {"revision": int(copy.execute("SELECT revision FROM counter").fetchone()[0]), "rows": rows}


def _dump_tables(store: Store, folder: Path) -> dict[str, Any]:
    folder.mkdir()
    rows = {}
    with store.database.snapshot() as connection:
        for name, table in METADATA.tables.items():
            found = connection.execute(table.select(), execution_options={"yield_per": PIECE}).partitions()
            rows[name] = write_jsonl(folder / f"{name}.jsonl", ([dict(row._mapping) for row in part] for part in found))
        revision = connection.execute(sa.select(counter.c.revision)).scalar_one()
    return {"revision": int(revision), "rows": rows}


def restore(
    path: Path | str, url: str | Path, *, replace: bool = False, media: Path | None = None, model: Path | None = None
) -> dict[str, int]:
    """Puts a backup into a database, and its folders beside.

    Args:
        path: The folder of the backup; every checksum is compared first.
        url: An SQLite file, which is made, or a PostgreSQL database, which must be there.
        replace: Whether what is there is dropped. Without it the target must hold no data.
        media: Where the media go; None leaves them out.
        model: Where the model goes; None leaves it out.

    Returns:
        Table to number of rows, as counted in the target.

    Raises:
        ArtifactError: It is no backup, it was changed, or it lacks a folder that is asked for.
        ConflictError: The target holds data and `replace` is not set.
        StoreError: The target cannot be written, or the backup comes from a newer version of salon.
    """
    path = Path(path)
    about = reading(path, KIND).get("about")
    if not isinstance(about, dict) or not isinstance(about.get("rows"), dict) or "step" not in about:
        raise ArtifactError(f"The manifest of {str(path)!r} does not say what was backed up.", hint=_OTHER)
    for name, folder in zip(_FOLDERS, (media, model), strict=True):
        if folder is not None:
            _check_folder(path / name, folder, replace)
    parsed = database_url(url)
    if parsed.get_backend_name() == "sqlite":
        make_file(Path(str(parsed.database)))
    database = Database(parsed, wait=5.0)
    try:
        with database.write(stamped=False) as connection:
            rows = _fill(connection, path, about, replace)
    finally:
        database.close()
    for name, folder in zip(_FOLDERS, (media, model), strict=True):
        if folder is not None:
            beside = folder.parent / f".{folder.name}.new-{os.getpid()}"
            _copy_files(path / name, beside)
            shutil.rmtree(folder, ignore_errors=True)
            beside.rename(folder)
    return rows


def _fill(connection: Connection, path: Path, about: Mapping[str, Any], replace: bool) -> dict[str, int]:
    """The tables as they were at the step of the backup, then brought to the newest."""
    there = set(sa.inspect(connection).get_table_names())
    if not replace and any(_has_rows(connection, name) for name in there - {"alembic_version"}):
        raise ConflictError(
            "The target holds data.", hint="Choose an empty database, or say that it is to be replaced."
        )
    for name in there & {*METADATA.tables, "alembic_version"}:
        connection.execute(sa.schema.DropTable(sa.Table(name, sa.MetaData())))
    run_steps(connection, about["step"])
    connection.execute(counter.delete())
    made = set(sa.inspect(connection).get_table_names())
    if not set(about["rows"]) <= made:
        raise ArtifactError(f"The manifest names tables that step {about['step']!r} does not have.", hint=_OTHER)
    rows = {name: _fill_table(connection, path, name) for name in about["rows"]}
    if rows != about["rows"]:
        raise ArtifactError(f"The backup has {rows}, but its manifest says {about['rows']}.", hint=_OTHER)
    run_steps(connection)
    return rows


def _has_rows(connection: Connection, name: str) -> bool:
    rows = sa.select(sa.literal(1)).select_from(sa.table(name))
    if name == "counter":
        rows = rows.where(sa.column("revision") > 0)
    return connection.execute(rows.limit(1)).first() is not None


def _fill_table(connection: Connection, path: Path, name: str) -> int:
    table = sa.Table(name, sa.MetaData(), autoload_with=connection)
    flags = [column.name for column in table.c if isinstance(column.type, sa.Boolean)]
    rows = _rows(path, name)
    count = 0
    while piece := list(islice(rows, PIECE)):
        if any(row.keys() != set(table.c.keys()) for row in piece):
            raise ArtifactError(f"A row of {name!r} has other columns than its table.", hint=_OTHER)
        connection.execute(table.insert(), [row | {flag: bool(row[flag]) for flag in flags} for row in piece])
        count += len(piece)
    if name == "audit" and count and connection.dialect.name == "postgresql":
        last = sa.select(sa.func.max(table.c.id)).scalar_subquery()
        connection.execute(sa.select(sa.func.setval(sa.func.pg_get_serial_sequence(name, "id"), last)))
    return count


def _rows(path: Path, name: str) -> Iterator[dict[str, Any]]:
    copy = path / "store.sqlite"
    if not copy.is_file():
        for file, line, record in read_records(path / "tables", name):
            if not isinstance(record, dict):
                raise ArtifactError(f"Line {line} of {file!r} is no row.", hint=_OTHER)
            yield record
        return
    with closing(sqlite3.connect(f"{copy.resolve().as_uri()}?mode=ro&immutable=1", uri=True)) as database:
        found = database.execute(f'SELECT * FROM "{name}"')  # noqa: S608
        names = [column[0] for column in found.description]
        for row in found:
            yield dict(zip(names, row, strict=True))


def _check_folder(source: Path, target: Path, replace: bool) -> None:
    if not source.is_dir():
        raise ArtifactError(f"The backup has no {source.name}.", hint="It was made without that folder.")
    if target.exists() and (not target.is_dir() or any(target.iterdir())) and not replace:
        hint = "Choose another folder, or say that it is to be replaced."
        raise ConflictError(f"The folder {str(target)!r} is not empty.", hint=hint)


def _copy_files(source: Path, target: Path) -> None:
    """A copy of a folder; a link could lead out of it and is refused."""
    for folder, folders, files in os.walk(source):
        link = next((name for name in [*folders, *files] if os.path.islink(os.path.join(folder, name))), None)
        if link is not None:
            raise ArtifactError(f"{link!r} in {folder!r} is a link.", hint="Put the file itself there.")
    try:
        shutil.copytree(source, target)
    except OSError as error:
        raise ArtifactError(f"The folder {str(source)!r} cannot be copied: {error}.") from error
