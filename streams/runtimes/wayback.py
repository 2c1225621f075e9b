"""How a reader goes back to what its group has committed, which may take a while to hear.

Brokers that all hung are named to nobody for a moment as they come back, and a client
that was told of no broker has nobody to ask until it has begun anew. It does that once
nothing of the old ones is left: while we go back, all that it holds is polled and dropped.
"""

from collections.abc import Callable
from typing import Final

from confluent_kafka import Consumer
from confluent_kafka import TopicPartition as Offset

from streams.kafka import ANSWER_SECONDS, PATIENCE_S, log
from streams.runtimes.admin import Admin
from streams.runtimes.offsets import SilentGroupError, Start, starts
from streams.runtimes.polled import Place

EVERYTHING: Final = 100_000
"""As many records of a partition as a client holds: a poll takes all, or nearly."""

FIRST_ASK_S: Final = 2.0
"""How long the group is waited for at first, before we poll and ask for longer."""


class WayBack:
    """Asks how far a group is, as often as it takes, but not for ever.

    `pace` gives seconds of any origin.
    """

    def __init__(self, admin: Admin, pace: Callable[[], float]) -> None:
        self._admin = admin
        self._pace = pace
        self._asked_at: float | None = None
        self._ask_s = FIRST_ASK_S

    def go(self, consumer: Consumer, places: list[Place]) -> list[Start] | None:
        """Let partitions be read from what is committed; None: poll, and go again.

        Those of deleted topics are not among those returned. Raises SilentGroupError
        where the group has not answered for PATIENCE_S, and WorkerStoppedError where no
        broker does.
        """
        if self._asked_at is None:
            self._asked_at = self._pace()
        try:
            found = starts(self._admin, consumer, places, self._ask_s)
        except SilentGroupError as error:
            silent_s = self._pace() - self._asked_at
            if silent_s >= PATIENCE_S:
                raise
            log.warning("%s; for %.0f s, what is read is dropped", error, silent_s)
            self._ask_s = min(2 * self._ask_s, ANSWER_SECONDS)
            return None
        self._asked_at, self._ask_s = None, FIRST_ASK_S
        consumer.incremental_unassign([Offset(*s.place) for s in found])
        consumer.incremental_assign([Offset(*s.place, s.offset) for s in found])
        return found
