"""Statements that several tables share, in the dialect of the database at hand."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Row

from salon.store.checks import kept
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


def insert_many(connection: Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes new rows, each with every column, by the shortest way into the database."""
    names = [column.name for column in table.c]
    cells = [[row[name] for name in names] for row in rows]
    quoted = ", ".join(f'"{name}"' for name in names)
    if connection.dialect.name == "sqlite":
        places = ", ".join("?" * len(names))
        connection.exec_driver_sql(f'INSERT INTO "{table.name}" ({quoted}) VALUES ({places})', list(map(tuple, cells)))  # noqa: S608
        return
    driver: Any = connection.connection.driver_connection
    with driver.cursor() as cursor, cursor.copy(f'COPY "{table.name}" ({quoted}) FROM STDIN') as copy:
        for row in cells:
            copy.write_row(row)


def _insert(connection: Connection, table: sa.Table) -> sqlite.Insert | postgresql.Insert:
    return sqlite.insert(table) if connection.dialect.name == "sqlite" else postgresql.insert(table)


def among(connection: Connection, column: sa.Column[Any], ids: Iterable[str]) -> sa.ColumnElement[bool]:
    """Whether `column` is one of `ids`, which travel as one parameter however many they are.

    Raises:
        DataError: One holds NUL, at which SQLite would cut it off and find another, or half a character.
    """
    names = list(ids)
    kept("".join(names), "id")
    if connection.dialect.name == "sqlite":
        listed = sa.func.json_each(json.dumps(names, ensure_ascii=False)).table_valued("value")
        return column.in_(sa.select(listed.c.value))
    return column == sa.any_(sa.literal(names, postgresql.ARRAY(sa.Text())))


def select_among(connection: Connection, table: sa.Table, column: sa.Column[Any], ids: Iterable[str]) -> list[Row[Any]]:
    """The rows whose `column` is one of `ids`."""
    return list(connection.execute(table.select().where(among(connection, column, ids))))


def delete_among(connection: Connection, table: sa.Table, column: sa.Column[Any], ids: Sequence[str]) -> set[str]:
    """Deletes the rows whose `column` is one of `ids`; which of the ids had any."""
    chosen = among(connection, column, ids)
    found = set(connection.execute(sa.select(column).where(chosen).distinct()).scalars())
    connection.execute(table.delete().where(chosen))
    return found


def removal(revision: int, **named: str) -> dict[str, Any]:
    """A row of `removals`; columns that are not named hold ""."""
    return {column.name: "" for column in removals.c} | named | {"revision": revision}
