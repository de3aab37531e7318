"""What serving keeps: exposures, experiments, scenarios, keys, versions of models, audit, replies and small state."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
REVISION = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _columns(kind: sa.types.TypeEngine[Any], *names: str, nullable: bool = False) -> list[sa.Column[Any]]:
    return [sa.Column(name, kind, nullable=nullable) for name in names]


def _create(table: str, *columns: sa.Column[Any]) -> None:
    """A table whose key is its first column."""
    op.create_table(table, *columns, sa.PrimaryKeyConstraint(columns[0].name, name=f"pk_{table}"))


def upgrade() -> None:
    """Makes the tables."""
    text: sa.Text = sa.Text()
    time: sa.Double[float] = sa.Double()
    _create(
        "exposures",
        *_columns(NAME, "recommendation_id", "user_id"), *_columns(time, "time"),
        *_columns(NAME, "session", "scenario", "experiment", "variant", "version"),
        *_columns(text, "items", "sources", "scores", "propensities", "request"),
    )  # fmt: skip
    op.create_index("exposures_time", "exposures", ["time", "recommendation_id"])
    op.create_index("exposures_user", "exposures", ["user_id"])
    _create("experiments", *_columns(NAME, "name"), *_columns(text, "body"), *_columns(NAME, "state"),
            *_columns(REVISION, "revision"))  # fmt: skip
    for table in ("scenarios", "state"):
        _create(table, *_columns(NAME, "name"), *_columns(text, "body"), *_columns(REVISION, "revision"))
    _create(
        "keys",
        *_columns(NAME, "prefix", "digest"), *_columns(text, "name", "scopes"), *_columns(NAME, "tenant"),
        *_columns(time, "created"), *_columns(time, "revoked", "last_used", nullable=True),
    )  # fmt: skip
    _create(
        "versions",
        *_columns(NAME, "version"), *_columns(text, "path"), *_columns(NAME, "state"), *_columns(text, "metrics"),
        *_columns(time, "created"), *_columns(time, "activated", nullable=True),
    )  # fmt: skip
    live = sa.text("state = 'live'")
    op.create_index("versions_live", "versions", ["state"], unique=True, sqlite_where=live, postgresql_where=live)
    _create("audit", *_columns(REVISION, "id"), *_columns(time, "time"),
            *_columns(text, "actor", "action", "target", "detail"))  # fmt: skip
    _create("replies", *_columns(NAME, "key"), *_columns(text, "request_digest"), *_columns(sa.Integer(), "status"),
            *_columns(text, "body"), *_columns(time, "time"))  # fmt: skip
    op.create_index("replies_time", "replies", ["time"])
