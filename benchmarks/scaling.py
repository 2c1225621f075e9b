"""One, two and four ingest processes over the same records.

Producers key their records by database, so an instance's are all in one partition and
a process learns the names of its share alone. The processes join one group and wait
until it is balanced; then all of them are let go.
"""

import json
import os
import statistics
import subprocess
import time
from collections.abc import Callable

from confluent_kafka import KafkaException

from benchmarks.course import Course, start
from benchmarks.figures import FailedError, Figure, say
from benchmarks.records import PARTITIONS

PROCESSES = (1, 2, 4)
BALANCE_S = 60.0


def figures(course: Course, runs: int) -> list[Figure]:
    """CPU a record and throughput of each number of processes, beside one."""
    found: dict[int, list[tuple[float, float]]] = {n: [] for n in PROCESSES}
    for run in range(runs):
        for number in PROCESSES:
            rate, cpu_us = _together(course, number)
            found[number].append((rate, cpu_us))
            say(
                f"run {run + 1}: {number} ingest processes {rate:10,.0f} records/s,"
                f" {cpu_us:5.2f} µs CPU a record"
            )
    medians = {
        number: tuple(statistics.median(column) for column in zip(*rows, strict=True))
        for number, rows in found.items()
    }
    return [line for number in PROCESSES for line in _beside_one(number, medians)]


def _beside_one(number: int, of: dict[int, tuple[float, ...]]) -> list[Figure]:
    rate, cpu_us = of[number]
    name = f"{number} ingest process{'es' if number > 1 else ''}"
    cores = f"{os.cpu_count()} cores, shared with the broker"
    return [
        Figure(
            f"{name}: CPU a record",
            round(cpu_us, 3),
            "µs",
            round(cpu_us / of[1][1], 3),
            "one process",
            "within 0.85 and 1.15",
        ),
        Figure(
            f"{name} on {cores}",
            round(rate),
            "records/s",
            round(rate / of[1][0], 3),
            "one process",
        ),
    ]


def _together(course: Course, number: int) -> tuple[float, float]:
    """Records per second of all, and CPU µs a record."""
    given = course.given(course.count)
    started = [start("share", {**given, "slot": str(n)}) for n in range(number)]
    try:
        _until(lambda: _balanced(course, given["observations"], started))
        begun = time.time()
        for process in started:
            _tell(process, "go")
        found = [json.loads(_answer(process)) for process in started]
        for process in started:
            _tell(process, "bye")
            process.wait(60)
    finally:
        for process in started:
            process.kill()
            process.communicate()
    records = sum(one["records"] for one in found)
    if records < course.count * 0.99:
        raise FailedError(
            f"{number} processes read {records} of {course.count} records"
        )
    ended = max(one["begun"] + one["wall_s"] for one in found)
    cpu_s = sum(one["cpu_s"] for one in found)
    return records / (ended - begun), cpu_s / records * 1e6


def _balanced(course: Course, group: str, started: list[subprocess.Popen[str]]) -> bool:
    """Whether each of them holds its share of the partitions."""
    for process in started:
        if process.poll() is not None:
            raise FailedError(f"an ingest process ended: {process.communicate()[1]}")
    admin = course.kafka.admin()
    try:
        asked = admin.describe_consumer_groups([group])[group].result(10)
    except KafkaException:  # the group has no coordinator yet
        return False
    held = [len(one.assignment.topic_partitions) for one in asked.members]
    return len(held) == len(started) and set(held) == {PARTITIONS // len(held)}


def _until(holds: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + BALANCE_S
    while not holds():
        if time.monotonic() > give_up_at:
            raise FailedError(f"the group is not balanced within {BALANCE_S:g} s")
        time.sleep(0.2)


def _tell(process: subprocess.Popen[str], word: str) -> None:
    if process.stdin:
        process.stdin.write(f"{word}\n")
        process.stdin.flush()


def _answer(process: subprocess.Popen[str]) -> str:
    line = process.stdout.readline() if process.stdout else ""
    if not line:
        _, errors = process.communicate()
        raise FailedError(f"an ingest process ended: {errors[-2000:]}")
    return line
