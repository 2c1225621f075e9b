"""Playing an outage: telemetry into the broker, by the trace's clock, at speed.

Every minute of the trace: its records are produced and flushed, then the clock is set.
In this order, because a reader at the end of a log takes the clock for *now*.
"""

import threading
from collections.abc import Iterator
from typing import NamedTuple

from alerts.delivery import Delivery
from dbslo.demo import trace
from dbslo.demo.narrator import Narrator
from dbslo.demo.schedule import steps
from dbslo.demo.trace import Trace
from dbslo.demo.traffic import Onset, Record, Span, traffic
from dbslo.engines import EmbeddedEngine
from slo.model import (
    MINUTE,
    SECOND,
)
from slo.resources import (
    Inventory,
)
from slo.verdict import VerdictChange
from streams.runtimes.producer import BoundedProducer
from streams.store import Store

HISTORY_MS = 30 * MINUTE
"""Telemetry before the onset."""

FAILOVER = "aurora-failover"
FAILOVER_AFTER_MS = 20 * MINUTE
"""A clean failover elsewhere in the fleet, while the outage goes on."""

DELIVERY_SECONDS = 10.0
"""How long a step waits until people were told; where that fails, no step waits again."""


class StoppedError(Exception):
    """Somebody ended the demo before its end."""


class Plot(NamedTuple):
    """What is played and when, epoch ms."""

    main: Onset
    others: tuple[Onset, ...]
    span: Span

    @property
    def onsets(self) -> list[Onset]:
        """The outage and what happens beside it."""
        return [self.main, *self.others]


def plot(chosen: Trace, real_ms: int) -> Plot:
    """The outage, ending now by the real clock, so that pages bear sane times."""
    last_ms = chosen.ends_s * SECOND // MINUTE * MINUTE
    onset_ms = real_ms // MINUTE * MINUTE - last_ms
    others: tuple[Onset, ...] = ()
    if chosen.name != FAILOVER:
        others = (Onset(trace.load(FAILOVER), onset_ms + FAILOVER_AFTER_MS),)
    span = Span(onset_ms - HISTORY_MS, onset_ms + last_ms)
    return Plot(Onset(chosen, onset_ms), others, span)


class Clock:
    """The trace's clock, epoch ms: it stands still until it is set."""

    def __init__(self, now_ms: int) -> None:
        self.now_ms = now_ms

    def __call__(self) -> int:
        """The moment it shows."""
        return self.now_ms


class Heard:
    """What the engine and the delivery loop said, from their threads."""

    def __init__(self) -> None:
        self.changes: list[VerdictChange] = []
        self.deliveries: list[Delivery] = []
        self.changed = threading.Condition()

    def delivered(self, delivery: Delivery) -> None:
        """Somebody was told, or was not."""
        with self.changed:
            self.deliveries.append(delivery)
            self.changed.notify_all()


class Player:
    """Feeds an engine and tells what comes of it."""

    def __init__(
        self,
        plotted: Plot,
        clock: Clock,
        engine: EmbeddedEngine,
        store: Store,
        heard: Heard,
        narrator: Narrator,
    ) -> None:
        self._plot = plotted
        self._clock = clock
        self._engine = engine
        self._store = store
        self._heard = heard
        self._narrator = narrator
        self._told = (0, 0)  # changes and deliveries that were narrated
        self._patience_s = DELIVERY_SECONDS

    def play(self, inventory: Inventory, stop: threading.Event) -> None:
        """Play it to its end.

        Raises StoppedError where `stop` was set, and whatever ends the engine.
        """
        plotted = self._plot
        feed = Feed(traffic(inventory, plotted.onsets, plotted.span))
        producer = self._engine.embedded.producer()
        for until_ms in steps(plotted.onsets, plotted.span):
            while self._clock.now_ms < until_ms:
                if stop.is_set():
                    raise StoppedError
                self._minute(feed, producer)
            self._engine.embedded.drain()
            self._wait_for_delivery()
            self._narrate()

    def _minute(self, feed: "Feed", producer: BoundedProducer) -> None:
        until_ms = min(self._clock.now_ms + MINUTE, self._plot.span.end_ms)
        for arrival_ms, topic, key, value in feed.until(until_ms):
            producer.produce(topic, value, key=key, timestamp_ms=arrival_ms)
        producer.flush()
        self._clock.now_ms = until_ms

    def _wait_for_delivery(self) -> None:
        """The outbox keeps wanted states, so at speed a trigger could be passed over."""
        with self._heard.changed:
            told = self._heard.changed.wait_for(
                lambda: self._store.oldest_unsent_ms() is None, self._patience_s
            )
        if not told:
            self._patience_s = 0.0

    def _narrate(self) -> None:
        changes, deliveries = self._told
        fresh = self._heard.changes[changes:]
        sent = self._heard.deliveries[deliveries:]
        self._told = (changes + len(fresh), deliveries + len(sent))
        self._narrator.step(self._clock.now_ms, list(self._engine.views()), fresh)
        for delivery in sent:
            self._narrator.delivered(delivery)
        self._narrator.flush()


class Feed:
    """Records by arrival, taken up to a moment."""

    def __init__(self, records: Iterator[Record]) -> None:
        self._records = records
        self._held: Record | None = None

    def until(self, until_ms: int) -> Iterator[Record]:
        """Those that have arrived by then."""
        held = self._held or next(self._records, None)
        while held is not None and held.arrival_ms <= until_ms:
            yield held
            held = next(self._records, None)
        self._held = held
