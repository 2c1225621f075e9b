"""`make bench`: how fast each stage is, as ratios, beside the limit and the peers."""

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cached_property
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks import figures as house
from benchmarks import latency, rates, scaling
from benchmarks.course import Course
from benchmarks.figures import FailedError, Figure, say
from benchmarks.records import PARTITIONS
from tests.ground.cache import Missing
from tests.real.servers.kafka import Kafka
from tests.real.servers.postgres import Postgres

RECORDS = 1_200_000
"""Two hours of the fleet, so that a run takes seconds: how long it takes to join a
group, to meet everybody and to commit the last transaction is no rate."""

RUNS = 5
CONTENDERS = ("stage1", "walk", "faust", "quix")
OWN = {
    "tick": "Evaluation tick",
    "scale": "Many series",
}
"""Sections that need no broker: `benchmarks/NAME.py`, its `figures()`."""

TITLES = {"latency": f"Event to page at {latency.RATE:,} events/s"}
SECTIONS = (*CONTENDERS, "scaling", "latency", *OWN)
Section = tuple[str, list[Figure]]


class Bench:
    """One run: a broker and its records, made when they are first needed."""

    def __init__(self, stack: ExitStack, records: int, runs: int) -> None:
        self._stack = stack
        self._records = records
        self._runs = runs

    @cached_property
    def folder(self) -> Path:
        """For everything that is not kept."""
        return Path(self._stack.enter_context(tempfile.TemporaryDirectory()))

    @cached_property
    def kafka(self) -> Kafka:
        """The broker."""
        return self._stack.enter_context(Kafka.running())

    @cached_property
    def course(self) -> Course:
        """The records."""
        say(f"{self._records:,} records into {PARTITIONS} partitions")
        return Course(self.kafka, self.folder, self._records)

    def rates(self, chosen: tuple[str, ...]) -> Section:
        """Rates beside the limit and the peers."""
        found = rates.figures(self.course, chosen, self._runs)
        size = f"{self._records:,} records of {self.course.bytes:.0f} bytes"
        return f"Rates: {size}, medians of {self._runs} runs", found

    def scaling(self) -> Section:
        """Several ingest processes."""
        say(f"{self._records:,} records, each instance's in one partition")
        course = Course(self.kafka, self.folder, self._records, keyed=True)
        found = scaling.figures(course, min(self._runs, 3))
        return "Scale-out of stage 1", found

    def latency(self) -> Section:
        """From an event to its page."""
        found = latency.figures(self.folder, self._stores())
        return TITLES["latency"], found

    def _stores(self) -> dict[str, str]:
        stores = {"SQLite": f"sqlite:///{self.folder}/latency.db"}
        try:
            server = self._stack.enter_context(Postgres.running())
            stores["PostgreSQL"] = server.url(server.database())
        except Missing as missing:
            say(f"PostgreSQL is skipped: {missing}")
        return stores


def own(name: str) -> Section | None:
    """A section that brings all it needs; None where it does not exist."""
    if find_spec(f"benchmarks.{name}") is None:
        say(f"{name} is skipped: there is no benchmarks/{name}.py")
        return None
    found: list[Mapping[str, Any]] = import_module(f"benchmarks.{name}").figures()
    return OWN[name], [Figure(**one) for one in found]


def sections(
    bench: Bench, only: tuple[str, ...]
) -> dict[str, Callable[[], Section | None]]:
    """How to measure each of the chosen sections, in order."""
    contenders = tuple(name for name in CONTENDERS if name in only)
    found: dict[str, Callable[[], Section | None]] = {
        "scaling": bench.scaling,
        "latency": bench.latency,
        **{name: (lambda n=name: own(n)) for name in OWN},
    }
    chosen = {name: measure for name, measure in found.items() if name in only}
    rated = {"rates": lambda: bench.rates(contenders)} if contenders else {}
    return {**rated, **chosen}


def tried(
    name: str, measure: Callable[[], Section | None], failed: list[str]
) -> Section | None:
    """A section; of one that fails what it has measured all the same, if anything."""
    try:
        return measure()
    except FailedError as error:
        failed.append(f"{name}: {error}")
        return (TITLES.get(name, name), [*error.found]) if error.found else None


@contextmanager
def _bench(chosen: argparse.Namespace) -> Iterator[Bench]:
    with ExitStack() as stack:
        yield Bench(stack, chosen.records, chosen.runs)


def _options() -> argparse.Namespace:
    options = argparse.ArgumentParser(prog="python -m benchmarks")
    options.add_argument("--out", type=Path, help="write the figures as JSON")
    options.add_argument("--only", default="", help=f"of {', '.join(SECTIONS)}")
    options.add_argument("--records", type=int, default=RECORDS)
    options.add_argument("--runs", type=int, default=RUNS)
    options.add_argument(
        "--record", action="store_true", help="keep them in benchmarks/RESULTS.md"
    )
    chosen = options.parse_args()
    named = tuple(name for name in chosen.only.replace(" ", "").split(",") if name)
    if wrong := set(named) - set(SECTIONS):
        options.error(f"no section {', '.join(sorted(wrong))}: {', '.join(SECTIONS)}")
    chosen.record = chosen.record or not named
    chosen.only = named or SECTIONS
    return chosen


def _print(section: Section) -> None:
    print(f"\n{section[0]}")
    for one in section[1]:
        ratio = f"{one.ratio:g} of {one.ratio_to}" if one.ratio else ""
        aim = f" (aim: {one.aim})" if one.aim else ""
        print(f"  {one.name:58} {one.value:>12,g} {one.unit}  {ratio}{aim}", flush=True)


def main() -> None:
    """Run, print, and write the figures where asked; 1 where a section failed."""
    chosen = _options()
    found: dict[str, Section] = {}
    failed: list[str] = []
    with _bench(chosen) as bench:
        for name, measure in sections(bench, chosen.only).items():
            say(f"section {name}")
            section = tried(name, measure, failed)
            if section is not None:
                found[name] = section
                _print(section)
    print(house.machine())
    if chosen.out:
        everything = [one.public() for _, some in found.values() for one in some]
        chosen.out.write_text(json.dumps(everything, indent=2) + "\n")
    if chosen.record:
        house.keep(found, house.moment())
    if failed:
        raise SystemExit("\n".join(failed))


if __name__ == "__main__":
    main()
