"""Whether a client still knows any broker: one that knows none may stay so for ever.

Brokers that all come back at once name nobody for a moment. librdkafka then lets go of
the only ones that it knew. It begins anew from `bootstrap.servers`, but not where it was
connecting to one of them just then, or where it heard of nobody as it was about to
(confluentinc/librdkafka#5301, #5606; 2.16): such a client polls in silence, and says
nothing. Another one takes its place.
"""

from collections.abc import Callable
from typing import Final

from confluent_kafka import Consumer, KafkaError, KafkaException

from streams.kafka import Connection, answers, log

LISTEN_S: Final = 2.0
PROBE_S: Final = 1.0
PATIENT_S: Final = 2.0
"""How long a client is waited for that is asked for the first time, and one that did not
answer or has yet to connect. Nothing is polled meanwhile, so neither may be long."""

NO_BROKER: Final = frozenset({KafkaError._TRANSPORT})  # noqa: SLF001 - librdkafka's own

DEAF_S: Final = 4.0
"""A client that begins anew of its own does so in less than a second."""


class Hearing:
    """Asks a consumer that brings nothing whether it hears its brokers.

    `topic` is one that it may describe; `pace` gives seconds of any origin.
    """

    def __init__(
        self, connection: Connection, topic: str, pace: Callable[[], float]
    ) -> None:
        self._connection = connection
        self._topic = topic
        self._pace = pace
        self._listened_at = pace()
        self._deaf_since: float | None = None

    def lost(self, consumer: Consumer, brought: int) -> bool:
        """Whether it has been deaf for DEAF_S, while its brokers answer others.

        `brought` is the number of records of its last poll: with any, it hears.
        """
        begun = self._pace()
        if brought:
            self._listened_at, self._deaf_since = begun, None
            return False
        if begun - self._listened_at < LISTEN_S:
            return False
        if self._hears(consumer) or not answers(self._connection, PATIENT_S):
            self._deaf_since = None
        elif self._deaf_since is None:
            self._deaf_since = begun
        self._listened_at = now = self._pace()
        if self._deaf_since is None or now - self._deaf_since < DEAF_S:
            return False
        log.warning("a client knows no broker, and brokers answer: another replaces it")
        return True

    def _hears(self, consumer: Consumer) -> bool:
        timeout_s = PROBE_S if self._deaf_since is None else PATIENT_S
        try:
            consumer.list_topics(self._topic, timeout=timeout_s)
        except KafkaException as error:  # a broker that is known may be late
            return error.args[0].code() not in NO_BROKER
        return True
