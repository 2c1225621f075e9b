"""The walk on a real broker: topics of its own, workers as processes, a ledger."""

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaException, Producer
from msgspec.structs import replace

from slo.model import (
    Series,
)
from slo.plan import Plan
from slo.resources import (
    Inventory,
)
from streams.kafka import Connection
from streams.reading import dump
from streams.store import Store
from streams.topics import topics_of
from tests.fleet import CDC_EVENTS, CLUSTER, FRESH_SLO, ROWS_SLO
from tests.real.rows import Row
from tests.real.servers.kafka import QUIET, Kafka
from tests.real.servers.process import Process

ROOT = Path(__file__).parents[2]
FAR_MS = 4_000_000_000_000
PARTITIONS = 2


def until(what: str, holds: Callable[[], bool], seconds: float = 60) -> None:
    """Return when a condition holds; fail with its name when it does not in time."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        time.sleep(0.02)


def plan_of(prefix: str) -> Plan:
    """The change stream of one prefix, judged by rows and by slices of freshness."""
    cluster = replace(CLUSTER, cdc_prefixes=(prefix,))
    stream = cluster.resources[-1]
    slos = (ROWS_SLO, FRESH_SLO)
    series = tuple(Series(slo, stream, cluster, (CDC_EVENTS,)) for slo in slos)
    return Plan(Inventory((cluster,)), slos, series)


class Walk:
    """Topics, groups and a store that no other test has."""

    def __init__(self, kafka: Kafka, folder: Path, url: str = "") -> None:
        self.kafka = kafka
        self.folder = folder
        self.connection = Connection(kafka.bootstrap)
        self.observations = kafka.topic("observations", PARTITIONS)
        self.dead_letters = kafka.topic("dead-letters")
        self.prefix = self.observations.replace("observations", "shop")
        self.table = f"{self.prefix}.shop.t"
        kafka.create(self.table, 4)
        kafka.create(f"__debezium-heartbeat.{self.prefix}")
        self.plan = plan_of(self.prefix)
        self.topics = topics_of(self.plan.inventory, {})
        self.url = url or f"sqlite:///{folder}/store.db"
        self.store = Store(self.url)
        self._producer = Producer({"bootstrap.servers": kafka.bootstrap, **QUIET})
        self.admin = kafka.admin()
        self._started = 0

    def close(self) -> None:
        """Give the store's connections back."""
        self.store.close()

    # -- records -----------------------------------------------------------------

    def send(self, rows: Iterable[Row]) -> None:
        """Let the connector write rows; returns when the broker has them."""
        for row in rows:
            self.produce(
                self.table,
                row.value(self.prefix),
                key=row.key,
                partition=row.partition,
                timestamp=row.arrival_ms,
            )
        assert self._producer.flush(30) == 0

    def produce(self, topic: str, value: bytes, **more: Any) -> None:
        """Write one record of any kind."""
        while True:
            try:
                self._producer.produce(topic, value, **more)
                break
            except BufferError:
                self._producer.poll(0.1)

    # -- the ledger ----------------------------------------------------------------

    def dump(self, until_ms: int = FAR_MS) -> list[str]:
        """The lines of the ledger."""
        return list(dump(self.plan, self.store, self.topics, until_ms))

    def rows(self) -> dict[int, tuple[int, int]]:
        """What the ledger says of rows: bucket to (good, total)."""
        lines = (line.split("\t") for line in self.dump())
        return {
            int(start): (int(good), int(total))
            for series, start, good, total in lines
            if series.startswith("rows/")
        }

    def total(self) -> int:
        """How many rows the ledger counts."""
        return sum(total for _, total in self.rows().values())

    def members(self, stage: str) -> int:
        """How many members of a stage's group hold partitions now."""
        group = f"{stage}-{self.observations}"
        asked = self.admin.describe_consumer_groups([group])
        try:
            members = asked[group].result(10).members
        except KafkaException:  # the group has no coordinator yet
            return 0
        return sum(bool(m.assignment.topic_partitions) for m in members)

    # -- workers -------------------------------------------------------------------

    def worker(self, stage: str, slot: str = "0") -> "Worker":
        """Start a stage as a process."""
        self._started += 1
        log = self.folder / f"{stage}-{slot}-{self._started}.log"
        return Worker(stage, slot, self.given(), log)

    def given(self) -> dict[str, Any]:
        """All that a worker process must know."""
        return {
            "bootstrap": self.kafka.bootstrap,
            "observations": self.observations,
            "dead_letters": self.dead_letters,
            "prefix": self.prefix,
            "url": self.url,
        }

    @contextmanager
    def workers(self, *stages: str) -> Iterator[Sequence["Worker"]]:
        """Stages ("ingest", or "ingest:1" in another slot) as processes, ended
        afterwards; where a test fails they speak.
        """
        started = [self.worker(*stage.split(":")) for stage in stages]
        try:
            yield started
        except AssertionError as error:
            for worker in started:
                error.add_note(f"{worker.name} said: {worker.log()}")
            raise
        finally:
            for worker in started:
                worker.kill()


class Worker:
    """A stage as a process, to be killed, paused and started again."""

    def __init__(self, stage: str, slot: str, given: dict[str, Any], log: Path) -> None:
        self.name = f"{stage} {slot}"
        self._parts = (stage, slot, given, log)
        self._start()

    def _start(self) -> None:
        stage, slot, given, log = self._parts
        command = [sys.executable, "-m", "tests.real.worker", stage, slot]
        self.process = Process(
            [*command, json.dumps(given)], log, env={"PYTHONPATH": str(ROOT)}
        )

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()

    def restart(self) -> None:
        """SIGKILL, and the same slot again."""
        self.kill()
        self._start()

    def stop(self) -> None:
        """SIGTERM, and wait."""
        self.process.stop()

    def pause(self) -> None:
        """SIGSTOP: the process stands still, as under a debugger or a bad host."""
        os.kill(self.process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        os.kill(self.process.pid, signal.SIGCONT)

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self.process.alive

    def log(self) -> str:
        """What it has said."""
        return self.process.tail()
