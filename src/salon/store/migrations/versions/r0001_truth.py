"""Items, people, events and removals, and the counter that orders them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
REVISION = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Makes the tables."""
    counter = op.create_table(
        "counter",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("revision", REVISION, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_counter"),
    )
    op.bulk_insert(counter, [{"id": 1, "revision": 0}])
    for table, own in (("items", sa.Column("hidden", sa.Boolean())), ("users", sa.Column("merged_into", NAME))):
        own.nullable = False
        op.create_table(
            table,
            sa.Column("id", NAME, nullable=False),
            sa.Column("fields", sa.Text(), nullable=False),
            own,
            sa.Column("deleted", sa.Boolean(), nullable=False),
            sa.Column("created", sa.Double(), nullable=False),
            sa.Column("updated", sa.Double(), nullable=False),
            sa.Column("revision", REVISION, nullable=False),
            sa.PrimaryKeyConstraint("id", name=f"pk_{table}"),
        )
        op.create_index(f"{table}_revision", table, ["revision"])
    merged = sa.text("merged_into <> ''")
    op.create_index("users_merged_into", "users", ["merged_into"], sqlite_where=merged, postgresql_where=merged)
    _create_events()


def _create_events() -> None:
    op.create_table(
        "events",
        sa.Column("revision", REVISION, autoincrement=False, nullable=False),
        *[sa.Column(name, NAME, nullable=False) for name in ("event_id", "user_id", "item_id", "kind")],
        sa.Column("value", sa.Double(), nullable=True),
        sa.Column("time", sa.Double(), nullable=False),
        *[sa.Column(name, NAME, nullable=False) for name in ("recommendation_id", "session", "scenario")],
        sa.Column("properties", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("revision", name="pk_events"),
        sa.UniqueConstraint("event_id", name="uq_events_event_id"),
    )
    op.create_index("events_user", "events", ["user_id", "revision"])
    op.create_index("events_item", "events", ["item_id", "revision"])
    op.create_table(
        "removals",
        sa.Column("revision", REVISION, autoincrement=False, nullable=False),
        *[sa.Column(name, NAME, nullable=False) for name in ("user_id", "item_id", "kind", "event_id")],
        sa.PrimaryKeyConstraint("revision", name="pk_removals"),
    )
