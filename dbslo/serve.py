"""What `run`, `ingest` and `evaluate` share: start, say where, wait, stop."""

import ipaddress
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from dbslo import logs, output
from dbslo.access import connection_of
from dbslo.banner import banner
from dbslo.engines import EmbeddedEngine, Engine
from dbslo.given import Given
from dbslo.kafka_engine import KafkaEngine
from dbslo.watchdog import Neighbour, Watchdog, ends_within, give_up
from dbslo.wiring import beside, opened, running, until_told
from streams.kafka import WorkerStoppedError, alive
from streams.runtimes.embedded import Pace
from streams.runtimes.room import EngineStoppedError
from streams.store import Store
from streams.timing import Timings

LOOK_SECONDS = 1.0

END_SECONDS = 25.0
"""Kubernetes kills after 30 s: by then we have said why."""


def serve_embedded(have: Given, *, as_json: bool) -> None:
    """Run both stages on the embedded broker until told to stop."""
    logs.configure(have.settings.log_level, as_json=as_json)
    with told(as_json=as_json), opened(have.settings.store) as store:
        pace = Pace(flush_ms=have.settings.flush_ms)
        timings = Timings()
        engine = EmbeddedEngine(have, store, timings, pace=pace)
        _attend(engine, store, have, timings, threading.Event())


def serve(have: Given, *, ingests: bool, evaluates: bool, as_json: bool) -> None:
    """Run stages on Kafka until told to stop, or one of them ends."""
    logs.configure(have.settings.log_level, as_json=as_json)
    stop, timings = threading.Event(), Timings()
    with told(as_json=as_json), ExitStack() as stack:
        url = have.settings.store
        store = stack.enter_context(opened(url, waits=True)) if evaluates else None
        engine = KafkaEngine(
            have,
            store,
            ingests=ingests,
            evaluates=evaluates,
            ended=stop.set,
            timings=timings,
        )
        _attend(engine, store, have, timings, stop)


@contextmanager
def told(*, as_json: bool) -> Iterator[None]:
    """Where the log is JSON, what ends the process is a line of it, too."""
    try:
        yield
    except (WorkerStoppedError, EngineStoppedError) as error:
        if not as_json:
            raise
        logs.log.error("stopped", extra={"fields": {"error": str(error)}})
        raise SystemExit(1) from None


def _attend(
    engine: Engine,
    store: Store | None,
    have: Given,
    timings: Timings,
    stop: threading.Event,
) -> None:
    for warning in (*have.warnings, *exposed(have)):
        logs.log.warning("%s", warning)
    for name, text in banner(have, evaluates=store is not None):
        output.say(f"{name:<8} {text}")
    watchdog = Watchdog(
        engine, neighbours(have, store), have.settings.stuck_seconds, give_up
    )
    with (
        until_told(stop),
        bounded_end() as ending,
        running(engine),
        beside(
            engine,
            store,
            have,
            timings,
            watchdog=watchdog,
            blind_s=have.settings.blind_seconds,
        ) as (listener, _),
    ):
        watchdog.start()
        kafka = have.settings.kafka
        if isinstance(engine, EmbeddedEngine):
            kafka = f"{engine.embedded.bootstrap} (in this process)"
        output.say(f"{'kafka':<8} {kafka}")
        output.say(f"{'metrics':<8} {listener.url}/metrics")
        while not stop.wait(LOOK_SECONDS):
            if isinstance(engine, EmbeddedEngine) and engine.embedded.failure:
                break
            engine.look()
        watchdog.stop()
        ending()


def neighbours(have: Given, store: Store | None) -> dict[str, Neighbour]:
    """Whom a stage may have to wait for, and a question to each."""
    found: dict[str, Neighbour] = {}
    if store is not None:
        found["the store"] = store.oldest_unsent_ms
    if have.settings.kafka:
        connection = connection_of(have.settings)
        found["Kafka"] = lambda: alive(connection)
    return found


def exposed(have: Given) -> Iterator[str]:
    """What is served beyond this machine without a token."""
    host, _ = have.settings.metrics_listen
    if have.settings.metrics_token or host == "localhost":
        return
    try:
        if ipaddress.ip_address(host).is_loopback:
            return
    except ValueError:  # a name: who knows where it leads
        pass
    yield (
        f"DBSLO_METRICS_LISTEN: /metrics is served on {host} to anybody who reaches it."
        " Set DBSLO_METRICS_TOKEN_FILE, or listen on 127.0.0.1"
    )


@contextmanager
def bounded_end() -> Iterator[Callable[[], None]]:
    """Call what it gives when the end begins: beyond END_SECONDS nobody is waited for."""
    with ExitStack() as stack:

        def begin() -> None:
            stack.callback(ends_within(END_SECONDS).cancel)

        yield begin
