"""What `run`, `ingest` and `evaluate` share: start, say where, wait, stop."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from dbslo import logs, output
from dbslo.banner import banner
from dbslo.engines import EmbeddedEngine, Engine
from dbslo.given import Given
from dbslo.kafka_engine import KafkaEngine
from dbslo.wiring import beside, opened, running, until_told
from streams.kafka import WorkerStoppedError
from streams.runtimes.embedded import Pace
from streams.runtimes.room import EngineStoppedError
from streams.store import Store
from streams.timing import Timings

LOOK_SECONDS = 1.0


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
        store = stack.enter_context(opened(have.settings.store)) if evaluates else None
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
    for warning in have.warnings:
        logs.log.warning("%s", warning)
    for name, text in banner(have, evaluates=store is not None):
        output.say(f"{name:<8} {text}")
    with (
        until_told(stop),
        running(engine),
        beside(engine, store, have, timings) as (listener, _),
    ):
        kafka = have.settings.kafka
        if isinstance(engine, EmbeddedEngine):
            kafka = f"{engine.embedded.bootstrap} (in this process)"
        output.say(f"{'kafka':<8} {kafka}")
        output.say(f"{'metrics':<8} {listener.url}/metrics")
        while not stop.wait(LOOK_SECONDS):
            if isinstance(engine, EmbeddedEngine) and engine.embedded.failure:
                break
            engine.look()
