"""The schema of a store, brought up to date at the start, once, whoever comes first."""

from pathlib import Path
from threading import Lock
from typing import Any, Final

from sqlalchemy import Connection, Engine, inspect, select, text

from streams.store.schema import REVISIONS, meta

LOCK: Final = 0x6462736C6F  # "dbslo"
"""PostgreSQL's advisory lock that whoever upgrades holds."""

LOCK_SECONDS: Final = 600
"""Others wait for an upgrade for this long."""

_ALEMBIC: Final = Lock()
"""Alembic keeps the upgrade under way in the module: one at a time in a process."""

UNNUMBERED: Final = "1"
"""What `meta` says in stores that were made before revisions were numbered."""


class SchemaError(Exception):
    """The store was written by a version whose schema this one does not know."""


def upgrade(engine: Engine) -> None:
    """Bring a store to the newest revision; an empty one gets all of them.

    Raises SchemaError for a store that is newer than we are.
    """
    with engine.connect() as connection:
        found = revision_of(connection)
    if found == REVISIONS[-1]:
        return
    with engine.execution_options(write=True).begin() as connection:
        _alone(connection)
        found = revision_of(connection)
        if found != REVISIONS[-1]:
            _run(connection, found)
    engine.dispose()  # whoever waited for others was given more time than is usual


def revision_of(connection: Connection) -> str | None:
    """The revision that a store has; None where it is empty.

    Raises SchemaError for one that we do not know.
    """
    tables = set(inspect(connection).get_table_names())
    found: str | None = None
    if "alembic_version" in tables:
        found = connection.scalar(text("SELECT version_num FROM alembic_version"))
    elif "meta" in tables:
        said = connection.scalar(select(meta.c.value).where(meta.c.key == "schema"))
        found = REVISIONS[0] if said in (None, UNNUMBERED) else said
    if found is not None and found not in REVISIONS:
        raise SchemaError(
            f"the store has schema {found}, this version knows {REVISIONS[0]} to"
            f" {REVISIONS[-1]}: use the version that wrote it or a later one, or"
            " another store"
        )
    return found


def _alone(connection: Connection) -> None:
    """Wait until nobody else upgrades; SQLite's transaction says so by itself."""
    if connection.dialect.name == "postgresql":
        bounded: Any = connection.connection.driver_connection
        bounded.answer_s = 2 * LOCK_SECONDS
        connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'"))
        connection.execute(text(f"SELECT pg_advisory_xact_lock({LOCK})"))


def _run(connection: Connection, found: str | None) -> None:
    """Let Alembic run what is missing. It takes a while to import: only then."""
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    folder = str(Path(__file__).with_name("migrations")).replace("%", "%%")
    config.set_main_option("script_location", folder)
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    with _ALEMBIC:
        if found is not None and not inspect(connection).has_table("alembic_version"):
            command.stamp(config, found)
        command.upgrade(config, "head")
