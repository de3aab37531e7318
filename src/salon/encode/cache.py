"""Vectors that were computed before, by content and by encoder, in one SQLite file.

The key of a vector is the SHA-256 of the raw content and the fingerprint of the encoder, so a renamed or repeated
file is encoded once and another encoder never gets the vector of this one. Which item has which content is a table of
its own: two items of equal content both exist. Every finished batch is one transaction (write-ahead log): a kill at
any moment loses at most the batch in hand, and nothing half-written is ever read. Several processes may read and
write; the file must be on a local disk. Above `max_bytes` the vectors written first are dropped.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from salon.errors import ArtifactError
from salon.types import FloatArray

FORMAT = 1
_TABLES = """
CREATE TABLE IF NOT EXISTS vectors (
    number INTEGER PRIMARY KEY, content BLOB NOT NULL, encoder TEXT NOT NULL, vector BLOB NOT NULL,
    UNIQUE (content, encoder)
);
CREATE TABLE IF NOT EXISTS sources (
    item TEXT NOT NULL, field TEXT NOT NULL, content BLOB NOT NULL, PRIMARY KEY (item, field)
) WITHOUT ROWID;
"""


class VectorCache:
    """A file of vectors, opened when first used.

    Args:
        path: The SQLite file; made when absent. None keeps everything in memory, for one process.
        max_bytes: Size that `trim` cuts the file to.
    """

    def __init__(self, path: Path | str | None, *, max_bytes: int = 4 << 30) -> None:
        self.path = None if path is None else Path(path)
        self.max_bytes = max_bytes
        self._database: sqlite3.Connection | None = None
        self._lock = threading.RLock()

    def get(self, encoder: str, contents: Iterable[bytes]) -> dict[bytes, FloatArray]:
        """The vectors that are there.

        Args:
            encoder: Fingerprint of the encoder.
            contents: SHA-256 of raw contents, 32 bytes each.

        Returns:
            Content -> (d,) float32.
        """
        wanted, found = list(dict.fromkeys(contents)), {}
        with self._open() as database:
            for start in range(0, len(wanted), 500):
                part = wanted[start : start + 500]
                places = ",".join("?" * len(part))
                query = f"SELECT content, vector FROM vectors WHERE encoder = ? AND content IN ({places})"  # noqa: S608
                for content, raw in database.execute(query, [encoder, *part]):
                    found[content] = np.frombuffer(raw, "<f4")
        return found

    def put(self, encoder: str, vectors: Mapping[bytes, FloatArray]) -> None:
        """Adds vectors in one transaction; those that are there already stay."""
        rows = [(content, encoder, np.asarray(vector, "<f4").tobytes()) for content, vector in vectors.items()]
        with self._open() as database:
            database.executemany("INSERT OR IGNORE INTO vectors (content, encoder, vector) VALUES (?, ?, ?)", rows)

    def note(self, field: str, contents: Mapping[str, bytes]) -> None:
        """Records which content the items have in a field: item id -> SHA-256."""
        rows = [(item, field, content) for item, content in contents.items()]
        with self._open() as database:
            database.executemany("INSERT OR REPLACE INTO sources (item, field, content) VALUES (?, ?, ?)", rows)

    def contents(self, field: str) -> dict[str, bytes]:
        """What `note` recorded for a field: item id -> SHA-256."""
        with self._open() as database:
            return dict(database.execute("SELECT item, content FROM sources WHERE field = ?", [field]))

    def forget(self, items: Sequence[str]) -> None:
        """Drops items, and the vectors of contents that no recorded item has any more."""
        with self._open() as database:
            for item in items:
                held = [row[0] for row in database.execute("SELECT content FROM sources WHERE item = ?", [item])]
                database.execute("DELETE FROM sources WHERE item = ?", [item])
                for content in held:
                    if not database.execute("SELECT 1 FROM sources WHERE content = ?", [content]).fetchone():
                        database.execute("DELETE FROM vectors WHERE content = ?", [content])

    def __len__(self) -> int:
        with self._open() as database:
            return int(database.execute("SELECT count(*) FROM vectors").fetchone()[0])

    def size(self) -> int:
        """Bytes in use."""
        with self._open() as database:
            pages, free, page = (
                database.execute(f"PRAGMA {what}").fetchone()[0]
                for what in ("page_count", "freelist_count", "page_size")
            )
        return int((pages - free) * page)

    def trim(self) -> int:
        """Drops the vectors written first until the size is within `max_bytes`; returns how many were dropped."""
        dropped = 0
        while (excess := self.size() - self.max_bytes) > 0 and (count := len(self)):
            part = max(1, int(count * min(1.0, 1.1 * excess / self.size())))
            oldest = "DELETE FROM vectors WHERE number IN (SELECT number FROM vectors ORDER BY number LIMIT ?)"
            with self._open() as database:
                dropped += database.execute(oldest, [part]).rowcount
        return dropped

    def close(self) -> None:
        """Closes the file."""
        with self._lock:
            if self._database is not None:
                self._database.close()
                self._database = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """The database inside a transaction, committed when the block ends without an error."""
        try:
            with self._lock:
                if self._database is None:
                    self._database = self._connect()
                with self._database:
                    yield self._database
        except sqlite3.OperationalError as error:
            raise ArtifactError(f"The vector cache {str(self.path)!r} cannot be used: {error}.") from error
        except sqlite3.DatabaseError as error:
            hint = "Delete the file; what it held is computed again."
            raise ArtifactError(f"The vector cache {str(self.path)!r} is damaged: {error}.", hint=hint) from error

    def _connect(self) -> sqlite3.Connection:
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        database = sqlite3.connect(str(self.path or ":memory:"), timeout=60, check_same_thread=False)
        try:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = NORMAL")
            found = int(database.execute("PRAGMA user_version").fetchone()[0])
            if found not in (0, FORMAT):
                raise ArtifactError(
                    f"The vector cache {str(self.path)!r} has format {found}; this version reads {FORMAT}."
                )
            database.executescript(_TABLES + f"PRAGMA user_version = {FORMAT};")
        except BaseException:
            database.close()
            raise
        return database
