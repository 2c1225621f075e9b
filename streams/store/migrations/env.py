"""What Alembic runs: the missing revisions, on the connection that the store gives it."""

from alembic import context

from streams.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"], target_metadata=metadata
)
context.run_migrations()
