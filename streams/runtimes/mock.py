"""librdkafka's mock cluster: a broker in this process, on a free port of loopback.

It keeps 5 MB a partition, makes four partitions of every topic, and its transactions
do nothing.
"""

from confluent_kafka import Producer

from streams.kafka import ANSWER_SECONDS, Connection
from streams.runtimes.admin import Admin
from streams.runtimes.offsets import LATEST, bounds
from streams.runtimes.polled import Place
from streams.topics import Topics

QUIET = {"log_level": 2}


class MockBroker:
    """One broker, alive from `start` to `close`."""

    def __init__(self) -> None:
        self.bootstrap = ""

    def start(self) -> None:
        """Bring it up; `bootstrap` is known from then on."""
        self._owner = Producer(
            {"bootstrap.servers": "mock", "test.mock.num.brokers": 1, **QUIET}
        )
        found = self._owner.list_topics(timeout=ANSWER_SECONDS)
        self.bootstrap = ",".join(f"{b.host}:{b.port}" for b in found.brokers.values())
        self._admin = Admin(self.connection)

    @property
    def connection(self) -> Connection:
        """Where it is; a consumer hears of new records within 10 ms."""
        return Connection(self.bootstrap, QUIET)

    def close(self) -> None:
        """End it; whatever it kept is gone."""
        self._owner.close()

    def create(self, topic: str) -> None:
        """Make a topic before its first record."""
        self._owner.list_topics(topic, timeout=ANSWER_SECONDS)

    def inputs(self, topics: Topics) -> dict[str, int]:
        """The source topics that there are, with the number of their partitions."""
        found = self._admin.list_topics().topics
        return {
            name: len(topic.partitions)
            for name, topic in sorted(found.items())
            if topics.is_source(name)
        }

    def ends(self, places: list[Place]) -> dict[Place, int]:
        """Where the logs of partitions end."""
        return bounds(self._admin, places, LATEST)
