"""Which source topics there are, with how many partitions, by the broker's metadata."""

from collections.abc import Callable

from confluent_kafka import KafkaException

from streams.kafka import WorkerStoppedError, log, reason
from streams.runtimes.admin import Admin
from streams.topics import Topics

LOOK_EVERY_S = 5.0


class Inputs:
    """The source topics of the whole group, those of other workers included.

    `pace` gives seconds of any origin. `output` is watched along: the number of its
    partitions says where every cluster's history lies.
    """

    def __init__(
        self,
        admin: Admin,
        topics: Topics,
        output: tuple[str, int],
        pace: Callable[[], float],
    ) -> None:
        self._admin = admin
        self._topics = topics
        self._output, self._partitions = output
        self._pace = pace
        self._looked_at = float("-inf")
        self._known: dict[str, int] = {}

    def known(self) -> dict[str, int]:
        """Topic to its number of partitions, at most a few seconds old.

        Raises WorkerStoppedError where the output topic is missing or was grown.
        """
        if self._pace() - self._looked_at >= LOOK_EVERY_S:
            self._looked_at = self._pace()
            self._look()
        return self._known

    def _look(self) -> None:
        try:
            found = self._admin.list_topics().topics
        except KafkaException as error:
            if not self._known:
                raise WorkerStoppedError(
                    f"no broker answers: {reason(error)}"
                ) from error
            log.warning("no broker lists its topics: %s", reason(error))
            return
        partitions = {n: len(t.partitions) for n, t in found.items() if not t.error}
        self._check(partitions.get(self._output, 0))
        self._known = {
            name: count
            for name, count in sorted(partitions.items())
            if name != self._output and self._topics.is_source(name)
        }

    def _check(self, partitions: int) -> None:
        if partitions == self._partitions:
            return
        raise WorkerStoppedError(
            f"topic {self._output} has {partitions} partitions, we were started for"
            f" {self._partitions}: a cluster's history does not move by itself. Restore"
            " the topic, or drain it and start with an empty store"
            if partitions
            else f"topic {self._output} does not exist: create it with"
            f" {self._partitions} partitions"
        )
