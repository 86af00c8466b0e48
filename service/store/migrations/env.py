"""Alembic's entry point; `upgrade` hands over an open transaction."""

from alembic import context

from service.store.migrations import VERSION_TABLE
from service.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    render_as_batch=True,
)
context.run_migrations()
