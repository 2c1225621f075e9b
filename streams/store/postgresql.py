"""Connections to PostgreSQL that never hang: every wait on either side has an end."""

import logging
import time
from collections.abc import Generator
from typing import Any, Final, TypeVar

import msgspec
import psycopg
from psycopg.errors import LockNotAvailable
from psycopg.pq import Format
from sqlalchemy import Connection, Engine, event, text
from sqlalchemy.exc import SQLAlchemyError

from slo.model import SECOND
from slo.names import STORE_SESSIONS


class Limits(msgspec.Struct, frozen=True):
    """How long each side waits for the other. Each is longer than those it stands on.

    `idle_ms`: the server frees the fence of a worker that stands still inside a
    transaction. `lock_ms`: another one waits that long for it. `answer_ms`: a
    connection on which no byte moves for longer is given up, be its peer stopped,
    unplugged or swallowed by a network that never says so.
    """

    connect_ms: int = 5 * SECOND
    idle_ms: int = 10 * SECOND
    lock_ms: int = 15 * SECOND
    answer_ms: int = 20 * SECOND


LIMITS: Final = Limits()

PROBES: Final = 3
"""Keepalives that stay without an answer before a kernel gives its peer up."""

RESTS_S: Final = 300
"""Who reads a month of history makes sense of one table before it asks for the next."""

CLIENT_CHECKED: Final = 140_000
"""From this version on a server notices during a statement that its client is gone."""

END_STALLED: Final = text(
    """
    SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND usename = session_user
      AND application_name = current_setting('application_name')
      AND state = 'active' AND wait_event = 'ClientRead'
      AND state_change < clock_timestamp() - :idle_ms * interval '1 millisecond'
    """
)
"""Amid statements that were sent together the server takes a client that stands still
for active, waits for the rest, and holds its locks: `idle_in_transaction` is no limit
there, and only the waiting can tell. Sessions of one login alone may end each other, so
all workers share one. `state_change` is when the last of the statements began: who has
just ended a longer one may be met as well, and tries again."""

log = logging.getLogger("dbslo.store")

Result = TypeVar("Result")


class BoundedConnection(psycopg.Connection[Any]):
    """A connection that is closed where no byte moves for `answer_s` seconds.

    Timeouts of the server end nothing where the server itself is stopped, and
    keepalives nothing where its kernel still answers them.
    """

    answer_s = LIMITS.answer_ms / SECOND

    def wait(self, gen: Any, *args: Any, **more: Any) -> Any:
        """As psycopg's, with an end."""
        return super().wait(self._moving(gen), *args, **more)

    def _moving(self, gen: Generator[Any, Any, Result]) -> Generator[Any, Any, Result]:
        """What `gen` asks for, for as long as bytes move."""
        moved_at = time.monotonic()
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                if ready:
                    moved_at = time.monotonic()
                elif time.monotonic() - moved_at > self.answer_s:
                    self._give_up()
                wanted = gen.send(ready)
        except StopIteration as end:
            found: Result = end.value
            return found

    def _give_up(self) -> None:
        self.pgconn.finish()
        raise psycopg.OperationalError(
            f"PostgreSQL gave no answer for {self.answer_s:g} s: connection given up"
        )


def _in_bytes(
    _connection: Any,
    cursor: Any,
    _statement: Any,
    _given: Any,
    context: Any,
    _many: Any,
) -> None:
    """Pages come as bytes where so wished: as text they are twice as long."""
    if context.execution_options.get("in_bytes"):
        cursor.format = Format.BINARY


def bound(engine: Engine, limits: Limits) -> None:
    """Let an engine make bounded connections; what its URL says itself, holds."""
    own = {
        key: value for key, value in engine.url.query.items() if key in _ours(limits)
    }

    def connect(_dialect: Any, _record: Any, args: Any, given: Any) -> Any:
        made = BoundedConnection.connect(*args, **{**_ours(limits), **given, **own})
        made.answer_s = limits.answer_ms / SECOND
        return made

    def prepare(connection: psycopg.Connection[Any], _record: Any) -> None:
        connection.execute(_session(connection.info.server_version, limits))
        connection.commit()

    def failed(context: Any) -> None:
        if isinstance(context.original_exception, LockNotAvailable):
            _end_stalled(engine, limits)

    event.listen(engine, "handle_error", failed)
    event.listen(engine, "do_connect", connect)
    event.listen(engine, "connect", prepare)
    event.listen(engine, "before_cursor_execute", _in_bytes)


def _end_stalled(engine: Engine, limits: Limits) -> None:
    """Who waited for a lock in vain ends the sessions of ours that stand still.

    By another connection: that of the statement that failed is not rolled back yet.
    """
    try:
        with engine.begin() as connection:
            ended = connection.execute(END_STALLED, {"idle_ms": limits.idle_ms}).all()
    except SQLAlchemyError as error:  # that a lock was not had is told all the same
        log.warning("sessions that stand still were not looked for: %s", error)
        return
    for pid, _ in ended:
        log.warning("backend %d stood still amid its statements: it is ended", pid)


def unhurried(connection: Connection) -> None:
    """A transaction that only reads, and may rest for minutes: it holds nobody up."""
    if connection.dialect.name == "postgresql":
        setting = "idle_in_transaction_session_timeout"
        connection.execute(text(f"SET LOCAL {setting} = '{RESTS_S}s'"))


def _ours(limits: Limits) -> dict[str, Any]:
    """Who we are, and for our side's kernel: a peer that is gone is noticed."""
    return {
        "application_name": STORE_SESSIONS,
        "connect_timeout": max(limits.connect_ms // SECOND, 1),
        "keepalives": 1,
        "keepalives_idle": max(limits.answer_ms // SECOND // 2, 1),
        "keepalives_interval": max(limits.answer_ms // SECOND // (2 * PROBES), 1),
        "keepalives_count": PROBES,
        "tcp_user_timeout": limits.answer_ms,
    }


def _session(version: int, limits: Limits) -> str:
    """For the server's side: a client that stands still, or is gone, holds nothing."""
    wanted = {
        "lock_timeout": limits.lock_ms,
        "idle_in_transaction_session_timeout": limits.idle_ms,
        "tcp_keepalives_idle": max(limits.answer_ms // SECOND // 2, 1),
        "tcp_keepalives_interval": max(limits.answer_ms // SECOND // (2 * PROBES), 1),
        "tcp_keepalives_count": PROBES,
        "tcp_user_timeout": limits.answer_ms,
    }
    if version >= CLIENT_CHECKED:
        wanted["client_connection_check_interval"] = limits.answer_ms // 2
    return "".join(f"SET {name} = {value};" for name, value in wanted.items())
