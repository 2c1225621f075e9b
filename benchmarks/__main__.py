"""`make bench`: medians of five alternating runs on the same records, as ratios."""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, TopicPartition

from benchmarks.records import MINUTE_MS, PARTITIONS, produce
from tests.real.servers.kafka import Kafka

RECORDS = 600_000
FAUST_RECORDS = 20_000
RUNS = 5
Found = dict[str, float]


class Course:
    """A broker with the records, and how each contender runs over them."""

    def __init__(self, kafka: Kafka, folder: Path, count: int) -> None:
        self.kafka = kafka
        self.folder = folder
        self.count = count
        self.reduction = 0.0
        newest_ms = time.time_ns() // 1_000_000 // MINUTE_MS * MINUTE_MS
        self.topic = kafka.topic("cloudwatch", PARTITIONS)
        self.bytes = produce(kafka.bootstrap, self.topic, count, newest_ms)

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
        return _result(_start("limit", self.given(self.count)))

    def stage1(self) -> Found:
        """Stage 1 to its committed transaction."""
        return _result(_start("stage1", self.given(self.count)))

    def plain_faust(self) -> Found:
        """The same work by a plain Faust agent, on fewer records."""
        return _result(
            _start("plain_faust", self.given(min(FAUST_RECORDS, self.count)))
        )

    def walk(self) -> Found:
        """Both stages, as two processes, to the committed ledger."""
        given = self.given(self.count)
        second = _start("stage2", given)
        first = _result(_start("stage1", given))
        end = self._end(given["observations"])
        last = _result(second, f"{end}\n")
        wall = last["begun"] + last["wall_s"] - first["begun"]
        return {
            "records": first["records"],
            "wall_s": wall,
            "cpu_s": first["cpu_s"] + last["cpu_s"],
        }

    def _end(self, topic: str) -> int:
        """The offset behind the last batch: one before the transaction's marker."""
        reader = Consumer(
            {"bootstrap.servers": self.kafka.bootstrap, "group.id": "end"}
        )
        _, high = reader.get_watermark_offsets(TopicPartition(topic, 0), timeout=10)
        reader.close()
        return int(high) - 1


def _start(name: str, given: dict[str, Any]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "benchmarks.contenders", name, json.dumps(given)]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def _result(process: subprocess.Popen[str], said: str = "") -> Found:
    output, _ = process.communicate(said, timeout=300)
    if process.returncode:
        raise SystemExit(f"{process.args} ended with {process.returncode}")
    found: Found = json.loads(output.splitlines()[-1])
    return found


def _measure(course: Course, runs: int) -> dict[str, dict[str, float]]:
    """Alternating runs; the median rate per second of wall and of CPU."""
    contenders = (course.limit, course.stage1, course.walk, course.plain_faust)
    rates: dict[str, dict[str, list[float]]] = {}
    for run in range(runs):
        for contender in contenders:
            found = contender()
            name = contender.__name__
            one = rates.setdefault(name, {"wall": [], "cpu": []})
            one["wall"].append(found["records"] / found["wall_s"])
            one["cpu"].append(found["records"] / found["cpu_s"])
            _say(f"run {run + 1}: {name:12} {one['wall'][-1]:10,.0f} records/s")
    return {
        name: {kind: statistics.median(all_) for kind, all_ in one.items()}
        for name, one in rates.items()
    }


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


RATIOS = (
    ("stage1", "limit", "wall", 0.6),
    ("walk", "limit", "wall", 0.3),
    ("stage1", "plain_faust", "wall", 30.0),
    ("stage1", "limit", "cpu", None),
    ("walk", "limit", "cpu", None),
    ("stage1", "plain_faust", "cpu", None),
)
TITLES = {
    "limit": "limit: consume, typed decode, count",
    "stage1": "stage 1: to the committed transaction",
    "walk": "whole walk: to the committed ledger (SQLite)",
    "plain_faust": "plain Faust agent, the same work per event",
}


def _figures(medians: dict[str, dict[str, float]]) -> list[dict[str, Any]]:
    figures: list[dict[str, Any]] = []
    for name, one in medians.items():
        for kind in ("wall", "cpu"):
            unit = "records/s" if kind == "wall" else "records per CPU second"
            figure = {
                "name": f"{name} ({kind})",
                "value": round(one[kind]),
                "unit": unit,
            }
            figures.append({**figure, "ratio": None, "ratio_to": None})
    for name, beside, kind, _ in RATIOS:
        ratio = medians[name][kind] / medians[beside][kind]
        wanted = f"{beside} ({kind})"
        for figure in figures:
            if figure["name"] == f"{name} ({kind})" and figure["ratio"] is None:
                figure |= {"ratio": round(ratio, 3), "ratio_to": wanted}
                break
        else:
            figures.append(
                {
                    "name": f"{name} ({kind})",
                    "value": round(medians[name][kind]),
                    "unit": "records/s",
                    "ratio": round(ratio, 3),
                    "ratio_to": wanted,
                }
            )
    return figures


def _print(course: Course, medians: dict[str, dict[str, float]], runs: int) -> None:
    print(
        f"{course.count:,} records of {course.bytes:.0f} bytes, {PARTITIONS} partitions,"
        f" one real Kafka broker, {os.cpu_count()} cores; medians of {runs} runs"
    )
    for name, title in TITLES.items():
        one = medians[name]
        print(
            f"  {title:46} {one['wall']:10,.0f}/s {1e6 / one['cpu']:8.2f} us CPU/record"
        )
    for name, beside, kind, wanted in RATIOS:
        ratio = medians[name][kind] / medians[beside][kind]
        aim = "" if wanted is None else f"  (aim: {wanted:g})"
        print(f"  {name} / {beside}, {kind}: {ratio:.2f}{aim}")


def main() -> None:
    """Run, print, and write the figures where asked."""
    options = argparse.ArgumentParser(prog="python -m benchmarks")
    options.add_argument("--out", type=Path, help="write the figures as JSON")
    options.add_argument("--records", type=int, default=RECORDS)
    options.add_argument("--runs", type=int, default=RUNS)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as folder, Kafka.running() as kafka:
        course = Course(kafka, Path(folder), chosen.records)
        medians = _measure(course, chosen.runs)
    _print(course, medians, chosen.runs)
    if chosen.out:
        chosen.out.write_text(json.dumps(_figures(medians), indent=2) + "\n")


if __name__ == "__main__":
    main()
