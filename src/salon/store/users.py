"""People on disk, and how two ids become one person."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from salon.errors import ConflictError, DataError, SalonError
from salon.store import schema
from salon.store.checks import named
from salon.store.database import stamp
from salon.store.entities import Entities
from salon.store.statements import among, removal, select_among, upsert
from salon.store.values import StoredUser


class Users(Entities[StoredUser]):
    """People by id.

    An id that was merged keeps a row that says into whom. Events that still come under it are given to that person.
    `put` and `patch` change fields, never whom somebody was merged into.
    """

    what = "user"
    table = schema.users
    event_column = schema.events.c.user_id

    @staticmethod
    def of_row(row: Row[Any]) -> StoredUser:
        """The person of a row."""
        return StoredUser(row.id, json.loads(row.fields), row.merged_into, row.created, row.revision)

    def patch(self, user: str, fields: Mapping[str, Any]) -> StoredUser:
        """Changes some attributes and drops those given as None.

        Raises:
            UnknownIdError: There is no such person.
            DataError: The attributes cannot be kept.
        """
        return self._change(user, fields)

    def merge(self, source: str, target: str) -> int:
        """Gives everything that `source` did, and will do, to `target`. Doing it twice is the same as once.

        Where `target` was merged itself, the person it was merged into gets the events. Attributes are not merged.
        In the feed the events leave `source` (a removal) and come again under their new person, with new revisions.

        Returns:
            How many events moved.

        Raises:
            DataError: An id cannot be one, or both are the same.
            ConflictError: `source` was merged into somebody else, or `target` was merged into `source`.
        """
        (moved,) = self.merge_many([(source, target)])
        if isinstance(moved, SalonError):
            raise moved
        return moved

    def merge_many(self, pairs: Sequence[tuple[str, str]]) -> list[int | SalonError]:
        """`merge` for pairs of source and target, in order and in one transaction; an error spoils its own pair."""
        done: list[int | SalonError] = []
        with self._database.write() as connection:
            for source, target in pairs:
                try:
                    done.append(self._merge(connection, source, target))
                except (DataError, ConflictError) as error:
                    done.append(error)
        return done

    def _merge(self, connection: Connection, source: str, target: str) -> int:
        if named(source, "user") == named(target, "user"):
            raise DataError(f"The user {source!r} cannot be merged into itself.", hint="Name two people.")
        rows = {row.id: row for row in select_among(connection, self.table, self.table.c.id, [source, target])}
        end = rows[target].merged_into or target if target in rows else target
        before = rows[source].merged_into if source in rows else ""
        if end == source:
            raise ConflictError(f"The user {target!r} was merged into {source!r}; the reverse would be a circle.")
        if before not in ("", end):
            raise ConflictError(f"The user {source!r} was merged into {before!r} already.", hint="Merge that one.")
        if before == "":
            self._join(connection, source, end, rows.get(source))
        return self._move(connection, source, end)

    def _join(self, connection: Connection, source: str, end: str, old: Row[Any] | None) -> None:
        """Says in the rows of both that `source` is `end`; whoever was merged into `source` follows."""
        now, revision = time.time(), stamp(connection, 2)
        kept = {"fields": old.fields, "created": old.created} if old is not None and not old.deleted else {}
        empty = {"fields": "{}", "created": now, "updated": now, "deleted": False}
        upsert(connection, self.table, [empty | kept | {"id": source, "merged_into": end, "revision": revision}])
        followers = self.table.update().where(self.table.c.merged_into == source)
        connection.execute(followers.values(merged_into=end))
        there = connection.execute(sa.select(self.table.c.deleted).where(self.table.c.id == end)).scalar_one_or_none()
        if there is not False:
            upsert(connection, self.table, [empty | {"id": end, "merged_into": "", "revision": revision + 1}])

    def _move(self, connection: Connection, source: str, end: str) -> int:
        log, shown = schema.events, schema.exposures
        connection.execute(shown.update().where(shown.c.user_id == source).values(user_id=end))
        held = sa.select(log.c.revision).where(log.c.user_id == source).order_by(log.c.revision)
        old = connection.execute(held).scalars().all()
        if old:
            connection.execute(schema.removals.insert(), [removal(stamp(connection, 1), user_id=source)])
            first = stamp(connection, len(old))
            one = log.update().where(log.c.revision == sa.bindparam("old"))
            moved = one.values(user_id=end, revision=sa.bindparam("new"))
            connection.execute(moved, [{"old": was, "new": new} for new, was in enumerate(old, first)])
        return len(old)

    def _own(self, value: StoredUser, old: Row[Any] | None) -> dict[str, Any]:
        return {"merged_into": "" if old is None else old.merged_into}

    def _own_empty(self) -> dict[str, Any]:
        return {"merged_into": ""}

    def _with_kin(self, connection: Connection, names: list[str]) -> list[str]:
        merged = self.table.c.merged_into
        kin = [row.id for row in select_among(connection, self.table, merged, names)]
        return list(dict.fromkeys([*names, *kin]))

    def _delete_more(self, connection: Connection, names: list[str]) -> None:
        shown = schema.exposures
        connection.execute(shown.delete().where(among(connection, shown.c.user_id, names)))


def into_whom(connection: Connection, users: Iterable[str]) -> dict[str, str]:
    """Whom those of `users` were merged into that were merged."""
    table = schema.users
    some = sa.select(table.c.id, table.c.merged_into).where(table.c.merged_into != "")
    if connection.execute(some.limit(1)).first() is None:
        return {}
    return {row.id: row.merged_into for row in connection.execute(some.where(among(connection, table.c.id, users)))}
