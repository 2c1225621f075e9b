"""How a reader goes back to what its group has committed, which may take a while to hear.

Brokers that all hung are named to nobody for a moment as they come back, and a client
that was told of no broker has nobody to ask until it has begun anew. It does that once
nothing of the old ones is left: while we go back, all that it holds is polled and dropped.
"""

from typing import Final

from confluent_kafka import Consumer
from confluent_kafka import TopicPartition as Offset
from confluent_kafka.admin import AdminClient

from streams.kafka import PATIENCE_S, UnansweredError
from streams.runtimes.offsets import Start, starts
from streams.runtimes.polled import Place

EVERYTHING: Final = 100_000
"""As many records as a poll must take for a client to hold no more."""

ANSWER_S: Final = 2.0
"""How long the group may take to answer, before we poll and ask again."""


class WayBack:
    """Asks how far a group is, as often as it takes, but not for ever."""

    def __init__(self, admin: AdminClient) -> None:
        self._admin = admin
        self._unanswered = 0

    def go(self, consumer: Consumer, places: list[Place]) -> list[Start] | None:
        """Let partitions be read from what is committed; None: poll, and go again.

        Those of deleted topics are not among those returned. Raises UnansweredError
        where the group does not answer for PATIENCE_S.
        """
        try:
            found = starts(self._admin, consumer, places, ANSWER_S)
        except UnansweredError:
            self._unanswered += 1
            if self._unanswered * ANSWER_S >= PATIENCE_S:
                raise
            return None
        self._unanswered = 0
        consumer.incremental_unassign([Offset(*s.place) for s in found])
        consumer.incremental_assign([Offset(*s.place, s.offset) for s in found])
        return found
