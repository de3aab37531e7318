"""What items and people have in common: a row with fields, put whole or patched, paged by id, deleted for good.

A deleted row stays as an empty tombstone with the revision of its deletion, so that other processes hear of it. All
events of the deleted go with it.
"""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Generic, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from salon.errors import UnknownIdError
from salon.store.checks import MAX_FIELDS, as_json, named, number, page_size
from salon.store.database import Part, stamp
from salon.store.schema import events, removals
from salon.store.statements import delete_among, removal, select_among, upsert
from salon.store.values import Page, StoredItem, StoredUser

Thing = TypeVar("Thing", StoredItem, StoredUser)


class Entities(Part, ABC, Generic[Thing]):
    """One table of items or people."""

    what: str
    """How messages call one of them."""
    table: sa.Table
    """Their table."""
    event_column: sa.Column[Any]
    """The column of the events that names them."""

    @staticmethod
    @abstractmethod
    def of_row(row: Row[Any]) -> Thing:
        """The value of a row."""

    @abstractmethod
    def _own(self, value: Thing, old: Row[Any] | None) -> dict[str, Any]:
        """The columns that the other table lacks."""

    def put(self, values: Sequence[Thing]) -> int:
        """Stores values whole, in one transaction; of several with one id the last counts.

        Args:
            values: New ones, or ones that replace what is there. The time of creation stays unless it is given.

        Returns:
            How many rows were written.

        Raises:
            DataError: An id or the fields of one cannot be kept; then none is stored.
            StoreError: The database could not do it.
        """
        rows = {value.id: (value, self.check(value)) for value in values}
        if not rows:
            return 0
        now = time.time()
        with self._database.write() as connection:
            first = stamp(connection, len(rows))
            old = {row.id: row for row in select_among(connection, self.table, self.table.c.id, list(rows))}
            for revision, (name, (value, row)) in enumerate(rows.items(), first):
                before = old.get(name)
                kept = before.created if before is not None and not before.deleted else now
                row |= self._own(value, before) | {"created": row["created"] or kept}
                row |= {"updated": now, "deleted": False, "revision": revision}
            upsert(connection, self.table, [row for _, row in rows.values()])
        return len(rows)

    def get(self, ids: Iterable[str]) -> dict[str, Thing]:
        """Those that are there, by id."""
        with self._database.read() as connection:
            found = select_among(connection, self.table, self.table.c.id, list(dict.fromkeys(ids)))
        return {row.id: self.of_row(row) for row in found if not row.deleted}

    def page(self, after: str = "", n: int = 100) -> Page:
        """Up to `n` of them in the order of their ids, from the one after `after`.

        Raises:
            DataError: `n` is below 1 or above 10,000.
        """
        return self._page(after, n)

    def _page(self, after: str, n: int, *where: sa.ColumnElement[bool]) -> Page:
        table = self.table
        chosen = table.select().where(table.c.id > after, table.c.deleted == sa.false(), *where)
        with self._database.read() as connection:
            rows = connection.execute(chosen.order_by(table.c.id).limit(page_size(n) + 1)).all()
        return Page(tuple(self.of_row(row) for row in rows[:n]), rows[n - 1].id if len(rows) > n else "")

    def _change(self, name: str, fields: Mapping[str, Any], **columns: Any) -> Thing:
        """Changes some fields, drops those given as None, and sets `columns`."""
        now = time.time()
        with self._database.write() as connection:
            revision = stamp(connection, 1)
            row = connection.execute(self.table.select().where(self.table.c.id == name)).one_or_none()
            if row is None or row.deleted:
                raise UnknownIdError(f"There is no {self.what} {name!r}.", hint="Put it first.")
            merged = {key: value for key, value in {**json.loads(row.fields), **fields}.items() if value is not None}
            columns |= {"fields": self._fields(name, merged), "updated": now, "revision": revision}
            changed = self.table.update().where(self.table.c.id == name).values(columns).returning(*self.table.c)
            return self.of_row(connection.execute(changed).one())

    def delete(self, ids: Iterable[str]) -> int:
        """Wipes fields and removes all events; how many were known, with the ids that were merged into them.

        Raises:
            StoreError: The database could not do it.
        """
        names = list(dict.fromkeys(ids))
        if not names:
            return 0
        with self._database.write() as connection:
            names = self._with_kin(connection, names)
            first = stamp(connection, 2 * len(names))
            rows = select_among(connection, self.table, self.table.c.id, names)
            live = {row.id for row in rows if not row.deleted}
            gone = sorted(live | delete_among(connection, events, self.event_column, names))
            if gone:
                dead = [self._tombstone(name, first + 2 * place) for place, name in enumerate(gone)]
                upsert(connection, self.table, dead)
                marks = [removal(first + 2 * i + 1, **{self.event_column.name: name}) for i, name in enumerate(gone)]
                connection.execute(removals.insert(), marks)
            self._delete_more(connection, names)
        self._database.scrub()
        return len(gone)

    def _with_kin(self, connection: Connection, names: list[str]) -> list[str]:
        """The ids that go when `names` go."""
        return names

    def _delete_more(self, connection: Connection, names: list[str]) -> None:
        """What else is deleted with `names`."""

    def _tombstone(self, name: str, revision: int) -> dict[str, Any]:
        empty = {"id": name, "fields": "{}", "deleted": True, "created": 0.0, "updated": time.time()}
        return empty | self._own_empty() | {"revision": revision}

    @abstractmethod
    def _own_empty(self) -> dict[str, Any]:
        """The columns that the other table lacks, wiped."""

    def count(self) -> int:
        """How many there are."""
        counted = sa.select(sa.func.count()).select_from(self.table).where(self.table.c.deleted == sa.false())
        with self._database.read() as connection:
            return int(connection.execute(counted).scalar_one())

    @classmethod
    def check(cls, value: Thing) -> dict[str, Any]:
        """The columns of one that both tables have, if it can be kept.

        Raises:
            DataError: Its id, fields or time cannot be kept.
        """
        name = named(value.id, cls.what)
        fields = cls._fields(name, value.fields)
        return {"id": name, "fields": fields, "created": number(value.created, f"time of {cls.what} {name!r}")}

    @classmethod
    def _fields(cls, name: str, fields: Mapping[str, Any]) -> str:
        return as_json(dict(fields), f"fields of {cls.what} {name!r}", MAX_FIELDS)
