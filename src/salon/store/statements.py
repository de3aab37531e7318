"""Statements that several tables share, in the dialect of the database at hand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Row

from salon.store.schema import removals


def upsert(connection: Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes whole rows; one with a known primary key replaces what is there."""
    insert = _insert(connection, table)
    key = list(table.primary_key)
    rest = {column.name: insert.excluded[column.name] for column in table.c if not column.primary_key}
    connection.execute(insert.on_conflict_do_update(index_elements=key, set_=rest), list(rows))


def insert_new(connection: Connection, table: sa.Table, row: Mapping[str, Any]) -> bool:
    """Writes a row unless its primary key is taken; whether it was written."""
    insert = _insert(connection, table).on_conflict_do_nothing(index_elements=list(table.primary_key))
    return connection.execute(insert.returning(*table.primary_key), dict(row)).first() is not None


def _insert(connection: Connection, table: sa.Table) -> sqlite.Insert | postgresql.Insert:
    return sqlite.insert(table) if connection.dialect.name == "sqlite" else postgresql.insert(table)


def select_among(connection: Connection, table: sa.Table, column: sa.Column[Any], ids: Sequence[str]) -> list[Row[Any]]:
    """The rows whose `column` is one of `ids`."""
    return [row for part in parts(ids) for row in connection.execute(table.select().where(column.in_(part)))]


def delete_among(connection: Connection, table: sa.Table, column: sa.Column[Any], ids: Sequence[str]) -> set[str]:
    """Deletes the rows whose `column` is one of `ids`; which of the ids had any."""
    found: set[str] = set()
    for part in parts(ids):
        found |= set(connection.execute(sa.select(column).where(column.in_(part)).distinct()).scalars())
        connection.execute(table.delete().where(column.in_(part)))
    return found


def removal(revision: int, **named: str) -> dict[str, Any]:
    """A row of `removals`; columns that are not named hold ""."""
    return {column.name: "" for column in removals.c} | named | {"revision": revision}


def parts(ids: Sequence[str], size: int = 1000) -> Iterable[Sequence[str]]:
    """`ids` in parts that one statement can hold."""
    return (ids[start : start + size] for start in range(0, len(ids), size))
