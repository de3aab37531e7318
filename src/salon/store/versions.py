"""Models that were learned, one of which is live."""

from __future__ import annotations

import json
import time
from typing import Any, get_args

from sqlalchemy.engine import Connection, Row

from salon.errors import ConflictError, DataError, UnknownIdError
from salon.store.checks import as_json, kept, named, number
from salon.store.database import Part, stamp
from salon.store.schema import versions
from salon.store.statements import upsert
from salon.store.values import State, Version


class Versions(Part):
    """Versions by name."""

    def add(self, version: Version) -> None:
        """Stores a version, or says anew what is known of it; one that is live takes the place of the one before.

        Raises:
            DataError: The state is unknown, or a word or the metrics cannot be kept.
            ConflictError: It would leave no version live, for it is the live one and is given another state.
        """
        name = named(version.version, "version")
        if version.state not in get_args(State):
            known = ", ".join(get_args(State))
            raise DataError(f"The state {version.state!r} of version {name!r} is unknown.", hint=f"Known: {known}.")
        row = {
            "version": name,
            "path": kept(version.path, "path of a model"),
            "state": version.state,
            "metrics": as_json(dict(version.metrics), f"metrics of version {name!r}"),
            "created": number(version.created, "time of a version") or time.time(),
            "activated": None if version.activated is None else number(version.activated, "time of a version"),
        }
        with self._database.write() as connection:
            stamp(connection, 1)
            old = _find(connection, name)
            if old is not None and old.state == "live" and version.state != "live":
                raise ConflictError(f"The version {name!r} is live.", hint="Activate another one instead.")
            if version.state == "live":
                _retire(connection)
                row["activated"] = row["activated"] or time.time()
            upsert(connection, versions, [row])

    def get(self, version: str) -> Version | None:
        """One version, or None."""
        with self._database.read() as connection:
            row = _find(connection, version)
        return None if row is None else _of_row(row)

    def all(self) -> list[Version]:
        """All versions, newest first."""
        ordered = versions.select().order_by(versions.c.created.desc(), versions.c.version.desc())
        with self._database.read() as connection:
            return [_of_row(row) for row in connection.execute(ordered)]

    def live(self) -> Version | None:
        """The version that is live, or None where none is yet."""
        with self._database.read() as connection:
            row = connection.execute(versions.select().where(versions.c.state == "live")).one_or_none()
        return None if row is None else _of_row(row)

    def activate(self, version: str) -> Version:
        """Makes a version live and retires the one before, in one transaction.

        Raises:
            UnknownIdError: There is no such version.
            ConflictError: It is a failed one.
        """
        with self._database.write() as connection:
            stamp(connection, 1)
            row = _find(connection, version)
            if row is None:
                raise UnknownIdError(f"There is no version {version!r}.", hint="List the versions.")
            if row.state == "failed":
                raise ConflictError(f"The version {version!r} failed and cannot be live.", hint="Choose another one.")
            if row.state != "live":
                _retire(connection)
                live = (
                    versions.update().where(versions.c.version == version).values(state="live", activated=time.time())
                )
                row = connection.execute(live.returning(*versions.c)).one()
        return _of_row(row)


def _find(connection: Connection, version: str) -> Row[Any] | None:
    return connection.execute(versions.select().where(versions.c.version == version)).one_or_none()


def _retire(connection: Connection) -> None:
    connection.execute(versions.update().where(versions.c.state == "live").values(state="retired"))


def _of_row(row: Row[Any]) -> Version:
    return Version(row.version, row.path, row.state, json.loads(row.metrics), row.created, row.activated)
