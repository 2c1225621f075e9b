"""Engines: what one process runs, and the one that brings its own broker.

All of them start, stop, and say how they are in the same way.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from dbslo import logs
from dbslo.given import Given
from dbslo.noticing import Noticing
from dbslo.telling import real_clock
from dbslo.watchdog import Beat
from slo.model import SECOND
from slo.verdict import VerdictChange
from streams.batch import Batch
from streams.evaluate import Evaluator
from streams.ingest import Ingest
from streams.kafka import Connection
from streams.metrics import Figures
from streams.runtimes.embedded import Embedded, Pace
from streams.store import Extras, Store
from streams.timing import Timings
from streams.topics import topics_of
from streams.view import SeriesView

LATE_CHECKPOINT_MS = 30 * SECOND
"""A stage 2 that saved nothing for this long is not well."""

Clock = Callable[[], int]
Told = Callable[[Sequence[VerdictChange]], None]


class Engine(Protocol):
    """What one process runs."""

    def start(self) -> None:
        """Begin, in threads. Raises what keeps it from beginning."""

    def stop(self) -> None:
        """Save what was read, and end. Raises what ended it before."""

    def views(self) -> Iterable[SeriesView]:
        """Every series that this process evaluates, one after the other."""

    def figures(self) -> Figures:
        """What was counted, for metrics."""

    def ended(self) -> list[str]:
        """What has ended that should run, one sentence each."""

    def unready(self) -> list[str]:
        """What keeps it from its work now, one sentence each."""

    @property
    def gap_ms(self) -> int:
        """For how long at most nobody had committed a partition when it came to us."""

    def beats(self) -> list[Beat]:
        """When each worker last went round."""

    def look(self) -> None:
        """Log what is odd about topics and names, each once; called every second."""


class ObservedEvaluator(Evaluator):
    """Stage 2 with a log line per batch; knows whether it is held and when it saved."""

    checkpoint_ms = 0
    held = False
    timings: Timings | None = None  # for a runtime that does not time its batches

    def assigned(
        self, cluster_id: str = "", topic_id: str = "", *, clock_ms: int = 0
    ) -> int:
        """As Evaluator.assigned."""
        found = super().assigned(cluster_id, topic_id, clock_ms=clock_ms)
        self.held, self.checkpoint_ms = True, clock_ms
        return found

    def revoked(self) -> None:
        """As Evaluator.revoked."""
        self.held = False
        super().revoked()

    def apply(
        self,
        batches: Sequence[Batch],
        after: int,
        clock_ms: int,
        *,
        extras: Extras | None = None,
        judge: bool = True,
    ) -> list[VerdictChange]:
        """As Evaluator.apply."""
        begun = time.monotonic()
        changes = super().apply(batches, after, clock_ms, extras=extras, judge=judge)
        seconds = time.monotonic() - begun
        logs.batches(self.partition, batches, after, seconds)
        if self.timings is not None:
            self.timings.observe("evaluate", seconds)
        self.checkpoint_ms = clock_ms
        return changes


# -- both stages in this process, on the embedded broker ---------------------------


class EmbeddedEngine:
    """Both stages and the broker in this process; `clock` may be a trace's own."""

    def __init__(
        self,
        have: Given,
        store: Store,
        timings: Timings,
        clock: Clock = real_clock,
        told: Told = logs.verdicts,
        pace: Pace = Pace(),  # noqa: B008 - immutable
    ) -> None:
        plan = have.plan
        topics = topics_of(plan.inventory, have.settings.topics)
        self._clock = clock
        self.ingest = Ingest(plan, topics, worker="embedded", partitions=1)
        self._noticing = Noticing(
            topics, lambda: self.ingest.unknown_resources, own_broker=True
        )
        self.evaluator = ObservedEvaluator(plan, store, topics)
        self.evaluator.awaits_marks = False
        self.evaluator.timings = timings
        self.embedded = Embedded(
            self.ingest,
            self.evaluator,
            topics,
            clock,
            # a broker's offsets mean nothing to the next: each life is its own run
            run=f"embedded-{time.time_ns()}",
            told=told,
            pace=pace,
        )

    def start(self) -> None:
        """Bring the broker up and begin."""
        self.embedded.start()

    def stop(self) -> None:
        """Save and end."""
        self.embedded.stop()

    def views(self) -> Iterable[SeriesView]:
        """Every series."""
        return self.evaluator.look()

    def figures(self) -> Figures:
        """What was counted."""
        tally = self.evaluator.tally
        return Figures(
            records=dict(self.ingest.records),
            refused=dict(self.ingest.refused) | self._unread() | tally.refused,
            adjusted=tally.adjusted,
            checkpoints_ms={0: self.evaluator.checkpoint_ms},
            incidents_open=len(self.evaluator.open_incidents),
            unknown_resources=len(self.ingest.unknown_resources),
        )

    def ended(self) -> list[str]:
        """Whether it has ended, and why."""
        failure = self.embedded.failure
        return [] if failure is None else [f"the engine ended: {failure}"]

    def unready(self) -> list[str]:
        """Commits that are late."""
        return late_commits({0: self.evaluator.checkpoint_ms}, self._clock())

    def beats(self) -> list[Beat]:
        """The one thread's."""
        at_s = self.embedded.beat_s
        return [] if at_s is None else [Beat("the engine", at_s)]

    @property
    def gap_ms(self) -> int:
        """For how long nobody had committed when we began."""
        was_ms = self.evaluator.saved_ms
        return self._clock() - was_ms if was_ms else 0

    def look(self) -> None:
        """Log topics that nobody reads, and names that nobody knows."""
        self._noticing.look(Connection(self.embedded.bootstrap))

    def _unread(self) -> dict[tuple[str, str], int]:
        count = len(self._noticing.unread)
        return {("topics", "unknown_topic"): count} if count else {}


def late_commits(checkpoints_ms: dict[int, int], now_ms: int) -> list[str]:
    """A sentence for each partition whose last commit is too old."""
    return [
        f"partition {number}: the last commit is {(now_ms - at_ms) // SECOND} s old"
        for number, at_ms in sorted(checkpoints_ms.items())
        if at_ms and now_ms - at_ms > LATE_CHECKPOINT_MS
    ]
