"""A PostgreSQL, a client or a wire that stands still: nobody waits for ever."""

import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext, suppress
from pathlib import Path
from urllib.parse import urlencode

import psycopg
import pytest
from sqlalchemy import Connection, text

from streams.store import UNAVAILABLE, Progress, Store
from streams.store.postgresql import Limits, unhurried
from streams.store.records import Change
from streams.store.steps import fence
from tests.real.forwarder import Forwarder
from tests.real.servers.process import Process
from tests.real.walk import until

pytestmark = pytest.mark.real

ROOT = Path(__file__).parents[2]
SHORT = Limits(connect_ms=1_000, idle_ms=600, lock_ms=1_000, answer_ms=1_500)
SOON_S = 10.0  # far from an end of the defaults: 20 s without a byte, or never

HOLDER = """
import os, signal, sys
from streams.store import FencedError, Store, UNAVAILABLE, schema
from streams.store.postgresql import Limits, unhurried
from streams.store.records import Change
from streams.store.steps import fence
store = Store(sys.argv[1], limits=Limits(idle_ms=1000))
mine = store.take(0)
try:
    with store.writing() as connection:
        fence(connection, mine, Change(99, 0))
        STAND_STILL
except UNAVAILABLE as error:
    print("woken:", type(error).__name__, flush=True)
try:
    store.commit(mine, Change(99, 0))
except FencedError:
    print("fenced", flush=True)
"""

STOP = 'print("held", flush=True); os.kill(os.getpid(), signal.SIGSTOP)'
AMID = f"""
        raw = connection.connection.driver_connection
        with raw.pipeline():
            raw.execute("UPDATE progress SET saved_ms = 1")
            raw.pgconn.send_flush_request()
            raw.pgconn.flush()
            {STOP}
            raw.execute("UPDATE progress SET saved_ms = 2")
"""


@pytest.fixture
def url(postgres) -> str:
    return postgres.url(postgres.database())


@contextmanager
def opened(url: str) -> Iterator[Store]:
    store = Store(url, limits=SHORT)
    try:
        yield store
    finally:
        store.close()


@contextmanager
def soon() -> Iterator[None]:
    begun = time.monotonic()
    yield
    assert time.monotonic() - begun < SOON_S


def taken(store: Store) -> Progress:
    """As a worker takes a partition: it asks again."""
    try:
        return store.take(0)
    except UNAVAILABLE:
        return store.take(0)


@pytest.mark.parametrize(
    "stands_still",
    [
        pytest.param(STOP, id="between two statements the server itself ends it"),
        pytest.param(AMID.strip(), id="amid several sent together who waits ends it"),
    ],
)
def test_a_stopped_worker_frees_the_fence_and_wakes_as_nobody(
    url, tmp_path, stands_still
):
    Store(url).close()
    holder = HOLDER.replace("STAND_STILL", stands_still)
    command = [sys.executable, "-c", holder, url]
    log = tmp_path / "holder.log"
    sleeper = Process(command, log, env={"PYTHONPATH": str(ROOT)})
    try:
        until("it holds the fence", lambda: "held" in log.read_text(), 20)
        with opened(url) as store, soon():
            mine = taken(store)
            store.commit(mine, Change(5, 0))
        os.kill(sleeper.pid, signal.SIGCONT)
        until("it has ended", lambda: not sleeper.alive, 20)
    finally:
        sleeper.kill()
    words = [line.partition(":")[0] for line in log.read_text().splitlines()]
    assert [word for word in words if word in ("woken", "fenced")] == [
        "woken",
        "fenced",
    ]
    with opened(url) as store:
        assert store.progress(0).next == 5


