"""Quix Streams as a peer, in a virtual environment of its own outside the clone.

Quix pins confluent-kafka below what dbslo needs. As a program (python -m
benchmarks.quix GIVEN, by that environment's Python) it is the contender: stage 1's work
on one record after another, in a dataframe's `update`, as its users write it.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.fleet import plan
from benchmarks.stopwatch import Stopwatch
from streams.ingest import Ingest
from streams.slab import Slab
from streams.topics import Topics
from tests.ground.cache import Missing, once

VERSION = "3.28.1"
BESIDE = ("msgspec", "pyyaml", "numpy")
"""What stage 1's own code needs, and nothing of Kafka."""


def python() -> Path:
    """The interpreter of the environment, made on first use. Raises Missing."""
    name = f"quix-{VERSION}-py{sys.version_info.major}{sys.version_info.minor}"
    return once(name, _make) / "bin" / "python"


def _make(folder: Path) -> None:
    """Make the environment; it may be moved, for nothing but its Python is used."""
    own = str(folder / "bin" / "python")
    wanted = [f"quixstreams=={VERSION}", *BESIDE]
    for command in (
        [sys.executable, "-m", "venv", str(folder)],
        [own, "-m", "pip", "install", "-q", "--disable-pip-version-check", *wanted],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            said = (done.stderr or done.stdout).strip().splitlines()
            why = said[-1] if said else f"it ended with {done.returncode}"
            raise Missing(f"Quix Streams {VERSION} cannot be installed: {why}")


def main(given: dict[str, Any]) -> None:
    """Run until the last record; prints what the other contenders print."""
    from quixstreams import Application, message_context  # noqa: PLC0415

    app = Application(
        broker_address=given["bootstrap"],
        consumer_group=given["observations"],
        auto_offset_reset="earliest",
        auto_create_topics=False,
        state_dir=given["folder"],
        loglevel="ERROR",
    )
    name = given["topic"]
    topic = app.topic(name, value_deserializer="bytes", key_deserializer="bytes")
    topics = Topics(shared={name: "cloudwatch"}, prefixes={})
    ingest = Ingest(plan(), topics, worker="0", partitions=1)
    seen, watch = 0, Stopwatch()

    def count(value: bytes, key: Any, timestamp: int, _headers: Any) -> None:
        nonlocal seen
        watch.start()
        at = message_context()
        one = (name, at.partition, [at.offset], [timestamp], [key], [value])
        ingest.add(Slab(*one), time.time_ns() // 1_000_000)
        seen += 1
        if seen == given["count"]:
            print(json.dumps(watch.read(seen)), flush=True)
            os._exit(0)

    app.dataframe(topic).update(count, metadata=True)
    app.run()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
