"""Run by Alembic: the steps on the connection that the caller opened, inside the caller's transaction."""

from __future__ import annotations

from alembic import context

from salon.store.schema import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA, render_as_batch=True)
context.run_migrations()