def backend(connection: Connection) -> int:
    """The server's process behind a connection."""
    return connection.scalar(text("SELECT pg_backend_pid()"))


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """Its kernel still answers keepalives, and no time-out of its own ends anything."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_backend_that_stops_between_transactions_is_left_for_another(url):
    with opened(url) as store:
        with store.reading() as connection:
            pid = backend(connection)
        with stopped(pid), soon():
            store.commit(store.take(0), Change(5, 0))
        assert store.progress(0).next == 5


def held_by_a_stopped_backend(store: Store, mine: Progress) -> None:
    with store.writing() as connection:
        fence(connection, mine, Change(5, 0))
        with stopped(backend(connection)):
            connection.execute(text("SELECT 1"))


def test_a_backend_that_stops_inside_a_transaction_ends_it(url):
    with opened(url) as store:
        mine = store.take(0)
        with soon(), pytest.raises(UNAVAILABLE):
            held_by_a_stopped_backend(store, mine)
        until("its row is free", lambda: store.take(0).next == 0, SOON_S)


def test_a_wire_that_swallows_everything_does_not_hang_a_commit(postgres, url):
    with Forwarder.to(postgres.port) as wire:
        through = url.replace(f":{postgres.port}/", f":{wire.port}/")
        with opened(through) as store:
            mine = store.take(0)
            wire.cut()
            with soon(), pytest.raises(UNAVAILABLE):
                store.commit(mine, Change(5, 0))
            with soon(), pytest.raises(UNAVAILABLE):
                store.take(0)
            wire.mend()
            mine = store.take(0)
            store.commit(mine, Change(7, 0))
            assert store.progress(0).next == 7


def test_a_server_that_takes_calls_and_says_nothing_is_given_up():
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        port = deaf.getsockname()[1]
        with soon(), pytest.raises(UNAVAILABLE):
            Store(f"postgresql+psycopg://dbslo@127.0.0.1:{port}/x", limits=SHORT)


def test_who_wants_a_row_that_another_works_on_waits_no_longer_than_told(url):
    holder = Store(url, limits=Limits(idle_ms=60_000))
    with closing(holder), opened(url) as store:
        mine = store.take(0)
        with holder.writing() as connection:
            connection.execute(text("UPDATE progress SET next = 1"))
            with soon(), pytest.raises(UNAVAILABLE, match="lock timeout"):
                store.commit(mine, Change(5, 0))


def test_what_is_slow_but_moves_is_waited_for(url):
    """A second's rest between two rows, for longer than a silence may last."""
    with opened(url) as store, store.reading() as connection:
        rows = "SELECT pg_sleep(0.5), repeat('x', 100000) FROM generate_series(1, 5)"
        assert len(connection.execute(text(rows)).all()) == 5


@pytest.mark.parametrize(
    ("setting", "wanted"),
    [
        ("lock_timeout", "15s"),
        ("idle_in_transaction_session_timeout", "10s"),
        ("tcp_keepalives_idle", "10"),
        ("tcp_user_timeout", "20000"),
        ("client_connection_check_interval", "10s"),
    ],
)
def test_a_session_is_told_its_limits(url, setting, wanted):
    store = Store(url)
    with store.reading() as connection:
        found = connection.scalar(text(f"SELECT current_setting('{setting}')"))
        ours = connection.connection.driver_connection.info.get_parameters()
    store.close()
    assert found.replace("000ms", "s") == wanted
    assert (ours["tcp_user_timeout"], ours["connect_timeout"]) == ("20000", "5")
    assert ours["application_name"] == "dbslo"


def test_a_url_may_say_it_otherwise(url):
    said = {"connect_timeout": "3", "tcp_user_timeout": "9000"}
    said["application_name"] = "slo-eu"
    store = Store(f"{url}?{urlencode(said)}")
    with store.reading() as connection:
        ours = connection.connection.driver_connection.info.get_parameters()
    store.close()
    assert {name: ours[name] for name in said} == said


def test_who_reads_history_may_rest_between_two_tables(url):
    with opened(url) as store, store.reading() as connection:
        unhurried(connection)
        time.sleep(SHORT.idle_ms / 1000 * 2)  # there is nothing to wait for but time
        assert connection.scalar(text("SELECT 1")) == 1


@contextmanager
def holding(url: str, statement: str) -> Iterator[int]:
    """A session that has sent a statement of several, its row locked; its backend."""
    holder = psycopg.connect(url.replace("+psycopg", ""))
    try:
        with suppress(psycopg.OperationalError), holder.pipeline():
            holder.execute("UPDATE progress SET saved_ms = 1 WHERE partition = 1")
            holder.execute(statement)
            holder.pgconn.send_flush_request()
            holder.pgconn.flush()
            yield holder.info.backend_pid
            holder.close()  # and never says what else was to come
    finally:
        holder.close()


@pytest.mark.parametrize(
    ("named", "statement", "survives"),
    [
        pytest.param("dbslo", "SELECT 1", False, id="ours that stands still is ended"),
        pytest.param("dbslo", "SELECT pg_sleep(20)", True, id="ours at work is not"),
        pytest.param(
            "psql", "SELECT 1", True, id="a stranger's is none of our business"
        ),
    ],
)
def test_who_waits_in_vain_ends_nobody_but_its_own(url, named, statement, survives):
    doing = text("SELECT query FROM pg_stat_activity WHERE pid = :pid")
    with opened(url) as store:
        store.take(1)

        def told() -> str | None:
            with store.reading() as connection:
                return connection.scalar(doing, {"pid": pid})

        with holding(f"{url}?application_name={named}", statement) as pid:
            until("it holds the row", lambda: told() == statement, SOON_S)
            with soon(), pytest.raises(UNAVAILABLE, match="lock timeout"):
                store.take(1)
            again = pytest.raises(UNAVAILABLE, match="lock timeout")
            with again if survives else nullcontext():
                store.take(1)
            assert (told() == statement) is survives
