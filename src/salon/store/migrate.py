"""Brings the tables of a database to the newest step, or to a named one; several processes may try at once."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from salon.errors import MissingExtraError, StoreError
from salon.store.database import Database

HEAD = "0002"
"""The newest step; a store that is at it opens without Alembic."""

STEPS = Path(__file__).parent / "migrations"
_LOCK = 0x5A10  # any number, the same in all processes


def migrate(database: Database, to: str = HEAD) -> None:
    """Runs the steps that are missing, all in one transaction.

    Raises:
        StoreError: The tables were made by a newer version of salon.
        MissingExtraError: Alembic is not installed.
    """
    with database.read() as connection:
        if current_step(connection) == to:
            return
    with database.write(stamped=False) as connection:
        if not database.is_sqlite:
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        run_steps(connection, to)


def run_steps(connection: Connection, to: str = HEAD) -> None:
    """`migrate` inside a transaction that the caller holds."""
    config = _alembic("config").Config()
    config.set_main_option("script_location", str(STEPS).replace("%", "%%"))
    known = {step.revision for step in _alembic("script").ScriptDirectory.from_config(config).walk_revisions()}
    for step in (current_step(connection), to):
        if step is not None and step not in known:
            raise StoreError(
                f"The tables are of step {step!r}, which this version of salon does not know.",
                hint="Use the version of salon that made them, or a newer one.",
            )
    config.attributes["connection"] = connection
    _alembic("command").upgrade(config, to)


def current_step(connection: Connection) -> str | None:
    """The step that the tables are at; None where there are none."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    return found


def _alembic(module: str) -> Any:
    try:
        return import_module(f"alembic.{module}")
    except ImportError as error:
        raise MissingExtraError.of("The store", "serve") from error
