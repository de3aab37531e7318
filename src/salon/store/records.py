"""How the rows of a store look outside of it: one record each, as JSON or as a row of parquet."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property, partial
from typing import Any

import polars as pl
import sqlalchemy as sa
from pydantic import TypeAdapter, ValidationError
from sqlalchemy.engine import Row

from salon.errors import DataError, did_you_mean
from salon.store import events, exposures, schema
from salon.store.items import Items
from salon.store.named import body_row
from salon.store.store import Store
from salon.store.users import Users
from salon.store.values import Exposure, StoredEvent, StoredItem, StoredUser

_PLAIN = {"hidden": pl.Boolean, "created": pl.Float64, "value": pl.Float64, "time": pl.Float64}
_LISTS = {"items": pl.String, "sources": pl.String, "scores": pl.Float64, "propensities": pl.Float64}


@dataclass(frozen=True)
class NamedBody:
    """An experiment or a placement."""

    name: str
    body: Mapping[str, Any]


@dataclass(frozen=True)
class Record:
    """The records of one table.

    Attributes:
        value: The class whose fields they have, all but the revision.
        rows: The rows, in the order in which they are written.
        of_row: Row to value.
        check: Raises DataError for a value that the store cannot keep.
        put: Stores values; how many were not there before, or were written anew.
        nested: The field that is an object; JSON text in parquet.
    """

    value: type[Any]
    rows: sa.Select[Any]
    of_row: Callable[[Row[Any]], Any]
    check: Callable[[Any], object]
    put: Callable[[Store, Sequence[Any]], int]
    nested: str

    @cached_property
    def names(self) -> list[str]:
        """The fields of a record."""
        return [field.name for field in fields(self.value) if field.name != "revision"]

    @cached_property
    def _adapter(self) -> TypeAdapter[Any]:
        return TypeAdapter(self.value)

    @property
    def columns(self) -> dict[str, Any]:
        """The fields with their types in parquet."""
        lists = {name: pl.List(inner) for name, inner in _LISTS.items()}
        return {name: lists.get(name, _PLAIN.get(name, pl.String)) for name in self.names}

    def write(self, row: Row[Any]) -> dict[str, Any]:
        """The record of a row."""
        value = self.of_row(row)
        return {name: getattr(value, name) for name in self.names}

    def flatten(self, record: dict[str, Any]) -> dict[str, Any]:
        """A record as a row of parquet."""
        return record | {self.nested: json.dumps(record[self.nested], ensure_ascii=False)}

    def read(self, record: Any) -> Any:
        """The value of a record from outside.

        Raises:
            DataError: It has unknown fields or wrong types, or cannot be kept.
        """
        if isinstance(record, DataError):
            raise record
        if not isinstance(record, dict):
            raise DataError("The record is no object.", hint='Write {"id": ...}.')
        unknown = sorted(set(record) - set(self.names))
        if unknown:
            raise DataError(f"The field {unknown[0]!r} is unknown.", hint=did_you_mean(unknown[0], self.names))
        given = dict(record)
        try:
            if isinstance(given.get(self.nested), str):
                given[self.nested] = json.loads(given[self.nested])
            value = self._adapter.validate_python(given)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise DataError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}.") from None
        except (ValueError, RecursionError) as error:
            raise DataError(f"{self.nested} is no JSON: {error}.") from None
        self.check(value)
        return value


def _live(table: sa.Table) -> sa.Select[Any]:
    return table.select().where(table.c.deleted == sa.false()).order_by(table.c.id)


def _put_bodies(table: str, store: Store, values: Sequence[NamedBody]) -> int:
    for value in values:
        (store.experiments if table == "experiments" else store.scenarios).put(value.name, value.body)
    return len(values)


def _bodies(table: sa.Table) -> Record:
    return Record(
        NamedBody,
        table.select().order_by(table.c.name),
        lambda row: NamedBody(row.name, json.loads(row.body)),
        lambda value: body_row(value.name, value.body, table.name.removesuffix("s")),
        partial(_put_bodies, table.name),
        "body",
    )


RECORDS = {
    "items": Record(
        StoredItem, _live(schema.items), Items.of_row, Items.check, lambda store, new: store.items.put(new), "fields"
    ),
    "users": Record(
        StoredUser, _live(schema.users), Users.of_row, Users.check, lambda store, new: store.users.put(new), "fields"
    ),
    "events": Record(
        StoredEvent, schema.events.select().order_by(schema.events.c.revision), events.of_row, events.event_row,
        lambda store, new: sum(store.events.append(new)), "properties",
    ),
    "exposures": Record(
        Exposure, schema.exposures.select().order_by(schema.exposures.c.time, schema.exposures.c.recommendation_id),
        exposures.of_row, exposures.exposure_row, lambda store, new: store.exposures.append(new), "request",
    ),
    "experiments": _bodies(schema.experiments),
    "scenarios": _bodies(schema.scenarios),
}  # fmt: skip
"""The tables that are exported, in the order in which they are imported."""
