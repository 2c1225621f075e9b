"""The records: one CloudWatch datum each, a new minute every 10,000, 10 % twice."""

import json
import random
from collections.abc import Iterator

from confluent_kafka import Producer

from benchmarks.fleet import INSTANCES, IRRELEVANT, OF_ATTEMPTS, RELEVANT, instance

PER_MINUTE = 10_000
DUPLICATES = 0.1
PARTITIONS = 4
MINUTE_MS = 60_000
FAULTS = {"LoginFailures", "Deadlocks", "BlockedTransactions", *OF_ATTEMPTS.values()}


def values(count: int, newest_ms: int) -> Iterator[bytes]:
    """The record values, oldest minute first; the last minute starts at `newest_ms`.

    One record in ten repeats the one before it, as a retried delivery does.
    """
    chance = random.Random(1)
    metrics = {**RELEVANT, **IRRELEVANT}
    names = [(i, m) for i in range(INSTANCES) for m in metrics]
    minutes = -(-count // PER_MINUTE)
    made = 0
    for minute in range(minutes):
        start = newest_ms - (minutes - 1 - minute) * MINUTE_MS
        chance.shuffle(names)
        before = b""
        for number, metric in names[: min(PER_MINUTE, count - made)]:
            if not before or chance.random() >= DUPLICATES:
                before = datum(number, metric, metrics[metric], start)
            yield before
            made += 1


def datum(number: int, metric: str, unit: str, start_ms: int, name: str = "") -> bytes:
    """One line of a metric stream."""
    value = 0.25 + number % 7
    if metric in FAULTS and number % 100:
        value = 0.0  # one instance in a hundred has faults, as in a quiet hour
    return json.dumps(
        {
            "metric_stream_name": "database-metrics-to-kafka",
            "account_id": "210987654321",
            "region": "eu-west-1",
            "namespace": "AWS/RDS",
            "metric_name": metric,
            "dimensions": {"DBInstanceIdentifier": name or instance(number)},
            "timestamp": start_ms,
            "value": {"max": value, "min": value, "sum": value * 6, "count": 6.0},
            "unit": unit,
        }
    ).encode()


def produce(
    bootstrap: str, topic: str, count: int, newest_ms: int, *, keyed: bool = False
) -> float:
    """Write the records; their mean size in bytes.

    In runs of 500 for each partition, as a delivery stream writes them, or `keyed`:
    an instance's all to one partition.
    """
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "linger.ms": 20,
            "batch.size": 500_000,
            "queue.buffering.max.messages": 1_000_000,
        }
    )
    size = 0
    for at, value in enumerate(values(count, newest_ms)):
        size += len(value)
        turn = _number(value) if keyed else at // 500
        producer.produce(topic, value, partition=turn % PARTITIONS)
        if at % 10_000 == 0:
            producer.poll(0)
    producer.flush(60)
    return size / count


def _number(value: bytes) -> int:
    at = value.index(b"shop-") + len(b"shop-")
    return int(value[at : at + 3])
