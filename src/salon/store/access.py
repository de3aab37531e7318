"""Who may call, who changed what, and what was answered to a request that may come again."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from sqlalchemy.engine import Row

from salon.errors import ConflictError
from salon.store.checks import as_json, kept, named, number, page_size, place_of, word
from salon.store.database import Part
from salon.store.schema import audit, keys, replies
from salon.store.statements import insert_new
from salon.store.values import AuditEntry, Page, StoredKey, StoredReply

_TOUCH_EVERY = 60.0


class Keys(Part):
    """API keys by their public prefix; the secret is never here, only its digest."""

    def add(self, key: StoredKey) -> None:
        """Stores a key.

        Raises:
            ConflictError: Its prefix is taken.
            DataError: A word cannot be kept.
        """
        row = {**vars(key), "scopes": as_json(list(key.scopes), "scopes of a key")}
        row |= {"prefix": named(key.prefix, "prefix"), "name": word(key.name, "name of a key")}
        row |= {"tenant": named(key.tenant, "tenant"), "created": number(key.created, "time of a key") or time.time()}
        with self._database.write(stamped=False) as connection:
            if not insert_new(connection, keys, row):
                raise ConflictError(f"There is a key {key.prefix!r} already.", hint="Make another one.")

    def find(self, prefix: str) -> StoredKey | None:
        """The key with a prefix, revoked or not, or None."""
        with self._database.read() as connection:
            row = connection.execute(keys.select().where(keys.c.prefix == prefix)).one_or_none()
        return None if row is None else _key(row)

    def all(self) -> list[StoredKey]:
        """All keys, oldest first."""
        with self._database.read() as connection:
            return [_key(row) for row in connection.execute(keys.select().order_by(keys.c.created, keys.c.prefix))]

    def revoke(self, prefix: str) -> bool:
        """Ends a key for good; whether it was valid until now."""
        valid = (keys.c.prefix == prefix, keys.c.revoked.is_(None))
        with self._database.write(stamped=False) as connection:
            return connection.execute(keys.update().where(*valid).values(revoked=time.time())).rowcount > 0

    def touch(self, prefix: str, now: float) -> None:
        """Notes that a key was used, at most once a minute."""
        stale = (keys.c.prefix == prefix, keys.c.last_used.is_(None) | (keys.c.last_used < now - _TOUCH_EVERY))
        with self._database.read() as connection:
            if connection.execute(keys.select().where(*stale)).first() is None:
                return
        with self._database.write(stamped=False) as connection:
            connection.execute(keys.update().where(*stale).values(last_used=now))


def _key(row: Row[Any]) -> StoredKey:
    return StoredKey(**{**row._mapping, "scopes": tuple(json.loads(row.scopes))})


class Audit(Part):
    """What was changed, by whom; entries are only ever added."""

    def append(self, actor: str, action: str, target: str, detail: Mapping[str, Any] | None = None) -> None:
        """Adds an entry with the time of now.

        Raises:
            DataError: A word or the detail cannot be kept.
        """
        row = {"actor": kept(actor, "actor"), "action": kept(action, "action"), "target": kept(target, "target")}
        row |= {"detail": as_json(dict(detail or {}), f"details of {action!r}")}
        with self._database.write(stamped=False) as connection:
            connection.execute(audit.insert(), [row | {"time": time.time()}])

    def page(self, after: int | str = 0, n: int = 100) -> Page:
        """Up to `n` entries, newest first, from the one before the id or cursor `after`; 0 begins with the newest.

        Raises:
            DataError: `n` is below 1 or above 10,000, or `after` is no cursor.
        """
        last = place_of(after)
        chosen = audit.select().where(audit.c.id < last) if last else audit.select()
        with self._database.read() as connection:
            rows = connection.execute(chosen.order_by(audit.c.id.desc()).limit(page_size(n) + 1)).all()
        entries = (AuditEntry(**{**row._mapping, "detail": json.loads(row.detail)}) for row in rows[:n])
        return Page(tuple(entries), str(rows[n - 1].id) if len(rows) > n else "")


class Replies(Part):
    """Answers by idempotency key, so that a request that comes again gets the answer it got."""

    def get(self, key: str) -> StoredReply | None:
        """The answer under a key, or None."""
        with self._database.read() as connection:
            row = connection.execute(replies.select().where(replies.c.key == key)).one_or_none()
        return None if row is None else StoredReply(**row._mapping)

    def put(self, reply: StoredReply) -> bool:
        """Keeps an answer; False if there is one under its key, which stays.

        Raises:
            DataError: The key or the body cannot be kept.
        """
        row = {**vars(reply), "key": named(reply.key, "idempotency key"), "body": kept(reply.body, "body of a reply")}
        row |= {"time": number(reply.time, "time of a reply") or time.time()}
        with self._database.write(stamped=False) as connection:
            return insert_new(connection, replies, row)

    def expire(self, before: float) -> int:
        """Removes answers given before a time; how many there were."""
        with self._database.write(stamped=False) as connection:
            return connection.execute(replies.delete().where(replies.c.time < before)).rowcount
