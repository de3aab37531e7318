"""What a database's errors mean, and what to do about them.

Nothing is tried again behind the caller's back. A call that raised StoreError changed nothing, with one exception that
no database can rule out: the connection broke during the commit. Sending the same events with the same event ids again
is right in every case, for what was stored is then answered as known.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import exc

from salon.errors import DataError, StoreError

_SQLITE = {
    sqlite3.SQLITE_BUSY: ("is locked by another process", "Try again; if it stays, end the process that holds it."),
    sqlite3.SQLITE_LOCKED: ("is locked by another process", "Try again; if it stays, end the process that holds it."),
    sqlite3.SQLITE_FULL: ("has no room left on its disk", "Free some space; nothing of the call was stored."),
    sqlite3.SQLITE_IOERR: ("cannot be read or written", "Check the disk, its room and the limits on file sizes."),
    sqlite3.SQLITE_CANTOPEN: ("cannot be opened", "Check that its file is there and may be read and written."),
    sqlite3.SQLITE_READONLY: ("may not be written", "Check the permissions of the file and of its folder."),
    sqlite3.SQLITE_PERM: ("may not be opened", "Check the permissions of the file and of its folder."),
    sqlite3.SQLITE_CORRUPT: ("is damaged", "Restore a backup: salon restore."),
    sqlite3.SQLITE_NOTADB: ("is not a database", "Restore a backup: salon restore."),
}

_POSTGRES = {
    "55P03": ("is locked by another session", "Try again; if it stays, end the session that holds it."),
    "40P01": ("found two sessions that wait for each other", "Try again."),
    "53100": ("has no room left on its disk", "Free some space; nothing of the call was stored."),
    "53300": ("has no connection left", "Try again, or raise max_connections."),
    "42501": ("refuses this user", "Grant the user of the URL the rights to the tables."),
    "25006": ("may not be written", "Connect to the primary, not to a read-only copy."),
    "XX001": ("is damaged", "Restore a backup: salon restore."),
}


@contextmanager
def explained(place: str) -> Iterator[None]:
    """Errors of the database inside the block as errors of salon.

    Args:
        place: How messages call the database; no password is in it.

    Raises:
        StoreError: The database could not do it.
        DataError: It refused a value.
    """
    try:
        yield
    except exc.TimeoutError as error:
        message = f"The store {place!r} is busy: all its connections are in use."
        raise StoreError(message, hint="Try again.") from error
    except (exc.DataError, UnicodeEncodeError) as error:
        cause = error.orig if isinstance(error, exc.DataError) else error
        raise DataError(f"The store {place!r} refuses a value: {_first_line(cause)}.") from error
    except Exception as error:
        cause = error.orig if isinstance(error, exc.DBAPIError) else error
        if not isinstance(cause, sqlite3.Error) and not hasattr(cause, "sqlstate"):  # as PostgreSQL's driver has it
            raise
        what, hint = _meaning(cause)
        raise StoreError(f"The store {place!r} {what}: {_first_line(cause)}.", hint=hint) from error


def _meaning(cause: BaseException | None) -> tuple[str, str]:
    if isinstance(cause, sqlite3.Error):
        code = getattr(cause, "sqlite_errorcode", 0) & 0xFF  # the low byte is the kind, the rest its details
        return _SQLITE.get(code, ("cannot do this", "Check its file."))
    state = getattr(cause, "sqlstate", None)
    if state is None or state.startswith(("08", "57P")):
        return "cannot be reached", "Check the URL, and that its server runs and has the database; then try again."
    return _POSTGRES.get(state, ("cannot do this", f"PostgreSQL names the error {state}."))


def _first_line(cause: BaseException | None) -> str:
    return (str(cause).strip() or type(cause).__name__).split("\n")[0].rstrip(".")
