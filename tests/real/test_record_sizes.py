"""No record of ours is larger than a broker takes by default, whatever arrives."""

import msgspec
import pytest
from confluent_kafka import Producer

from streams.batch import Mark
from streams.fold import MAX_TAG_SETS
from tests.flood.records import flood
from tests.streams.stage import (
    NOW,
    ROWS,
    Stage,
    datum,
    payload,
    row,
    series,
    text,
    zipped,
)

TOPICS = {f"returns.public.{n:05d}{'x' * 200}": 2 for n in range(10_000)}
MARKS = [
    Mark(name, n, 2**60, NOW) for name, many in TOPICS.items() for n in range(many)
]
LONG = "y" * 4_000


def tagged(number: int):
    one = series("postgresql.commits", *((NOW - n * 1_000, 1.0) for n in range(60)))
    one["tags"].append(f"{number}:{LONG}")
    return payload(one)


def quiet(stage: Stage) -> Stage:
    return stage


def long_tags(stage: Stage) -> Stage:
    return stage.add("datadog", *(tagged(n) for n in range(MAX_TAG_SETS)))


def refusals(stage: Stage) -> Stage:
    bad = {**row(ts_ms=5), **{f"{'k' * 60}{n}": "v" * 100 for n in range(200)}}
    return stage.add(ROWS, *(bad for _ in range(3_000)))


def one_giant(stage: Stage) -> Stage:
    lines = b"\n".join(
        text(datum(at=NOW - n * 60_000 % 86_400_000)) for n in range(20_000)
    )
    stage.add("cloudwatch", zipped(lines))
    return stage.add("anything", b"[" * 3_000_000, text({"k" * 3_000_000: 1}))


def a_flood(stage: Stage) -> Stage:
    for one in flood(0, 20_000, NOW, 2):
        if one.value is not None:
            stage.add(one.topic, one.value, at=one.arrival_ms, clock_ms=NOW)
    return stage


@pytest.mark.real
@pytest.mark.parametrize("arrives", [quiet, long_tags, refusals, one_giant, a_flood])
def test_a_broker_takes_every_record_of_a_flush(arrives, kafka):
    stage = arrives(Stage())
    topic = kafka.topic("sizes")
    flush = stage.ingest.flush(MARKS, TOPICS, NOW)
    producer = Producer({"bootstrap.servers": kafka.bootstrap})
    faults: list[str] = []

    def delivered(error, message) -> None:
        if error is not None:
            faults.append(str(error))

    letters = map(msgspec.json.encode, flush.dead_letters)
    values = [*(data for _, data in flush.payloads), *letters]
    for value in values:
        producer.produce(topic, value, on_delivery=delivered)
        producer.poll(0)
    producer.flush(60)

    assert len(values) > 10
    assert faults == []
