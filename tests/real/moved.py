"""A fleet over several partitions, both stages in threads, and a mover to be killed.

python -m tests.real.moved GIVEN STEP moves, and dies by its own SIGKILL after a step.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from threading import Event, Thread
from typing import Any

from confluent_kafka import Producer
from msgspec.structs import replace

from slo.model import Series
from slo.plan import Plan
from slo.resources import Inventory
from streams.evaluate import Evaluator
from streams.ingest import Ingest
from streams.kafka import Connection, identify
from streams.reading import dump, views
from streams.runtimes.ingest import IngestWorker
from streams.runtimes.moving import Mover
from streams.runtimes.native import EvaluateWorker
from streams.runtimes.settings import EvaluateSettings, IngestSettings
from streams.runtimes.survey import Kafka, undrained
from streams.store import Store
from streams.topics import topics_of
from tests.fleet import CDC_EVENTS, CLUSTER, FRESH_SLO, ROWS_SLO
from tests.real.rows import Row, rows
from tests.real.servers.kafka import QUIET
from tests.real.walk import until

CLUSTERS = 6


def clock() -> int:
    return time.time_ns() // 1_000_000


def plan_of(stem: str, moved: int | None = None) -> Plan:
    """Clusters with a change stream each; `moved`: one whose stream goes to the next."""
    prefixes = [[f"{stem}-{n}"] for n in range(CLUSTERS)]
    if moved is not None:
        prefixes[(moved + 1) % CLUSTERS] += prefixes[moved]
        prefixes[moved] = []
    clusters = [
        replace(
            CLUSTER, name=f"c{n}", instances=(), proxies=(), cdc_prefixes=tuple(own)
        )
        for n, own in enumerate(prefixes)
    ]
    series = [
        Series(slo, resource, cluster, (CDC_EVENTS,))
        for slo in (ROWS_SLO, FRESH_SLO)
        for cluster in clusters
        for resource in cluster.resources
    ]
    return Plan(Inventory(tuple(clusters)), (ROWS_SLO, FRESH_SLO), tuple(series))


class Engine:
    """A store with its observations topic, fed from the topics of a stem."""

    def __init__(self, bootstrap: str, stem: str, observations: str, url: str) -> None:
        self.failed: BaseException | None = None
        self.given = [bootstrap, stem, observations, url]
        self.stem, self.plan = stem, plan_of(stem)
        self.topics = topics_of(self.plan.inventory, {})
        self.store = Store(url)
        self.kafka = Kafka(
            Connection(bootstrap),
            observations,
            f"ingest-{observations}",
            f"evaluate-{observations}",
        )

    def mover(self) -> Mover:
        return Mover(self.plan, self.topics, self.store, self.kafka, clock)

    def moved_stream(self, cluster: int) -> None:
        """The inventory changes: the stream of a cluster is the next one's."""
        self.plan = plan_of(self.stem, cluster)
        self.topics = topics_of(self.plan.inventory, {})

    def dump(self, until_ms: int = 1 << 62) -> list[str]:
        return list(dump(self.plan, self.store, self.topics, until_ms))

    def total(self) -> int:
        if self.failed is not None:
            raise self.failed
        lines = (line.split("\t") for line in self.dump())
        return sum(int(total) for key, _, _, total in lines if key.startswith("rows/"))

    @contextmanager
    def at_work(self, *stages: str) -> Iterator[None]:
        """Stages in threads, told to end afterwards."""
        stop, failed = Event(), []

        def run(worker: Any) -> None:
            try:
                worker.run(stop)
            except BaseException as error:  # noqa: BLE001 - raised below
                failed.append(error)
                self.failed = error

        made = [Thread(target=run, args=[self._worker(one)]) for one in stages]
        for thread in made:
            thread.start()
        try:
            yield
        finally:
            stop.set()
            for thread in made:
                thread.join()
        assert failed == []

    def counts(self, total: int) -> None:
        """Both stages, until so many rows are counted, and all of it is applied.

        Every cluster's now has come to the clock, so that what it says is the same
        whoever has counted.
        """
        begun_ms = clock()
        with self.at_work("evaluate"):
            with self.at_work("ingest"):
                until(f"{total} rows are counted", lambda: self.total() >= total)
                until("now is the clock", lambda: self._now_ms() >= begun_ms)
            until("what ingest left is applied", self._drained)

    def _now_ms(self) -> int:
        return min(one.now_ms for one in views(self.plan, self.store, self.topics))

    def _drained(self) -> bool:
        heads = {}
        for number in range(self.partitions):
            found = self.store.progress(number)
            heads[number] = found.next if found else 0
        return not list(undrained(self.kafka, heads))

    @property
    def partitions(self) -> int:
        """How many the observations topic has."""
        return identify(self.kafka.connection, self.kafka.observations).partitions

    def _worker(self, stage: str) -> Any:
        own = self.kafka
        if stage == "evaluate":
            given = EvaluateSettings(
                own.connection, "0", own.evaluate, own.observations
            )
            return EvaluateWorker(given, self._evaluator, clock, lambda _: None)
        partitions = self.partitions
        settings = IngestSettings(
            own.connection,
            "0",
            group=own.ingest,
            observations=own.observations,
            dead_letters=f"dead-{own.observations}",
        )
        made = Ingest(self.plan, self.topics, worker="0", partitions=partitions)
        return IngestWorker(made, self.topics, settings, clock, partitions=partitions)

    def _evaluator(self, partition: int, partitions: int) -> Evaluator:
        return Evaluator(
            self.plan,
            self.store,
            self.topics,
            partition=partition,
            partitions=partitions,
        )


class Fleet:
    """What the connectors of a stem's clusters write."""

    def __init__(self, bootstrap: str, stem: str) -> None:
        self._producer = Producer({"bootstrap.servers": bootstrap, **QUIET})
        self._stem = stem
        start_ms = clock() - 900_000
        self._streams = [rows(start_ms, partitions=1) for _ in range(CLUSTERS)]
        self.sent: list[Row] = []

    def send(self, count: int) -> int:
        """So many rows more of each cluster; how many there are in all."""
        for number, stream in enumerate(self._streams):
            prefix = f"{self._stem}-{number}"
            for row in islice(stream, count):
                self._producer.produce(
                    f"{prefix}.shop.t",
                    row.value(prefix),
                    row.key,
                    timestamp=row.arrival_ms,
                )
                self._producer.poll(0)
                self.sent.append(row)
        assert self._producer.flush(30) == 0
        return len(self.sent)

    @property
    def newest_ms(self) -> int:
        return max(row.arrival_ms for row in self.sent)


def main(given: str, step: str, partitions: str) -> None:
    def told(line: str) -> None:
        if line.startswith(step):
            os.kill(os.getpid(), signal.SIGKILL)

    Engine(*json.loads(given)).mover().move(int(partitions), told)


if __name__ == "__main__":
    main(*sys.argv[1:])
