"""One stage as a process: python -m tests.real.worker STAGE SLOT GIVEN."""

import faulthandler
import json
import logging
import signal
import sys
import time
from importlib import import_module
from threading import Event
from typing import Any

from slo.plan import Plan
from streams.evaluate import Evaluator
from streams.ingest import Ingest
from streams.kafka import Connection
from streams.runtimes.ingest import IngestWorker
from streams.runtimes.native import EvaluateWorker
from streams.runtimes.settings import EvaluateSettings, IngestSettings
from streams.store import Store
from streams.topics import topics_of
from tests.real.walk import PARTITIONS, plan_of


def clock() -> int:
    return time.time_ns() // 1_000_000


def ingest(slot: str, given: dict[str, Any], plan: Plan) -> IngestWorker:
    settings = IngestSettings(
        Connection(given["bootstrap"]),
        slot,
        group=f"ingest-{given['observations']}",
        observations=given["observations"],
        dead_letters=given["dead_letters"],
    )
    topics = topics_of(plan.inventory, {})
    made = Ingest(plan, topics, worker=slot, partitions=PARTITIONS)
    return IngestWorker(made, topics, settings, clock, partitions=PARTITIONS)


def evaluate(stage: str, slot: str, given: dict[str, Any], plan: Plan) -> Any:
    store, topics = Store(given["url"], lazy=True), topics_of(plan.inventory, {})

    def evaluator(partition: int, partitions: int) -> Evaluator:
        return Evaluator(
            plan, store, topics, partition=partition, partitions=partitions
        )

    made: Any = EvaluateWorker
    if stage == "faust":  # imported here alone: the others start without it
        made = import_module("streams.runtimes.faust").FaustWorker
    settings = EvaluateSettings(
        Connection(given["bootstrap"]),
        slot,
        group=f"evaluate-{given['observations']}",
        observations=given["observations"],
    )
    return made(settings, evaluator, clock, lambda _: None)


def main(stage: str, slot: str, text: str) -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    for noisy in ("faust", "aiokafka", "mode"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    faulthandler.register(signal.SIGUSR1)  # kill -USR1 PID: where does it stand?
    given = json.loads(text)
    plan = plan_of(given["prefix"])
    stop = Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    if stage == "ingest":
        worker = ingest(slot, given, plan)
    else:
        worker = evaluate(stage, slot, given, plan)
    worker.run(stop)


if __name__ == "__main__":
    main(*sys.argv[1:])
