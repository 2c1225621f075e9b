"""A fleet's records for every runtime: three outages, re-sent and broken ones too."""

import random
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from itertools import count
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

from dbslo.demo import trace
from dbslo.demo.traffic import Onset, Record, Span, traffic
from dbslo.load import load_plan
from slo.model import MINUTE, SECOND
from slo.names import CLOUDWATCH_TOPIC, DATADOG_TOPIC
from slo.plan import Plan

MINUTES = 24
SHARED = (CLOUDWATCH_TOPIC, DATADOG_TOPIC)
PARTITIONS = 2
OUTAGES = ("gitlab-replica", "cdc-zombie", "lock-queue")


class Placed(NamedTuple):
    """A record and the partition that it is written to."""

    topic: str
    partition: int
    arrival_ms: int
    key: bytes | None
    value: bytes | None


@cache
def plan() -> Plan:
    """The demo's fleet and objectives."""
    folder = Path(str(files("dbslo") / "demo" / "fleet"))
    return load_plan([folder / "slos.yaml"], folder / "inventory.yaml")


def records(end_ms: int) -> list[Placed]:
    """All records by arrival, the last of them before `end_ms`."""
    end_ms = end_ms // MINUTE * MINUTE
    span = Span(end_ms - MINUTES * MINUTE, end_ms)
    onsets = [
        Onset(trace.load(name), span.start_ms + (4 + 2 * number) * MINUTE)
        for number, name in enumerate(OUTAGES)
    ]
    made = [r for r in traffic(plan().inventory, onsets, span) if r.arrival_ms < end_ms]
    chosen = random.Random(7)
    placed = list(_placed(made))
    placed += list(_again(placed, chosen, end_ms)) + list(_broken(placed, chosen))
    return sorted(placed, key=lambda one: one.arrival_ms)


def _placed(made: list[Record]) -> Iterator[Placed]:
    turns = count()
    for record in made:
        number = next(turns) if record.topic in SHARED else crc32(record.key or b"")
        partition = number % PARTITIONS
        yield Placed(
            record.topic, partition, record.arrival_ms, record.key, record.value
        )


def _again(
    placed: list[Placed], chosen: random.Random, end_ms: int
) -> Iterator[Placed]:
    """Firehose sends a tenth again, to either partition; connectors re-send runs."""
    runs: dict[tuple[str, int], list[Placed]] = defaultdict(list)
    for one in placed:
        if one.topic not in SHARED:
            runs[one.topic, one.partition].append(one)
        elif chosen.random() < 0.1 and one.arrival_ms < end_ms - 40 * SECOND:
            later_ms = one.arrival_ms + 30 * SECOND
            yield one._replace(
                partition=chosen.randrange(PARTITIONS), arrival_ms=later_ms
            )
    for run in runs.values():
        at = len(run) // 2
        for one in run[max(at - 20, 0) : at]:
            yield one._replace(arrival_ms=run[at].arrival_ms)


def _broken(placed: list[Placed], chosen: random.Random) -> Iterator[Placed]:
    for one in chosen.sample(placed, 20):
        yield one._replace(value=(one.value or b"")[:-30] + b"}")
        yield one._replace(value=None)


def interleaved(placed: list[Placed], seed: int) -> Iterator[list[Placed]]:
    """Bursts: the order within a partition stays, partitions run ahead of each other.

    Seed 0 is the order of arrival.
    """
    chosen = random.Random(seed)
    if seed == 0:
        yield from _cut(placed, chosen)
        return
    queues: dict[tuple[str, int], list[Placed]] = defaultdict(list)
    for one in placed:
        queues[one.topic, one.partition].append(one)
    mixed: list[Placed] = []
    waiting = [list(reversed(queue)) for queue in queues.values()]
    while waiting:
        queue = chosen.choice(waiting)
        run = min(chosen.choice((1, 3, 40, 400)), len(queue))
        mixed.extend(queue.pop() for _ in range(run))
        waiting = [queue for queue in waiting if queue]
    yield from _cut(mixed, chosen)


def _cut(placed: list[Placed], chosen: random.Random) -> Iterator[list[Placed]]:
    at = 0
    while at < len(placed):
        size = chosen.choice((20, 300, 2_000))
        yield placed[at : at + size]
        at += size
