"""One database behind one URL: connections, transactions, durability.

SQLite runs in write-ahead mode with synchronous=FULL, PostgreSQL with synchronous_commit=on: when a write returns, it
is on the disk. A write transaction takes the write lock at its beginning, so it never fails half-way for want of it.
"""

from __future__ import annotations

import importlib.util
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy import event, exc
from sqlalchemy.engine import URL, Connection, Engine, make_url

from salon.errors import MissingExtraError, SettingError, StoreError
from salon.store.faults import explained
from salon.store.schema import counter

_PRAGMAS = (
    "journal_mode = WAL",
    "synchronous = FULL",
    "foreign_keys = ON",
    "secure_delete = ON",  # what is deleted is overwritten
    "journal_size_limit = 67108864",
)
_TAKEN = counter.update().values(revision=counter.c.revision + sa.bindparam("count")).returning(counter.c.revision)


class Database:
    """The connections to one database.

    Args:
        url: An SQLite file or a PostgreSQL URL.
        wait: Seconds to wait for a lock or a connection before giving up.
    """

    def __init__(self, url: URL, wait: float) -> None:
        self.url = url
        self.wait = wait
        self.is_sqlite = url.get_backend_name() == "sqlite"
        self.place = str(url.database) if self.is_sqlite else f"{url.database} at {url.host or 'a socket'}"
        self.engine = _sqlite_engine(url, wait) if self.is_sqlite else _postgres_engine(url, wait)
        self._reader = self.engine if self.is_sqlite else self.engine.execution_options(isolation_level="AUTOCOMMIT")
        self._turn = threading.Lock()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection whose statements each see what is committed when they begin."""
        with explained(self.place), self._reader.connect() as connection:
            yield connection

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """A connection whose statements all see what was committed when the first one began."""
        options: dict[str, Any] = {"sqlite_begin": "BEGIN"}
        if not self.is_sqlite:
            options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        with explained(self.place), self.engine.connect().execution_options(**options) as connection:
            yield connection

    @contextmanager
    def write(self, *, stamped: bool = True) -> Iterator[Connection]:
        """A transaction that may write, committed durably when the block ends without an error.

        Args:
            stamped: Whether it takes revisions. Those that do run one after the other from their first statement.
        """
        options = {"sqlite_begin": "BEGIN IMMEDIATE"}
        with (
            explained(self.place),
            self._in_turn(),
            self.engine.connect().execution_options(**options) as connection,
            connection.begin(),
        ):
            if stamped and not self.is_sqlite:
                connection.execute(counter.select().with_for_update())
            yield connection

    @contextmanager
    def _in_turn(self) -> Iterator[None]:
        """The threads of this process queue up here; SQLite itself lets waiters sleep and try again."""
        if not self.is_sqlite:
            yield
            return
        if not self._turn.acquire(timeout=self.wait):
            raise StoreError(f"The store {self.place!r} is busy: others have been writing.", hint="Try again.")
        try:
            yield
        finally:
            self._turn.release()

    def scrub(self) -> None:
        """Empties SQLite's log, which holds deleted rows until it is written over, unless somebody is reading from it.

        PostgreSQL keeps them until its next vacuum, which no client can hurry within a transaction.
        """
        if not self.is_sqlite:
            return
        # The rows are gone already; a log that cannot be emptied now is emptied by the next one who comes by.
        with suppress(StoreError), explained(self.place), self._in_turn(), self.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA busy_timeout = 0")
            try:
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
            finally:
                connection.exec_driver_sql(f"PRAGMA busy_timeout = {int(self.wait * 1000)}")

    def close(self) -> None:
        """Closes all connections."""
        self.engine.dispose()


class Part:
    """A part of the store.

    Args:
        database: Where it is.
    """

    def __init__(self, database: Database) -> None:
        self._database = database


def stamp(connection: Connection, count: int) -> int:
    """Takes `count` revisions for the running stamped write; gives the first of them."""
    return int(connection.execute(_TAKEN, {"count": count}).scalar_one()) - count + 1


def database_url(url: str | Path) -> URL:
    """The URL of a database: a path means an SQLite file.

    Raises:
        SettingError: It is neither an SQLite file nor a PostgreSQL URL.
        MissingExtraError: PostgreSQL needs `salon[postgres]`.
    """
    if isinstance(url, Path) or "://" not in url:
        return URL.create("sqlite", database=os.path.abspath(url))
    hint = "Write it as sqlite:///store.sqlite or postgresql://user:password@host/name."
    try:
        parsed = make_url(url)
    except (exc.ArgumentError, ValueError):
        raise SettingError("The database URL cannot be parsed.", hint=hint) from None
    backend = parsed.get_backend_name()
    if backend == "sqlite" and parsed.database not in (None, "", ":memory:"):
        return URL.create("sqlite", database=os.path.abspath(str(parsed.database)))
    if backend not in ("postgresql", "postgres"):
        raise SettingError(f"A store cannot be kept in {parsed.database or ''!r} of {backend!r}.", hint=hint)
    if importlib.util.find_spec("psycopg") is None:
        raise MissingExtraError.of("A store in PostgreSQL", "postgres")
    return parsed.set(drivername="postgresql+psycopg")


def make_file(path: Path) -> None:
    """An empty file that only its owner may read, where there is none; SQLite gives its log the same rights.

    Raises:
        StoreError: It cannot be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            os.close(os.open(path, os.O_CREAT, 0o600))
    except OSError as error:
        hint = "Choose a folder that may be written."
        raise StoreError(f"The store {str(path)!r} cannot be made: {error.strerror}.", hint=hint) from error


