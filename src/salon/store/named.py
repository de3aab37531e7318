"""Small things by name: experiments, placements, and state that several processes change in turn."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from salon.store.checks import as_json
from salon.store.checks import named as checked
from salon.store.database import Database, Part, stamp
from salon.store.schema import experiments, scenarios, state
from salon.store.statements import upsert


class Named(Part):
    """JSON bodies by name. Every change takes a revision, so that other processes see that there was one.

    Args:
        database: Where they are.
        table: Its name says what they are.
    """

    def __init__(self, database: Database, table: sa.Table) -> None:
        super().__init__(database)
        self._table = table
        self._what = table.name.removesuffix("s")

    def put(self, name: str, body: Mapping[str, Any]) -> int:
        """Stores or replaces one; the revision of the change.

        Raises:
            DataError: The name or the body cannot be kept.
        """
        row = body_row(name, body, self._what) | self._own(body)
        with self._database.write() as connection:
            revision = stamp(connection, 1)
            upsert(connection, self._table, [row | {"revision": revision}])
        return revision

    def _own(self, body: Mapping[str, Any]) -> dict[str, Any]:
        return {}

    def get(self, name: str) -> dict[str, Any] | None:
        """The body of one, or None."""
        found = sa.select(self._table.c.body).where(self._table.c.name == name)
        with self._database.read() as connection:
            body = connection.execute(found).scalar_one_or_none()
        return None if body is None else json.loads(body)

    def all(self) -> dict[str, dict[str, Any]]:
        """All bodies by name."""
        found = sa.select(self._table.c.name, self._table.c.body).order_by(self._table.c.name)
        with self._database.read() as connection:
            return {row.name: json.loads(row.body) for row in connection.execute(found)}

    def delete(self, name: str) -> bool:
        """Removes one; whether it was there."""
        with self._database.write() as connection:
            gone = connection.execute(self._table.delete().where(self._table.c.name == name)).rowcount > 0
            stamp(connection, int(gone))
        return gone


def body_row(name: str, body: Mapping[str, Any], what: str) -> dict[str, Any]:
    """The columns of one, checked.

    Raises:
        DataError: The name or the body cannot be kept.
    """
    return {"name": checked(name, what), "body": as_json(dict(body), f"settings of {what} {name!r}")}


class Scenarios(Named):
    """Placements by name."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, scenarios)


class Experiments(Named):
    """Experiments by name; the "state" of a body has a column of its own, for people who look into the table."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, experiments)

    def _own(self, body: Mapping[str, Any]) -> dict[str, Any]:
        return {"state": str(body.get("state", ""))}


class Values(Part):
    """Small state by name, such as that of a bandit, changed only by who saw the newest."""

    def get(self, name: str) -> tuple[Any, int] | None:
        """The body and its revision, or None."""
        with self._database.read() as connection:
            row = connection.execute(state.select().where(state.c.name == name)).one_or_none()
        return None if row is None else (json.loads(row.body), row.revision)

    def put(self, name: str, body: Any, *, expected: int | None) -> bool:
        """Stores a body if nobody else did since it was read.

        Args:
            name: 1 to 300 characters.
            body: Plain values.
            expected: The revision that `get` gave; None where there was nothing.

        Returns:
            Whether it was stored. If not, get it again and decide anew.

        Raises:
            DataError: The name or the body cannot be kept.
        """
        row = {"name": checked(name, "value"), "body": as_json(body, f"parts of value {name!r}")}
        with self._database.write() as connection:
            found = connection.execute(sa.select(state.c.revision).where(state.c.name == name)).scalar_one_or_none()
            if found != expected:
                return False
            upsert(connection, state, [row | {"revision": stamp(connection, 1)}])
        return True

    def delete(self, name: str) -> bool:
        """Removes one; whether it was there."""
        with self._database.write() as connection:
            return connection.execute(state.delete().where(state.c.name == name)).rowcount > 0
