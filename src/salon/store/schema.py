"""The tables of the store, as the newest migration leaves them.

One row of `counter` gives every write its revisions inside the write's own transaction. The row stays locked until the
commit, so revisions become visible in their order and `changes` misses nothing. JSON is kept as text: it is written and
read whole, never searched. Text is compared by its bytes on both databases, so pages have one order.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
"""Ids and other words: UTF-8 compared byte by byte."""

REVISION = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
"""Places in the order of writes; on SQLite the name INTEGER makes it the row's own number."""

METADATA = sa.MetaData(naming_convention={"pk": "pk_%(table_name)s", "uq": "uq_%(table_name)s_%(column_0_name)s"})


def _name(column: str, *, key: bool = False) -> sa.Column[str]:
    return sa.Column(column, NAME, primary_key=key, nullable=False)


def _text(column: str) -> sa.Column[str]:
    return sa.Column(column, sa.Text(), nullable=False)


def _time(column: str, *, nullable: bool = False) -> sa.Column[float]:
    return sa.Column(column, sa.Double(), nullable=nullable)


def _revision(*, key: bool = False) -> sa.Column[int]:
    return sa.Column("revision", REVISION, primary_key=key, autoincrement=False, nullable=False)


def _flag(column: str) -> sa.Column[bool]:
    return sa.Column(column, sa.Boolean(), nullable=False)


def _things(name: str, own: sa.Column[Any], *more: sa.Index) -> sa.Table:
    """What items and people have in common; `own` is the column that the other table lacks."""
    return sa.Table(
        name, METADATA,
        _name("id", key=True), _text("fields"), own, _flag("deleted"), _time("created"), _time("updated"), _revision(),
        sa.Index(f"{name}_revision", "revision"), *more,
    )  # fmt: skip


counter = sa.Table(
    "counter", METADATA,
    sa.Column("id", sa.Integer(), primary_key=True, autoincrement=False),
    _revision(),
)  # fmt: skip

items = _things("items", _flag("hidden"))

users = _things(
    "users", _name("merged_into"),
    sa.Index(
        "users_merged_into", "merged_into",
        sqlite_where=sa.text("merged_into <> ''"), postgresql_where=sa.text("merged_into <> ''"),
    ),
)  # fmt: skip

events = sa.Table(
    "events", METADATA,
    _revision(key=True), sa.Column("event_id", NAME, nullable=False, unique=True),
    _name("user_id"), _name("item_id"), _name("kind"), _time("value", nullable=True), _time("time"),
    _name("recommendation_id"), _name("session"), _name("scenario"), _text("properties"),
    sa.Index("events_user", "user_id", "revision"),
    sa.Index("events_item", "item_id", "revision"),
)  # fmt: skip

removals = sa.Table(
    "removals", METADATA,
    _revision(key=True), _name("user_id"), _name("item_id"), _name("kind"), _name("event_id"),
)  # fmt: skip

exposures = sa.Table(
    "exposures", METADATA,
    _name("recommendation_id", key=True), _name("user_id"), _time("time"), _name("session"), _name("scenario"),
    _name("experiment"), _name("variant"), _name("version"),
    _text("items"), _text("sources"), _text("scores"), _text("propensities"), _text("request"),
    sa.Index("exposures_time", "time", "recommendation_id"),
    sa.Index("exposures_user", "user_id"),
)  # fmt: skip

experiments = sa.Table("experiments", METADATA, _name("name", key=True), _text("body"), _name("state"), _revision())

scenarios = sa.Table("scenarios", METADATA, _name("name", key=True), _text("body"), _revision())

keys = sa.Table(
    "keys", METADATA,
    _name("prefix", key=True), _name("digest"), _text("name"), _text("scopes"), _name("tenant"),
    _time("created"), _time("revoked", nullable=True), _time("last_used", nullable=True),
)  # fmt: skip

versions = sa.Table(
    "versions", METADATA,
    _name("version", key=True), _text("path"), _name("state"), _text("metrics"),
    _time("created"), _time("activated", nullable=True),
    sa.Index(
        "versions_live", "state", unique=True,
        sqlite_where=sa.text("state = 'live'"), postgresql_where=sa.text("state = 'live'"),
    ),
)  # fmt: skip

audit = sa.Table(
    "audit", METADATA,
    sa.Column("id", REVISION, primary_key=True),
    _time("time"), _text("actor"), _text("action"), _text("target"), _text("detail"),
)  # fmt: skip

replies = sa.Table(
    "replies", METADATA,
    _name("key", key=True), _text("request_digest"), sa.Column("status", sa.Integer(), nullable=False),
    _text("body"), _time("time"),
    sa.Index("replies_time", "time"),
)  # fmt: skip

state = sa.Table("state", METADATA, _name("name", key=True), _text("body"), _revision())
