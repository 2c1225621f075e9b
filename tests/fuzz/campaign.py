"""One process's share of a fuzz run, and its failures made small."""

import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from streams.store import Store
from tests.fuzz.payload import Payload
from tests.fuzz.search import Failure, Report, Search, reduced
from tests.fuzz.seeds import plan_for, seeds_of
from tests.fuzz.walk import Walk
from tests.streams.stage import SHARED

REDUCED = 20
"""As many failures are made small."""


class Given(NamedTuple):
    """What all processes are given; `samples` is a folder of captures."""

    seed: int
    samples: Path | None
    seconds: float


def share(given: Given, number: int, payloads: int) -> Report:
    """One process's search, with its failures made small."""

    def told(line: str) -> None:
        print(f"[{number}] {line}", file=sys.stderr, flush=True)

    samples = given.samples
    plan = plan_for(samples)
    with tempfile.TemporaryDirectory() as folder:
        store = Store(f"sqlite:///{folder}/store.db")
        search = Search(
            Walk(plan, SHARED, store).take,
            seeds_of(samples),
            given.seed * 1_000 + number,
            told,
        )
        report = search.run(payloads, given.seconds)
        small = [_small(one, samples) for one in report.failures[:REDUCED]]
        store.close()
    return report._replace(failures=small + report.failures[REDUCED:])


def _small(failure: Failure, samples: Path | None) -> Failure:
    """The failure with as few bytes as show it, each try with no row seen before."""
    plan, kind = plan_for(samples), failure.what.partition(":")[0]
    with tempfile.TemporaryDirectory() as folder:
        store = Store(f"sqlite:///{folder}/store.db")
        walk = Walk(plan, SHARED, store, several=1)

        def fails(payload: Payload) -> bool:
            walk.forget(payload.topic)
            found = Search(walk.take, [payload], 1, lambda _: None).run(1).failures
            return bool(found) and found[0].what.startswith(kind)

        alone = fails(failure.payload)
        found = reduced(failure.payload, fails) if alone else failure.payload
        store.close()
    return failure._replace(payload=found)
