"""One contender as a process of its own: python -m benchmarks.contenders NAME GIVEN.

It prints one JSON object: records, wall and CPU seconds from its first record to the
moment at which its work is done.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from threading import Thread
from typing import Any

import msgspec
from confluent_kafka import Consumer, KafkaException, TopicPartition

from benchmarks.fleet import plan
from benchmarks.records import PARTITIONS
from benchmarks.stopwatch import Stopwatch
from dbslo.memory import collect_seldom
from streams.evaluate import Evaluator
from streams.ingest import Ingest
from streams.kafka import Connection, consumer_settings
from streams.runtimes.ingest import IngestWorker
from streams.runtimes.native import EvaluateWorker
from streams.runtimes.settings import EvaluateSettings, IngestSettings
from streams.slab import Slab
from streams.sources.heads import Datum
from streams.store import Store
from streams.topics import Topics

OBSERVATION_PARTITIONS = 1
Given = dict[str, Any]


def clock() -> int:
    """Epoch ms."""
    return time.time_ns() // 1_000_000


def limit(given: Given) -> dict[str, float]:
    """Consume, decode the whole of each datum, count."""
    settings = consumer_settings(Connection(given["bootstrap"]), "limit")
    consumer = Consumer({**settings, "auto.offset.reset": "earliest"})
    consumer.assign([TopicPartition(given["topic"], n, 0) for n in range(PARTITIONS)])
    decode = msgspec.json.Decoder(Datum).decode
    counts: dict[tuple[str, int], int] = {}
    seen, watch = 0, Stopwatch()
    while seen < given["count"]:
        for message in consumer.consume(1_000, 0.05):
            if message.error():
                continue
            watch.start()
            datum = decode(message.value())
            key = (datum.metric_name, datum.timestamp)
            counts[key] = counts.get(key, 0) + 1
            seen += 1
    found = watch.read(seen)
    consumer.close()
    return found


def _topics(given: Given) -> Topics:
    return Topics(shared={given["topic"]: "cloudwatch"}, prefixes={})


def _ingest(given: Given) -> IngestWorker:
    topics, slot = _topics(given), given.get("slot", "0")
    settings = IngestSettings(
        Connection(given["bootstrap"]),
        slot,
        group=given["observations"],
        observations=given["observations"],
        dead_letters=given["dead_letters"],
    )
    made = Ingest(plan(), topics, worker=slot, partitions=OBSERVATION_PARTITIONS)
    return IngestWorker(
        made, topics, settings, clock, partitions=OBSERVATION_PARTITIONS
    )


def stage1(given: Given) -> dict[str, float]:
    """Stage 1 alone: everything is in the observations topic, committed."""
    worker, watch = _ingest(given), Stopwatch()
    worker.start()
    while worker.records < given["count"]:
        if worker.step():
            watch.start()
    worker.flush()
    found = watch.read(worker.records)
    worker.close()
    return found


def share(given: Given) -> dict[str, float]:
    """One of several stage 1 processes: its share, from "go" until all of it is read.

    Until then its partitions are paused; what a poll gave before is not counted.
    """
    worker, go = _ingest(given), _Word()
    worker.start()
    consumer = worker._consumer  # noqa: SLF001 - nobody else needs a start line
    while not go.said:
        worker.step()
        with suppress(KafkaException):  # it was given away between the two calls
            consumer.pause(consumer.assignment())
    worker.flush()
    before, watch = worker.records, Stopwatch()
    watch.start()
    consumer.resume(consumer.assignment())
    while not worker.lag or any(worker.lag.values()):
        worker.step()
    worker.flush()
    print(json.dumps(watch.read(worker.records - before)), flush=True)
    bye = _Word()
    while not bye.said:
        worker.step()
    worker.close()
    os._exit(0)  # the answer is given


class _Word:
    """A line that the parent will say."""

    def __init__(self) -> None:
        self.said = ""
        Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        self.said = sys.stdin.readline() or "gone"


def stage2(given: Given) -> dict[str, float]:
    """Stage 2 beside stage 1: until the ledger holds the last record, committed."""
    topics, store = _topics(given), Store(given["store"])
    everything = plan()

    def evaluator(partition: int, partitions: int) -> Evaluator:
        return Evaluator(
            everything, store, topics, partition=partition, partitions=partitions
        )

    settings = EvaluateSettings(
        Connection(given["bootstrap"]),
        group=f"{given['observations']}-2",
        observations=given["observations"],
    )
    worker = EvaluateWorker(settings, evaluator, clock, lambda _: None)
    worker.start()
    end = _End()
    watch = Stopwatch()
    while not end.reached(store):
        if worker.step():
            watch.start()
    found = watch.read(0)
    worker.close()
    return found


class _End:
    """The offset behind the last batch; the parent names it once stage 1 is done."""

    def __init__(self) -> None:
        self._offset = _Word()

    def reached(self, store: Store) -> bool:
        """Whether everything up to there is committed."""
        if not self._offset.said:
            return False
        progress = store.progress(0)
        return progress is not None and progress.next >= int(self._offset.said)


def faust_agent(given: Given) -> dict[str, float]:
    """A plain Faust agent that does stage 1's work event by event."""
    import faust  # noqa: PLC0415 - the other contenders start without it

    app = faust.App(
        given["observations"],
        broker=f"kafka://{given['bootstrap']}",
        store="memory://",
        web_enabled=False,
        topic_disable_leader=True,
        topic_allow_declare=False,
        consumer_auto_offset_reset="earliest",
        datadir=given["folder"],
    )
    topic = app.topic(given["topic"], value_serializer="raw", partitions=PARTITIONS)
    ingest = Ingest(plan(), _topics(given), worker="0", partitions=1)
    watch = Stopwatch()

    @app.agent(topic)  # type: ignore[untyped-decorator]
    async def count(stream: Any) -> None:
        seen = 0
        async for event in stream.events():
            watch.start()
            message = event.message
            arrival_ms = int(message.timestamp * 1000)
            one = (message.topic, message.partition, [message.offset], [arrival_ms])
            ingest.add(Slab(*one, [message.key], [event.value]), clock())
            seen += 1
            if seen == given["count"]:
                print(json.dumps(watch.read(seen)), flush=True)
                os._exit(0)  # an agent that stops its own app waits for itself

    worker = faust.Worker(app, loglevel="error", redirect_stdouts=False)
    worker.execute_from_commandline()
    raise RuntimeError("the agent stopped before the last record")


CONTENDERS: dict[str, Callable[[Given], dict[str, float]]] = {
    "limit": limit,
    "stage1": stage1,
    "stage2": stage2,
    "share": share,
    "faust": faust_agent,
}


if __name__ == "__main__":
    collect_seldom()  # as every engine does
    print(json.dumps(CONTENDERS[sys.argv[1]](json.loads(sys.argv[2]))), flush=True)
