"""Stage 1, stage 2, or both, on Kafka, each in a thread of this process."""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, TypeVar

from dbslo import logs
from dbslo.access import connection_of
from dbslo.engines import ObservedEvaluator, late_commits
from dbslo.given import Given
from dbslo.noticing import Noticing
from dbslo.telling import real_clock
from dbslo.watchdog import Beat, Pulse
from streams.access import prove
from streams.evaluate import Evaluator
from streams.ingest import Ingest
from streams.kafka import WorkerStoppedError, create_topics, identify
from streams.metrics import Figures
from streams.runtimes.ingest import IngestWorker
from streams.runtimes.native import EvaluateWorker
from streams.runtimes.settings import FAR_BEHIND, EvaluateSettings, IngestSettings
from streams.store import PlacementError, Store
from streams.timing import Timings
from streams.topics import topics_of
from streams.view import SeriesView

if TYPE_CHECKING:
    from streams.runtimes.faust import FaustWorker

log = logging.getLogger("dbslo.engines")

Key = TypeVar("Key")

SPARE_SECONDS = 15.0
"""A worker that got no partition by then is one that waits for another's end."""

BATCHES_BEHIND = 1_000
"""More messages of lag than this are minutes: others' pages would be late."""


class Stage:
    """A worker's `run` in a thread; what ends it is kept and told."""

    def __init__(
        self,
        name: str,
        run: Callable[[threading.Event], None],
        ended: Callable[[], None],
    ) -> None:
        self.failure: BaseException | None = None
        self.name = name
        self._run = run
        self._ended = ended
        self._stop = Pulse()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def tell(self) -> None:
        """Tell it to end."""
        self._stop.set()

    def join(self) -> None:
        """Wait until it has ended."""
        if self._thread.is_alive():
            self._thread.join()

    @property
    def beat(self) -> Beat | None:
        """When it last went round; None where it does not run."""
        return Beat(self.name, self._stop.at_s) if self._thread.is_alive() else None

    @property
    def rounds(self) -> int:
        """How often it has gone round: not before it has joined its group."""
        return self._stop.rounds

    @property
    def problem(self) -> str:
        """Why it does not run; "" while it does."""
        if self.failure is not None:
            return f"{self.name} ended: {self.failure}"
        return "" if self._thread.is_alive() else f"{self.name} has ended"

    def _work(self) -> None:
        try:
            self._run(self._stop)
        except BaseException as error:
            self.failure = error
            traced = not isinstance(error, (WorkerStoppedError, PlacementError))
            log.error("%s ended: %s", self.name, error, exc_info=traced)  # noqa: TRY400 - as said
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
        self._connection = connection_of(have.settings)
        self._noticing = Noticing(self._topics, self._unknown, own_broker=False)
        self._wanted = (ingests, evaluates)
        self._stages: list[Stage] = []
        self._started_s = 0.0
        self._evaluators: dict[int, ObservedEvaluator] = {}
        self.ingest: Ingest | None = None
        self._reader: IngestWorker | None = None
        self._judge: EvaluateWorker | FaustWorker | None = None

    def start(self) -> None:
        """Create our own topics where they are missing; start each stage.

        Raises WorkerStoppedError, naming the setting, where Kafka does not let us in.
        """
        prove(self._connection)
        create_topics(self._connection, self._have.settings.partitions)
        ingests, evaluates = self._wanted
        if ingests:
            self._stages.append(Stage("ingest", self._ingesting(), self._ended))
        if evaluates:
            self._stages.append(Stage("evaluate", self._evaluating(), self._ended))
        self._started_s = time.monotonic()
        for stage in self._stages:
            stage.start()

    def stop(self) -> None:
        """End every stage; raises what ended one of them before."""
        for stage in self._stages:
            stage.tell()
        for stage in self._stages:
            stage.join()
        for stage in self._stages:
            if stage.failure is not None:
                raise stage.failure

    def views(self) -> Iterable[SeriesView]:
        """Every series of the held partitions."""
        return self._judge.views() if self._judge is not None else []

    def figures(self) -> Figures:
        """What was counted."""
        ingest, reader, judge = self.ingest, self._reader, self._judge
        tallies = [one.tally for one in self._held().values()]
        refused = [one.refused for one in (ingest, judge) if one is not None]
        return Figures(
            records=dict(ingest.records) if ingest else {},
            refused=_added([*refused, *(one.refused for one in tallies)]),
            adjusted=_added(one.adjusted for one in tallies),
            lost=dict(reader.lost) if reader else {},
            refused_partitions=len(reader.refused) if reader else 0,
            lag={**(reader.lag if reader else {}), **(judge.lag if judge else {})},
            checkpoints_ms=self._checkpoints(),
            incidents_open=self._open_incidents(),
            unknown_resources=len(ingest.unknown_resources) if ingest else 0,
        )

    def ended(self) -> list[str]:
        """Stages that have ended."""
        return [stage.problem for stage in self._stages if stage.problem]

    def beats(self) -> list[Beat]:
        """When each stage last went round."""
        return [stage.beat for stage in self._stages if stage.beat is not None]

    def unready(self) -> list[str]:
        """Stages that have not joined or are far behind, commits that are late."""
        reader = self._reader
        unread = [
            f"{topic}[{number}] is not read: {why}"
            for (topic, number), why in sorted(
                (reader.refused if reader else {}).items()
            )
        ]
        starting = [f"{one.name} starts" for one in self._stages if not one.rounds]
        if not starting and self._judge is not None and not self._held():
            waited_s = time.monotonic() - self._started_s
            if waited_s < SPARE_SECONDS:
                starting = ["evaluate holds no partition yet"]
        late = late_commits(self._checkpoints(), real_clock())
        return unread + starting + self._waiting() + self._behind() + late

    @property
    def gap_ms(self) -> int:
        """For how long at most nobody had committed a partition when it came to us."""
        return self._judge.gap_ms if self._judge is not None else 0

    def _waiting(self) -> list[str]:
        judge = self._judge
        away = judge is not None and judge.store_away_ms
        return ["evaluate waits for the store"] if away else []

    def _behind(self) -> list[str]:
        reader, judge = self._reader, self._judge
        return [
            f"{stage} is {sum(lag.values()):,} messages behind"
            for stage, lag, most in (
                ("ingest", reader.lag if reader else {}, FAR_BEHIND),
                ("evaluate", judge.lag if judge else {}, BATCHES_BEHIND),
            )
            if sum(lag.values()) > most
        ]

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
        return self._judge.checkpoints_ms if self._judge is not None else {}

    def _open_incidents(self) -> int:
        return sum(len(one.open_incidents) for one in self._held().values())


def _added(counts: Iterable[Mapping[Key, int]]) -> dict[Key, int]:
    """What several have counted, together."""
    found: dict[Key, int] = {}
    for one in counts:
        for key, count in one.items():
            found[key] = found.get(key, 0) + count
    return found


def _faust_worker() -> type["FaustWorker"]:
    """Faust takes a second to import: only who asks for it waits."""
    from streams.runtimes.faust import FaustWorker  # noqa: PLC0415

    return FaustWorker
