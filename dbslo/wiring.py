"""Composition: an engine with delivery and /metrics beside it, until somebody stops it."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NamedTuple

import msgspec

from alerts.delivery import UNHURRIED, Delivery, Pace
from dbslo import __version__
from dbslo.engines import Engine
from dbslo.given import Given
from dbslo.memory import collect_seldom
from dbslo.settings import ENVIRONMENT
from dbslo.telling import Telling, real_clock, refused_pages
from slo.faults import Fault, SpecificationError
from slo.model import MINUTE, SECOND, Place
from streams.listener import Listener
from streams.metrics import EngineCollector, Figures
from streams.store import UNAVAILABLE, Store
from streams.timing import Timings

LATE_NOTICE_MS = 5 * MINUTE
"""A notice that waits for this long keeps somebody from being told."""

Clock = Callable[[], int]


class Beside(NamedTuple):
    """What runs beside an engine; a process without a store tells nobody."""

    listener: Listener
    telling: Telling | None


class Watcher:
    """Figures and health of an engine with its outbox."""

    def __init__(
        self, engine: Engine, store: Store | None, telling: Telling | None, clock: Clock
    ) -> None:
        self._engine = engine
        self._store = store
        self._telling = telling
        self._clock = clock
        self._oldest_ms: int | None = None

    def figures(self) -> Figures:
        """The engine's figures and the outbox's."""
        self._look()
        return msgspec.structs.replace(
            self._engine.figures(),
            notified=dict(self._telling.counts) if self._telling else {},
            outbox_oldest_ms=self._oldest_ms,
        )

    def problems(self) -> list[str]:
        """What is wrong now, one sentence each."""
        found = self._engine.problems()
        if not self._look():
            found.append("the store does not answer")
        oldest = self._oldest_ms
        if oldest is not None and self._clock() - oldest > LATE_NOTICE_MS:
            waited = (self._clock() - oldest) // SECOND
            found.append(f"a notice has waited for {waited} s")
        return found + self._refused()

    def _refused(self) -> list[str]:
        """Pages that were refused for good; none where the store does not answer."""
        if self._store is None:
            return []
        try:
            return refused_pages(self._store.letters())
        except UNAVAILABLE:
            return []

    def _look(self) -> bool:
        """Ask the store for the oldest notice; what it said last ages on meanwhile."""
        if self._store is None:
            return True
        try:
            self._oldest_ms = self._store.oldest_unsent_ms()
        except UNAVAILABLE:
            return False
        return True


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
) -> Iterator[Beside]:
    """Delivery and /metrics beside an engine, for as long as the block runs.

    `clock` is the engine's. Raises SpecificationError where the address for metrics
    is taken.
    """
    collect_seldom()
    telling = Telling(store, have.settings, told, pace) if store else None
    watcher = Watcher(engine, store, telling, clock)
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
        return Listener(host, port, collector, watcher.problems).start()
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
