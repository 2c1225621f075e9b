"""Worth a line in the log: topics that nobody reads or that are missing, unknown names."""

import logging
import time
from collections.abc import Callable, Collection, Iterator

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from slo.names import DEAD_LETTER_TOPIC, OBSERVATIONS_TOPIC
from streams.kafka import Connection
from streams.topics import Topics

log = logging.getLogger("dbslo.noticing")

ANSWER_SECONDS = 2.0
OWN_BROKER_SECONDS = 2.0
KAFKA_SECONDS = 60.0
NAMES_LOGGED = 20
ALMOST = 2
"""So many letters may differ in a name that is a slip of the pen."""


class Noticing:
    """Looks at a broker's topics and at the names that stage 1 met; says each once.

    `unknown` gives the names that no inventory knows. On a broker of our own every
    topic is somebody's telemetry, so one that nobody reads is worth saying.
    """

    def __init__(
        self,
        topics: Topics,
        unknown: Callable[[], Collection[str]],
        *,
        own_broker: bool,
    ) -> None:
        self.unread: frozenset[str] = frozenset()
        self._topics = topics
        self._unknown = unknown
        self._own_broker = own_broker
        self._admin: AdminClient | None = None
        self._due_s = float("-inf")
        self._said: set[str] = set()
        self._named: set[str] = set()

    def look(self, connection: Connection) -> None:
        """Look at names, and at topics where that is due; waits two seconds at most."""
        self._names()
        if time.monotonic() < self._due_s:
            return
        every_s = OWN_BROKER_SECONDS if self._own_broker else KAFKA_SECONDS
        self._due_s = time.monotonic() + every_s
        self._admin = self._admin or AdminClient(connection.settings())
        try:
            found = self._admin.list_topics(timeout=ANSWER_SECONDS).topics
        except KafkaException:
            self._admin = None  # it may have lost its brokers for good
            return  # the workers say that themselves
        self._say(frozenset(found))

    def _say(self, existing: frozenset[str]) -> None:
        if self._own_broker:
            self.unread = unread(self._topics, existing)
            sentences = list(unread_sentences(self._topics, self.unread))
        else:
            sentences = list(missing_sentences(self._topics, existing))
        for sentence in sentences:
            if sentence not in self._said:
                self._said.add(sentence)
                log.warning("%s", sentence)

    def _names(self) -> None:
        """The first names one by one; that there are more, once."""
        new = sorted(set(self._unknown()) - self._named)
        room = max(NAMES_LOGGED - len(self._named), 0)
        for name in new[:room]:
            log.info(
                "a resource that is in no inventory: its data counts nowhere",
                extra={"fields": {"resource": name}},
            )
        if len(new) > room > 0:
            log.info("more such resources are counted in dbslo_unknown_resources")
        self._named.update(new)


def unread(topics: Topics, existing: Collection[str]) -> frozenset[str]:
    """The topics that nobody reads, without our own and Kafka's."""
    own = (OBSERVATIONS_TOPIC, DEAD_LETTER_TOPIC)
    return frozenset(
        name
        for name in existing
        if not topics.is_source(name) and name not in own and name[:2] != "__"
    )


def unread_sentences(topics: Topics, names: Collection[str]) -> Iterator[str]:
    """A sentence for each topic that nobody reads."""
    known = ", ".join(sorted(topics.shared))
    for name in sorted(names):
        close = _closest(name, topics.shared)
        hint = f"is {close} meant?" if close else f"DBSLO_TOPICS reads {known}"
        yield f"nobody reads the topic {name}: {hint}"


def missing_sentences(topics: Topics, existing: Collection[str]) -> Iterator[str]:
    """A sentence for each shared topic that does not exist."""
    for name in sorted(set(topics.shared) - set(existing)):
        close = _closest(name, unread(topics, existing))
        if close:
            yield (
                f"topic {close} exists, {name} does not: a typo in the bridge, or in"
                " DBSLO_TOPICS?"
            )
        else:
            yield f"topic {name} does not exist (DBSLO_TOPICS): nothing comes from it"


def _closest(name: str, names: Collection[str]) -> str:
    """The one that is nearly this name, "" where none is."""
    near = [(distance(name, one), one) for one in names]
    found = min(near, default=(ALMOST + 1, ""))
    return found[1] if found[0] <= ALMOST else ""


def distance(one: str, other: str) -> int:
    """How many letters to put in, take out or change, from one text to another."""
    before = list(range(len(other) + 1))
    for row, letter in enumerate(one, 1):
        after = [row]
        for column, wanted in enumerate(other, 1):
            changed = before[column - 1] + (letter != wanted)
            after.append(min(before[column] + 1, after[-1] + 1, changed))
        before = after
    return before[-1]
