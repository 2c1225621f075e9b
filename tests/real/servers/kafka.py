"""A real Apache Kafka broker: one KRaft node, ready in about four seconds.

with Kafka.running() as kafka:
    topic = kafka.topic("raw", partitions=4)
    Producer({"bootstrap.servers": kafka.bootstrap}) ...
"""

import base64
import itertools
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from tests.ground.jars import jars
from tests.real.servers.java import java
from tests.real.servers.process import Process, folder, free_ports, run

READY_SECONDS = 60
QUIET = {"log_level": 0}  # a broker that is not up yet is no news
SETTINGS = """
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dir={folder}/data
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
offsets.topic.num.partitions=1
transaction.state.log.num.partitions=1
auto.create.topics.enable=false
"""


class Kafka:
    """A broker on 127.0.0.1 that keeps its data in `where`, and can be restarted."""

    def __init__(self, where: Path) -> None:
        self._where = where
        self._jars = jars("kafka")
        self._settings = where / "server.properties"
        self.port, controller = free_ports(2)
        self.bootstrap = f"127.0.0.1:{self.port}"
        self._settings.write_text(
            SETTINGS.format(port=self.port, controller=controller, folder=where)
        )
        self._names = itertools.count(1)
        self._process: Process | None = None

    @classmethod
    @contextmanager
    def running(cls) -> Iterator[Self]:
        """A fresh broker, gone with its data afterwards.

        Raises Missing where Java, Maven or the jars cannot be had.
        """
        with folder("kafka") as where:
            broker = cls(where)
            broker._format()
            broker.start()
            try:
                yield broker
            finally:
                broker.kill()

    def _format(self) -> None:
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        named = f"--cluster-id={cluster}"  # the id may begin with a dash
        arguments = ("format", "--standalone", named, "-c", str(self._settings))
        run(java(self._jars, "kafka.tools.StorageTool", *arguments, heap_mb=64))

    def start(self) -> None:
        """Starts the broker, again if it was stopped, on the same port and data."""
        command = java(self._jars, "kafka.Kafka", str(self._settings))
        self._process = Process(command, self._where / "log")
        self._process.wait_until(self._answers, READY_SECONDS)

    def _answers(self) -> bool:
        try:
            return bool(self.admin().list_topics(timeout=1).brokers)
        except KafkaException:
            return False

    def stop(self) -> None:
        """Shuts the broker down in good order; its data stays."""
        if self._process:
            self._process.stop()

    def kill(self) -> None:
        """Ends the broker as a crash would."""
        if self._process:
            self._process.kill()

    @property
    def pid(self) -> int | None:
        """The process id of the broker, None before its start."""
        return self._process.pid if self._process else None

    def admin(self) -> AdminClient:
        """An admin client of this broker."""
        return AdminClient({"bootstrap.servers": self.bootstrap, **QUIET})

    def topic(self, stem: str = "topic", partitions: int = 1, **config: str) -> str:
        """Creates a topic under a name that no other test has, and returns the name.

        `config` holds topic settings with underscores for dots: `retention_ms="-1"`.
        """
        name = f"{stem}-{next(self._names)}"
        self.create(name, partitions, **config)
        return name

    def create(self, name: str, partitions: int = 1, **config: str) -> None:
        """Creates a topic under exactly this name; raises if it exists."""
        settings = {key.replace("_", "."): value for key, value in config.items()}
        wanted = NewTopic(name, partitions, 1, config=settings)
        admin = self.admin()  # held: its answers end with it
        for done in admin.create_topics([wanted]).values():
            done.result(30)


class WiredKafka(Kafka):
    """A broker behind a wire: who connects to the wire's end is sent back there.

    The wire leads from `wire_port` to `inner`; `bootstrap` goes past it.
    """

    def __init__(self, where: Path) -> None:
        super().__init__(where)
        self.inner, self.wire_port = free_ports(2)
        text = self._settings.read_text()
        straight = f"PLAINTEXT://127.0.0.1:{self.port}"
        text = text.replace(
            f"listeners={straight}",
            f"listeners={straight},WIRED://127.0.0.1:{self.inner}",
        ).replace("CONTROLLER:PLAINTEXT,", "CONTROLLER:PLAINTEXT,WIRED:PLAINTEXT,")
        wired = f"WIRED://127.0.0.1:{self.wire_port}"
        text += f"advertised.listeners={straight},{wired}\n"
        self._settings.write_text(text + "inter.broker.listener.name=PLAINTEXT\n")
