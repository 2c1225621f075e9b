"""Engines: what one process runs, both stages on the embedded broker or any on Kafka.

All of them start, stop, and say how they are in the same way.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from dbslo import logs
from dbslo.given import Given
from dbslo.telling import real_clock
from slo.model import SECOND, VerdictChange
from streams.batch import Batch
from streams.evaluate import Evaluator
from streams.ingest import Ingest
from streams.kafka import Connection, create_topics, identify
from streams.metrics import Figures
from streams.runtimes.embedded import Embedded, Pace
from streams.runtimes.ingest import IngestSettings, IngestWorker
from streams.runtimes.native import EvaluateSettings, EvaluateWorker
from streams.store import Extras, Store
from streams.timing import Timings
from streams.topics import topics_of
from streams.view import SeriesView

if TYPE_CHECKING:
    from streams.runtimes.faust import FaustWorker

log = logging.getLogger("dbslo.engines")

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

    def views(self) -> list[SeriesView]:
        """Every series that this process evaluates."""

    def figures(self) -> Figures:
        """What was counted, for metrics."""

    def problems(self) -> list[str]:
        """What is wrong now, one sentence each."""


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
        self.evaluator = ObservedEvaluator(plan, store, topics)
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

    def views(self) -> list[SeriesView]:
        """Every series."""
        return self.evaluator.views()

    def figures(self) -> Figures:
        """What was counted."""
        return Figures(
            records=dict(self.ingest.records),
            refused=dict(self.ingest.refused),
            checkpoints_ms={0: self.evaluator.checkpoint_ms},
            incidents_open=len(self.evaluator.open_incidents),
            unknown_resources=len(self.ingest.unknown_resources),
        )

    def problems(self) -> list[str]:
        """What is wrong now."""
        failure = self.embedded.failure
        if failure is not None:
            return [f"the engine ended: {failure}"]
        return _late({0: self.evaluator.checkpoint_ms}, self._clock())


# -- stages on Kafka ----------------------------------------------------------------


class Stage:
    """A worker's `run` in a thread; what ends it is kept and told."""

    def __init__(
        self,
        name: str,
        run: Callable[[threading.Event], None],
        ended: Callable[[], None],
    ) -> None:
        self.failure: BaseException | None = None
        self._name = name
        self._run = run
        self._ended = ended
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Tell it to end, and wait."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    @property
    def problem(self) -> str:
        """Why it does not run; "" while it does."""
        if self.failure is not None:
            return f"{self._name} ended: {self.failure}"
        return "" if self._thread.is_alive() else f"{self._name} has ended"

    def _work(self) -> None:
        try:
            self._run(self._stop)
        except BaseException as error:
            self.failure = error
            log.exception("%s ended", self._name)
        self._ended()


class KafkaEngine:
    """Stage 1, stage 2, or both, on Kafka; `ended` is called when a stage ends."""

    def __init__(
        self,
        have: Given,
        store: Store | None,
        *,
        ingests: bool,
        evaluates: bool,
        ended: Callable[[], None],
        timings: Timings,
    ) -> None:
        self._have = have
        self._store = store
        self._timings = timings
        self._ended = ended
        self._topics = topics_of(have.plan.inventory, have.settings.topics)
        options = have.settings.kafka_options
        self._connection = Connection(have.settings.kafka, options)
        self._wanted = (ingests, evaluates)
        self._stages: list[Stage] = []
        self._evaluators: dict[int, ObservedEvaluator] = {}
        self.ingest: Ingest | None = None
        self._reader: IngestWorker | None = None
        self._judge: EvaluateWorker | FaustWorker | None = None

    def start(self) -> None:
        """Create our own topics where they are missing; start each stage."""
        create_topics(self._connection, self._have.settings.partitions)
        ingests, evaluates = self._wanted
        if ingests:
            self._stages.append(Stage("ingest", self._ingesting(), self._ended))
        if evaluates:
            self._stages.append(Stage("evaluate", self._evaluating(), self._ended))
        for stage in self._stages:
            stage.start()

    def stop(self) -> None:
        """End every stage; raises what ended one of them before."""
        for stage in self._stages:
            stage.stop()
        for stage in self._stages:
            if stage.failure is not None:
                raise stage.failure

    def views(self) -> list[SeriesView]:
        """Every series of the held partitions."""
        return self._judge.views() if self._judge is not None else []

    def figures(self) -> Figures:
        """What was counted."""
        ingest, reader, judge = self.ingest, self._reader, self._judge
        return Figures(
            records=dict(ingest.records) if ingest else {},
            refused=dict(ingest.refused) if ingest else {},
            lag={**(reader.lag if reader else {}), **(judge.lag if judge else {})},
            checkpoints_ms=self._checkpoints(),
            incidents_open=self._open_incidents(),
            unknown_resources=len(ingest.unknown_resources) if ingest else 0,
        )

    def problems(self) -> list[str]:
        """What is wrong now."""
        ended = [stage.problem for stage in self._stages if stage.problem]
        return ended + _late(self._checkpoints(), real_clock())

    def _ingesting(self) -> Callable[[threading.Event], None]:
        settings, plan = self._have.settings, self._have.plan
        partitions = identify(self._connection).partitions
        slot = settings.slot
        self.ingest = Ingest(plan, self._topics, worker=slot, partitions=partitions)
        own = IngestSettings(self._connection, slot=slot, flush_ms=settings.flush_ms)
        self._reader = IngestWorker(
            self.ingest,
            self._topics,
            own,
            real_clock,
            partitions=partitions,
            timings=self._timings,
        )
        return self._reader.run

    def _evaluating(self) -> Callable[[threading.Event], None]:
        settings = self._have.settings
        own = EvaluateSettings(self._connection, slot=settings.slot)
        worker = _faust_worker() if settings.runtime == "faust" else EvaluateWorker
        self._judge = worker(
            own, self._evaluator_of, real_clock, logs.verdicts, self._timings
        )
        return self._judge.run

    def _evaluator_of(self, partition: int, partitions: int) -> Evaluator:
        if self._store is None:
            raise RuntimeError("a stage that evaluates needs a store")
        made = ObservedEvaluator(
            self._have.plan,
            self._store,
            self._topics,
            partition=partition,
            partitions=partitions,
        )
        self._evaluators[partition] = made
        return made

    def _held(self) -> dict[int, ObservedEvaluator]:
        return {n: one for n, one in list(self._evaluators.items()) if one.held}

    def _checkpoints(self) -> dict[int, int]:
        return {n: one.checkpoint_ms for n, one in self._held().items()}

    def _open_incidents(self) -> int:
        return sum(len(one.open_incidents) for one in self._held().values())


def _faust_worker() -> type["FaustWorker"]:
    """Faust takes a second to import: only who asks for it waits."""
    from streams.runtimes.faust import FaustWorker  # noqa: PLC0415

    return FaustWorker


def _late(checkpoints_ms: dict[int, int], now_ms: int) -> list[str]:
    return [
        f"partition {number}: the last commit is {(now_ms - at_ms) // SECOND} s old"
        for number, at_ms in sorted(checkpoints_ms.items())
        if at_ms and now_ms - at_ms > LATE_CHECKPOINT_MS
    ]
