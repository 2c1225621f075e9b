"""The revisions of the schema, as Alembic runs them."""
