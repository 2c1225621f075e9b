"""Composition: an engine with delivery and /metrics beside it, until somebody stops it."""

import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NamedTuple

from alerts.delivery import UNHURRIED, Delivery, Pace
from alerts.memory import MemoryOutbox
from dbslo import __version__
from dbslo.blind import Blind
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
from streams.store import UNAVAILABLE, Store
from streams.timing import Timings

Clock = Callable[[], int]

log = logging.getLogger("dbslo.wiring")


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
    blind_s: int = 0,
) -> Iterator[Beside]:
    """Delivery and /metrics beside an engine, for as long as the block runs.

    `clock` is the engine's. After `blind_s` without a commit dbslo says that it is
    blind; 0: never. Raises SpecificationError where the address for metrics
    is taken.
    """
    collect_seldom()
    telling = Telling(store, have.settings, told, pace) if store else None
    blind = _blind(engine, have, told, pace, blind_s if store else 0)
    if telling is not None:
        blind.telling.counts = telling.counts  # sent is sent, whoever asked for it
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
        blind.start()
        yield Beside(listener, telling)
    finally:
        blind.stop()
        if telling is not None:
            telling.stop()
        listener.stop()


def _blind(
    engine: Engine,
    have: Given,
    told: Callable[[Delivery], None],
    pace: Pace,
    limit_s: int,
) -> Blind:
    outbox = MemoryOutbox()
    telling = Telling(outbox, have.settings, told, pace)
    return Blind(engine, have.plan.inventory, limit_s, outbox, telling)


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
def opened(url: str, *, waits: bool = False) -> Iterator[Store]:
    """A store for as long as the block runs.

    `waits`: one that does not answer is no reason not to begin; it is asked again.
    """
    store = Store(url, lazy=waits)
    try:
        if waits:
            _greet(store)
        yield store
    finally:
        store.close()


def _greet(store: Store) -> None:
    try:
        store.prepare()
    except UNAVAILABLE as error:
        log.warning("the store does not answer yet; we wait for it: %s", error)


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
