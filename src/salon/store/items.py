"""The catalogue on disk."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Row

from salon.store import schema
from salon.store.entities import Entities
from salon.store.values import Page, StoredItem


class Items(Entities[StoredItem]):
    """Items by id."""

    what = "item"
    table = schema.items
    event_column = schema.events.c.item_id

    @staticmethod
    def of_row(row: Row[Any]) -> StoredItem:
        """The item of a row."""
        return StoredItem(row.id, json.loads(row.fields), row.hidden, row.created, row.revision)

    def page(self, after: str = "", n: int = 100, hidden: bool | None = None) -> Page:
        """Up to `n` items in the order of their ids, from the one after `after`; `hidden` chooses which.

        Raises:
            DataError: `n` is below 1 or above 10,000.
        """
        where = () if hidden is None else (self.table.c.hidden == sa.literal(hidden),)
        return self._page(after, n, *where)

    def patch(self, item: str, fields: Mapping[str, Any], hidden: bool | None = None) -> StoredItem:
        """Changes some fields, drops those given as None, and hides or shows the item.

        Raises:
            UnknownIdError: There is no such item.
            DataError: The fields cannot be kept.
        """
        return self._change(item, fields, **({} if hidden is None else {"hidden": hidden}))

    def _own(self, value: StoredItem, old: Row[Any] | None) -> dict[str, Any]:
        return {"hidden": bool(value.hidden)}

    def _own_empty(self) -> dict[str, Any]:
        return {"hidden": False}
