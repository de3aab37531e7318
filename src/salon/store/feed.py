"""Everything that was written after some revision: how one process hears of what others did."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from salon.store import events, schema
from salon.store.database import Database
from salon.store.items import Items
from salon.store.users import Users
from salon.store.values import Changes, Removal

_SOURCES = (schema.events, schema.items, schema.users, schema.removals)


def revision(database: Database) -> int:
    """Of the last write that is committed."""
    with database.read() as connection:
        return _revision(connection)


def changes(database: Database, items: Items, users: Users, after: int, limit: int) -> Changes:
    """What was written after a revision, oldest first, at most `limit` rows.

    Revisions become visible in their order, so the top that is read first covers everything up to it; what is written
    meanwhile has a revision above and comes with the next call.
    """
    with database.read() as connection:
        top = _revision(connection)
        if top <= after:
            return Changes(after)
        found = [_after(connection, table, after, top, limit + 1) for table in _SOURCES]
    places = sorted(row.revision for rows in found for row in rows)
    more = len(places) > limit
    last = places[limit - 1] if more else top
    happened, things, people, gone = ([row for row in rows if row.revision <= last] for rows in found)
    return Changes(
        revision=last,
        events=tuple(events.of_row(row) for row in happened),
        items=tuple(items.of_row(row) for row in things if not row.deleted),
        users=tuple(users.of_row(row) for row in people if not row.deleted),
        deleted_items=tuple(row.id for row in things if row.deleted),
        deleted_users=tuple(row.id for row in people if row.deleted),
        removals=tuple(Removal(r.revision, r.user_id, r.item_id, r.kind, r.event_id) for r in gone),
        more=more,
    )


def _revision(connection: Connection) -> int:
    return int(connection.execute(sa.select(schema.counter.c.revision)).scalar_one())


def _after(connection: Connection, table: sa.Table, after: int, top: int, limit: int) -> list[Row[Any]]:
    column = table.c.revision
    chosen = table.select().where(column > after, column <= top).order_by(column).limit(limit)
    return list(connection.execute(chosen))
