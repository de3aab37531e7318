"""What people did, in the order in which it was stored."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from salon.data.ids import MAX_ID_LENGTH
from salon.errors import DataError
from salon.store.checks import MAX_PROPERTIES, as_json, fresh_id, named, number, page_size, place_of, word
from salon.store.database import Part, stamp
from salon.store.schema import events, removals
from salon.store.statements import among, insert_many, removal
from salon.store.users import into_whom
from salon.store.values import Page, StoredEvent

MOST = 10_000
"""Events that `of_user` and `of_item` give unless told otherwise."""


class EventLog(Part):
    """Events by revision."""

    def append(self, new: Sequence[StoredEvent]) -> list[bool]:
        """Stores events in one transaction; when it returns they are on the disk.

        An event whose id is known already, from before or from earlier in `new`, is left out. Events without an id
        get a fresh one, so sending them twice stores them twice. Events of a person who was merged go to the person
        they were merged into.

        Returns:
            For each event whether it is new.

        Raises:
            DataError: An event cannot be kept; then none is stored.
            StoreError: The database could not do it. Whether the events were stored is unknown if the connection broke
                during the commit; sending them again with their ids is right in any case.
        """
        return self.append_rows([event_row(event) for event in new])

    def append_rows(self, rows: Sequence[dict[str, Any]]) -> list[bool]:
        """`append` for rows that `event_row` made; gives them their revisions and people."""
        if not rows:
            return []
        with self._database.write() as connection:
            known = _known(connection, [row["event_id"] for row in rows])
            answers, fresh = [], []
            for row in rows:
                answers.append(row["event_id"] not in known)
                known.add(row["event_id"])
                if answers[-1]:
                    fresh.append(row)
            if fresh:
                moved = into_whom(connection, {row["user_id"] for row in fresh})
                for revision, row in enumerate(fresh, stamp(connection, len(fresh))):
                    row["revision"], row["user_id"] = revision, moved.get(row["user_id"], row["user_id"])
                insert_many(connection, events, fresh)
        return answers

    def of_user(self, user: str, *, after: int = 0, limit: int = MOST) -> list[StoredEvent]:
        """The newest `limit` events of a person with revisions above `after`, oldest first."""
        return self._newest(events.c.user_id == user, after, limit)

    def of_item(self, item: str, *, after: int = 0, limit: int = MOST) -> list[StoredEvent]:
        """The newest `limit` events on an item with revisions above `after`, oldest first."""
        return self._newest(events.c.item_id == item, after, limit)

    def _newest(self, where: sa.ColumnElement[bool], after: int, limit: int) -> list[StoredEvent]:
        chosen = events.select().where(where, events.c.revision > place_of(after))
        with self._database.read() as connection:
            rows = connection.execute(chosen.order_by(events.c.revision.desc()).limit(limit)).all()
        return [of_row(row) for row in reversed(rows)]

    def page(
        self, after: int | str = 0, n: int = 100, *, kind: str | None = None, user: str | None = None,
        item: str | None = None,
    ) -> Page:  # fmt: skip
        """Up to `n` events in the order they were stored, after a revision or the cursor of the page before.

        Raises:
            DataError: `n` is below 1 or above 10,000, or `after` is no cursor.
        """
        where = _matching(user=user, item=item, kind=kind, event_id=None)
        chosen = events.select().where(events.c.revision > place_of(after), *where).order_by(events.c.revision)
        with self._database.read() as connection:
            rows = connection.execute(chosen.limit(page_size(n) + 1)).all()
        cursor = str(rows[n - 1].revision) if len(rows) > n else ""
        return Page(tuple(of_row(row) for row in rows[:n]), cursor)

    def delete(
        self, *, user: str | None = None, item: str | None = None, kind: str | None = None, event_id: str | None = None
    ) -> int:
        """Removes the events that match everything named; how many there were.

        Raises:
            DataError: Nothing is named.
        """
        where = _matching(user=user, item=item, kind=kind, event_id=event_id)
        if not where:
            raise DataError("Nothing says which events to delete.", hint="Name a user, an item, a kind or an event id.")
        with self._database.write() as connection:
            count = connection.execute(events.delete().where(*where)).rowcount
            if count:
                mark = {"user_id": user, "item_id": item, "kind": kind, "event_id": event_id}
                given = {name: value for name, value in mark.items() if value is not None}
                connection.execute(removals.insert(), [removal(stamp(connection, 1), **given)])
        self._database.scrub()
        return count

    def count(self) -> int:
        """How many there are."""
        with self._database.read() as connection:
            return int(connection.execute(sa.select(sa.func.count()).select_from(events)).scalar_one())


def event_row(event: StoredEvent) -> dict[str, Any]:
    """The columns of an event, checked, with a fresh id and the time of now where it has none.

    Raises:
        DataError: The event cannot be kept.
    """
    name = event.event_id or fresh_id()
    words = (name, event.user, event.item, event.kind, event.recommendation_id, event.session, event.scenario)
    if not _are_simple(words):
        for text, what in zip(words, _WORDS, strict=True):
            (named if what in ("user", "item", "kind of event") else word)(text, what)
    value = None if event.value is None else number(event.value, "value of an event")
    told = (
        as_json(dict(event.properties), f"properties of event {name!r}", MAX_PROPERTIES) if event.properties else "{}"
    )
    return {
        "event_id": name, "user_id": event.user, "item_id": event.item, "kind": event.kind, "value": value,
        "time": number(event.time, "time of an event") or time.time(), "recommendation_id": event.recommendation_id,
        "session": event.session, "scenario": event.scenario, "properties": told,
    }  # fmt: skip


_WORDS = ("event id", "user", "item", "kind of event", "recommendation id", "session", "scenario")


def _are_simple(words: tuple[str, ...]) -> bool:
    """Whether words need no closer look: short ASCII without NUL, and those that must be there are."""
    joined = "".join(words)
    there = bool(words[1] and words[2] and words[3])
    return there and len(joined) <= MAX_ID_LENGTH and joined.isascii() and "\0" not in joined


def of_row(row: Row[Any]) -> StoredEvent:
    """The event of a row."""
    return StoredEvent(
        row.user_id, row.item_id, row.kind, row.event_id, row.value, row.time, row.recommendation_id, row.session,
        row.scenario, json.loads(row.properties), row.revision,
    )  # fmt: skip


def _known(connection: Connection, names: Sequence[str]) -> set[str]:
    known = sa.select(events.c.event_id).where(among(connection, events.c.event_id, names))
    return set(connection.execute(known).scalars())


def _matching(**named: str | None) -> list[sa.ColumnElement[bool]]:
    columns = {"user": events.c.user_id, "item": events.c.item_id, "kind": events.c.kind, "event_id": events.c.event_id}
    return [columns[name] == value for name, value in named.items() if value is not None]
