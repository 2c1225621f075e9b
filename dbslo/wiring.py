"""Composition: an engine with delivery and /metrics beside it, until somebody stops it."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NamedTuple

from alerts.delivery import UNHURRIED, Delivery, Pace
from dbslo import __version__
from dbslo.engines import Engine
from dbslo.given import Given
from dbslo.health import Watcher
from dbslo.memory import collect_seldom
from dbslo.settings import ENVIRONMENT
from dbslo.telling import Telling, real_clock
from dbslo.watchdog import Watchdog
from slo.faults import Fault, SpecificationError
from slo.model import Place
from streams.listener import ALIVE, READY, Listener
from streams.metrics import EngineCollector
from streams.store import Store
from streams.timing import Timings

Clock = Callable[[], int]


class Beside(NamedTuple):
    """What runs beside an engine; a process without a store tells nobody."""

    listener: Listener
    telling: Telling | None


@contextmanager
def beside(  # noqa: PLR0913 - a composition root names its parts
    engine: Engine,
    store: Store | None,
    have: Given,
    timings: Timings,
    *,
    clock: Clock = real_clock,
    told: Callable[[Delivery], None] = lambda _: None,
    pace: Pace = UNHURRIED,
    watchdog: Watchdog | None = None,
) -> Iterator[Beside]:
    """Delivery and /metrics beside an engine, for as long as the block runs.

    `clock` is the engine's. Raises SpecificationError where the address for metrics
    is taken.
    """
    collect_seldom()
    telling = Telling(store, have.settings, told, pace) if store else None
    watcher = Watcher(engine, store, telling, clock, watchdog)
    collector = EngineCollector(
        engine.views,
        watcher.figures,
        timings,
        policy=have.plan.policy,
        clock=clock,
        version=__version__,
    )
    listener = _listening(have, collector, watcher)
    try:
        if store is not None and telling is not None:
            store.noticed = telling.wake
            telling.start()
        yield Beside(listener, telling)
    finally:
        if telling is not None:
            telling.stop()
        listener.stop()


def _listening(have: Given, collector: EngineCollector, watcher: Watcher) -> Listener:
    host, port = have.settings.metrics_listen
    try:
        probes = {ALIVE: watcher.alive, READY: watcher.ready}
        token = have.settings.metrics_token
        return Listener(host, port, collector, probes, token).start()
    except OSError as error:
        reason = f"{host}:{port} cannot be taken: {error.strerror}"
        remedy = "Set another host:port; port 0 takes a free one"
        place = Place(ENVIRONMENT, 0)
        fault = Fault(place, "DBSLO_METRICS_LISTEN", reason, remedy)
        raise SpecificationError((fault,)) from error


@contextmanager
def running(engine: Engine) -> Iterator[None]:
    """An engine at work for as long as the block runs."""
    engine.start()
    try:
        yield
    finally:
        engine.stop()


@contextmanager
def opened(url: str) -> Iterator[Store]:
    """A store for as long as the block runs."""
    store = Store(url)
    try:
        yield store
    finally:
        store.close()


@contextmanager
def until_told(stop: threading.Event) -> Iterator[threading.Event]:
    """Set `stop` on SIGTERM and SIGINT; a second SIGINT interrupts as usual."""

    def told(number: int, _: FrameType | None) -> None:
        stop.set()
        signal.signal(number, before[signal.Signals(number)])

    numbers = (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.signal(number, told) for number in numbers}
    try:
        yield stop
    finally:
        for number, action in before.items():
            signal.signal(number, action)
