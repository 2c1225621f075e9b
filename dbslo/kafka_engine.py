"""Stage 1, stage 2, or both, on Kafka, each in a thread of this process."""

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from dbslo import logs
from dbslo.engines import ObservedEvaluator, late_commits
from dbslo.given import Given
from dbslo.noticing import Noticing
from dbslo.telling import real_clock
from streams.evaluate import Evaluator
from streams.ingest import Ingest
from streams.kafka import Connection, WorkerStoppedError, create_topics, identify
from streams.metrics import Figures
from streams.runtimes.ingest import IngestWorker
from streams.runtimes.native import EvaluateWorker
from streams.runtimes.settings import EvaluateSettings, IngestSettings
from streams.store import Store
from streams.timing import Timings
from streams.topics import topics_of
from streams.view import SeriesView

if TYPE_CHECKING:
    from streams.runtimes.faust import FaustWorker

log = logging.getLogger("dbslo.engines")


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
            traced = not isinstance(error, WorkerStoppedError)
            log.error("%s ended: %s", self._name, error, exc_info=traced)  # noqa: TRY400 - as said
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
        self._noticing = Noticing(self._topics, self._unknown, own_broker=False)
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
        return ended + late_commits(self._checkpoints(), real_clock())

    def look(self) -> None:
        """Log topics that are missing, and names that nobody knows."""
        if self.ingest is not None:
            self._noticing.look(self._connection)

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

    def _unknown(self) -> frozenset[str]:
        return self.ingest.unknown_resources if self.ingest else frozenset()

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
