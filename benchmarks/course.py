"""A broker with the records, and how each contender runs over them as a process."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, TopicPartition

from benchmarks import quix
from benchmarks.figures import FailedError
from benchmarks.records import MINUTE_MS, PARTITIONS, produce
from tests.real.servers.kafka import Kafka

FAUST_RECORDS = 20_000
QUIX_RECORDS = 60_000
PATIENCE_S = 300
Found = dict[str, float]


class Course:
    """The records in a topic of four partitions, read again by each contender."""

    def __init__(
        self, kafka: Kafka, folder: Path, count: int, *, keyed: bool = False
    ) -> None:
        self.kafka = kafka
        self.folder = folder
        self.count = count
        newest_ms = time.time_ns() // 1_000_000 // MINUTE_MS * MINUTE_MS
        self.topic = kafka.topic("cloudwatch", PARTITIONS)
        self.bytes = produce(kafka.bootstrap, self.topic, count, newest_ms, keyed=keyed)

    def given(self, count: int) -> dict[str, Any]:
        """Topics and a store that no other run has."""
        observations = self.kafka.topic("observations", 1)
        return {
            "bootstrap": self.kafka.bootstrap,
            "topic": self.topic,
            "count": count,
            "observations": observations,
            "dead_letters": self.kafka.topic("dead-letters"),
            "store": f"sqlite:///{self.folder}/{observations}.db",
            "folder": str(self.folder / observations),
        }

    def limit(self) -> Found:
        """Consume, decode, count."""
        return result(start("limit", self.given(self.count)))

    def stage1(self) -> Found:
        """Stage 1 to its committed transaction."""
        return result(start("stage1", self.given(self.count)))

    def faust(self) -> Found:
        """The same work by a plain Faust agent, on fewer records."""
        return result(start("faust", self.given(min(FAUST_RECORDS, self.count))))

    def quix(self) -> Found:
        """The same work in a Quix dataframe, on fewer records."""
        given = self.given(min(QUIX_RECORDS, self.count))
        command = [str(quix.python()), "-m", "benchmarks.quix", json.dumps(given)]
        return result(_run(command))

    def walk(self) -> Found:
        """Both stages, as two processes, to the committed ledger."""
        given = self.given(self.count)
        second = start("stage2", given)
        first = result(start("stage1", given))
        end = self._end(given["observations"])
        last = result(second, f"{end}\n")
        return {
            "records": first["records"],
            "wall_s": last["begun"] + last["wall_s"] - first["begun"],
            "cpu_s": first["cpu_s"] + last["cpu_s"],
            "second_cpu_s": last["cpu_s"],
        }

    def _end(self, topic: str) -> int:
        """The offset behind the last batch: one before the transaction's marker."""
        reader = Consumer(
            {"bootstrap.servers": self.kafka.bootstrap, "group.id": "end"}
        )
        _, high = reader.get_watermark_offsets(TopicPartition(topic, 0), timeout=10)
        reader.close()
        return int(high) - 1


def start(name: str, given: dict[str, Any]) -> subprocess.Popen[str]:
    """A contender, under way."""
    return _run(
        [sys.executable, "-m", "benchmarks.contenders", name, json.dumps(given)]
    )


def _run(command: list[str]) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


def result(process: subprocess.Popen[str], said: str = "") -> Found:
    """What a contender found; raises FailedError with its last words where it failed."""
    output, errors = process.communicate(said, timeout=PATIENCE_S)
    if process.returncode:
        raise FailedError(f"{process.args} ended: {errors[-2000:]}")
    found: Found = json.loads(output.splitlines()[-1])
    return found
