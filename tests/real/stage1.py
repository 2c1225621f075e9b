"""Stage 1 in this process on a real broker: stepped by hand, and its output read."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice

from confluent_kafka import Consumer, TopicPartition

from streams.batch import Batch, decode
from streams.ingest import Ingest
from streams.runtimes.ingest import IngestWorker
from streams.runtimes.settings import IngestSettings
from tests.real.rows import Row, rows
from tests.real.walk import PARTITIONS, Walk, until


def now() -> int:
    return time.time_ns() // 1_000_000


class Stage1:
    """A worker in this process, stepped by hand, and a reader of what it wrote."""

    def __init__(self, kafka, tmp_path) -> None:
        self.walk = Walk(kafka, tmp_path)
        self.kafka = kafka
        self.group = f"ingest-{self.walk.observations}"
        self.reader = self._reader()
        self.batches: list[tuple[int, Batch]] = []
        self.letters: list[dict] = []

    def _reader(self) -> Consumer:
        settings = {
            "bootstrap.servers": self.kafka.bootstrap,
            "group.id": f"reader-{self.walk.observations}",
            "fetch.wait.max.ms": 10,
        }
        consumer = Consumer(settings)
        held = [(self.walk.observations, n) for n in range(PARTITIONS)]
        held.append((self.walk.dead_letters, 0))
        consumer.assign([TopicPartition(*place, 0) for place in held])
        return consumer

    def worker(self, slot: str = "0", partitions: int = PARTITIONS) -> IngestWorker:
        settings = IngestSettings(
            self.walk.connection,
            slot,
            group=self.group,
            observations=self.walk.observations,
            dead_letters=self.walk.dead_letters,
            idle_ms=100,
        )
        made = Ingest(
            self.walk.plan, self.walk.topics, worker=slot, partitions=partitions
        )
        return IngestWorker(
            made, self.walk.topics, settings, now, partitions=partitions
        )

    @contextmanager
    def running(self, slot: str = "0") -> Iterator[IngestWorker]:
        worker = self.worker(slot)
        worker.start()
        try:
            yield worker
        finally:
            worker.close()

    def close(self) -> None:
        """Give everything back."""
        self.reader.close()
        self.walk.store.close()

    def step_until(self, worker: IngestWorker, what: str, holds) -> None:
        """Step the worker, and read what it writes, until a condition holds."""

        def held() -> bool:
            worker.step()
            self.read()
            return holds()

        until(what, held, 40)

    def read(self) -> None:
        for message in self.reader.consume(500, 0.02):
            assert message.error() is None
            if message.topic() == self.walk.dead_letters:
                self.letters.append(json.loads(message.value()))
            else:
                self.batches.append((message.partition(), decode(message.value())))

    def counted(self) -> int:
        return sum(d[3] for _, b in self.batches for d in b.deltas if self.is_row(b, d))

    def is_row(self, batch: Batch, delta) -> bool:
        return batch.routes[delta[0]].signal.startswith("cdc:rows/")

    def mark(self, partition: int = 0) -> int:
        """The newest mark of a partition of the table."""
        found = [
            mark.time_ms
            for _, batch in self.batches
            for mark in batch.marks
            if (mark.topic, mark.partition) == (self.walk.table, partition)
        ]
        return found[-1] if found else 0

    def committed(self, partition: int) -> TopicPartition:
        settings = {
            "bootstrap.servers": self.kafka.bootstrap,
            "group.id": self.group,
        }
        consumer = Consumer(settings)
        wanted = [TopicPartition(self.walk.table, partition)]
        found = consumer.committed(wanted, timeout=10)[0]
        consumer.close()
        return found


def some(count: int, age_ms: int = 60_000) -> list[Row]:
    return list(islice(rows(now() - age_ms), count))
