"""What every stage 2 worker is, whichever client reads its topic."""

from collections.abc import Callable, Iterable, Sequence

from slo.verdict import VerdictChange
from streams.kafka import identify
from streams.runtimes.batches import BatchReader
from streams.runtimes.partitions import EvaluatorOf, Partitions
from streams.runtimes.polled import Place
from streams.runtimes.settings import EvaluateSettings
from streams.timing import Timings
from streams.view import SeriesView

PUT_ASIDE = ("observations", "cannot_be_applied")


class Evaluating:
    """A stage 2 worker's parts. `clock` gives epoch ms.

    `told` gets changes of verdict after they are saved. For metrics, and safe to read
    from other threads: `lag` by (topic, partition), `reader.refused`, and the
    properties.
    """

    def __init__(
        self,
        settings: EvaluateSettings,
        evaluator_of: EvaluatorOf,
        clock: Callable[[], int],
        told: Callable[[Sequence[VerdictChange]], None],
        timings: Timings | None = None,
    ) -> None:
        self.lag: dict[Place, int] = {}
        self.reader = BatchReader()
        self._settings = settings
        self._parts = (evaluator_of, clock, told, timings)
        self._clock = clock
        self._partitions: Partitions | None = None

    def identify(self) -> None:
        """Learn which topic it is. Raises WorkerStoppedError where there is none."""
        own = self._settings
        identity = identify(own.connection, own.observations)
        self._partitions = Partitions(identity, *self._parts)
        self._partitions.topic = own.observations

    @property
    def partitions(self) -> Partitions:
        """The evaluators that this worker holds. Raises RuntimeError before it runs."""
        if self._partitions is None:
            raise RuntimeError("the worker was not started")
        return self._partitions

    @property
    def checkpoints_ms(self) -> dict[int, int]:
        """When each partition was last committed, or came to us, epoch ms."""
        return self._partitions.checkpoints_ms if self._partitions else {}

    @property
    def refused(self) -> dict[tuple[str, str], int]:
        """What did not count, by (source, reason)."""
        aside = self._partitions.put_aside if self._partitions else 0
        return {**self.reader.refused, **({PUT_ASIDE: aside} if aside else {})}

    @property
    def store_away_ms(self) -> int:
        """For how long the store has not answered; 0 where it does."""
        return self._partitions.patience.away_ms if self._partitions else 0

    @property
    def gap_ms(self) -> int:
        """For how long at most nobody had committed a partition when it came to us."""
        return self._partitions.gap_ms if self._partitions else 0

    def views(self) -> Iterable[SeriesView]:
        """Every series of the held partitions; safe from other threads."""
        return self._partitions.views() if self._partitions else []