def _sqlite_engine(url: URL, wait: float) -> Engine:
    path = str(url.database)

    def connect() -> sqlite3.Connection:
        uri = f"file:{quote(path)}?mode=rw"  # a file that is gone is an error, not a new store
        made = sqlite3.connect(uri, uri=True, timeout=wait, isolation_level=None, check_same_thread=False)
        try:
            for pragma in _PRAGMAS:
                _set(made, pragma, wait)
        except BaseException:
            made.close()
            raise
        return made

    engine = sa.create_engine("sqlite://", creator=connect, poolclass=sa.QueuePool, pool_size=8, max_overflow=56,
                              pool_timeout=wait)  # fmt: skip

    @event.listens_for(engine, "connect")
    def note_file(_: Any, record: Any) -> None:
        record.info["file"] = _identity(path)

    @event.listens_for(engine, "checkout")
    def check_file(_: Any, record: Any, __: Any) -> None:
        """A file that was removed or replaced still takes writes from who has it open; nobody would see them again."""
        if _identity(path) != record.info["file"]:
            raise exc.DisconnectionError("the file was replaced")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        how = connection.get_execution_options().get("sqlite_begin")
        if how is not None:
            connection.exec_driver_sql(how)

    return engine


def _set(connection: sqlite3.Connection, pragma: str, wait: float) -> None:
    """Sets a pragma; a new file that others open too is refused its log at once, without the wait of SQLite itself."""
    end = time.monotonic() + wait
    while True:
        try:
            connection.execute(f"PRAGMA {pragma}")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= end:
                raise
            time.sleep(0.01)


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _postgres_engine(url: URL, wait: float) -> Engine:
    milliseconds = int(wait * 1000)
    options = f"-c synchronous_commit=on -c lock_timeout={milliseconds} -c timezone=UTC"
    options += " -c enable_seqscan=off -c jit=off"  # look-ups have indexes; a planner without statistics misses them
    return sa.create_engine(
        url, pool_size=8, max_overflow=24, pool_timeout=wait, pool_pre_ping=True,
        connect_args={"options": options, "connect_timeout": max(2, int(wait))},
    )  # fmt: skip
