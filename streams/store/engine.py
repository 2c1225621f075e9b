"""Opening the database: SQLite by default, PostgreSQL by URL."""

from functools import cache
from typing import Any

from sqlalchemy import Connection, Engine, Table, create_engine, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import (
    InterfaceError,
    InternalError,
    OperationalError,
    TimeoutError,  # noqa: A004 - SQLAlchemy's own, of its pool
)

from slo.model import SECOND
from streams.store.postgresql import LIMITS, Limits, bound

BUSY_MS = 30_000
"""How long a writer of SQLite waits for another one before it gives up."""

Rows = list[dict[str, Any]]

UNAVAILABLE = (OperationalError, InterfaceError, InternalError, TimeoutError)
"""What a store raises that did not answer, whose outcome may be unknown: try again."""


def open_engine(url: str, limits: Limits = LIMITS) -> Engine:
    """An engine that has not connected yet.

    `url` is explicit: `sqlite:///path` or `postgresql+psycopg://...`.
    """
    if url.startswith("sqlite"):
        engine = create_engine(
            url, connect_args={"timeout": BUSY_MS / 1000}, hide_parameters=True
        )
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    else:
        engine = create_engine(
            url,
            pool_pre_ping=True,
            pool_timeout=limits.answer_ms / SECOND,
            hide_parameters=True,  # our errors are logged, and kept in dead letters
        )
        bound(engine, limits)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # we begin transactions ourselves
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = NORMAL")
    # Large commits in a catch-up: copy them into the database every 32 MB, not 4.
    cursor.execute("PRAGMA wal_autocheckpoint = 8000")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # A deferred transaction that turns into a writer half-way fails at once where
    # another one writes, whatever the busy time-out: writers say so at the start.
    write = connection.get_execution_options().get("write")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def _insert(dialect: str, table: Table) -> Any:
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)


@cache
def _keeping(dialect: str, table: Table) -> Any:
    return _insert(dialect, table).on_conflict_do_nothing()


@cache
def _replacing(dialect: str, table: Table) -> Any:
    """Made once: building it takes as long as running it, at every batch."""
    statement = _insert(dialect, table)
    keys = [column.name for column in table.primary_key]
    values = {
        column.name: statement.excluded[column.name]
        for column in table.c
        if column.name not in keys
    }
    return statement.on_conflict_do_update(index_elements=keys, set_=values)


def keep(connection: Connection, table: Table, rows: Rows) -> None:
    """Insert rows, leaving alone those whose key is there already."""
    if rows:
        connection.execute(_keeping(connection.dialect.name, table), rows)


def upsert(connection: Connection, table: Table, rows: Rows) -> None:
    """Insert rows, or replace all other columns of those whose key is there."""
    if rows:
        connection.execute(_replacing(connection.dialect.name, table), rows)
