"""What a benchmark says: figures with the aims beside them, on the machine that it was.

`RESULTS.md` keeps them by section, each with its date; a run replaces what it measured.
"""

import os
import platform
import sys
import time
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec

from tests.ground.jars import jars

RESULTS = Path(__file__).with_name("RESULTS.md")
HEAD = """# Results

<!-- Written by `make bench`; edits here are lost. -->

Ratios are of one run on one machine and hold elsewhere; rates do not.
"""


class FailedError(Exception):
    """What a section measures did not work, or not in time.

    `found` are the figures that it has all the same.
    """

    def __init__(self, text: str, found: "Iterable[Figure]" = ()) -> None:
        super().__init__(text)
        self.found = tuple(found)


class Figure(msgspec.Struct, frozen=True):
    """One figure; `ratio` is to what `ratio_to` names, `aim` is what it should be."""

    name: str
    value: float
    unit: str
    ratio: float | None = None
    ratio_to: str | None = None
    aim: str = ""

    def public(self) -> dict[str, Any]:
        """What other programs read."""
        found = msgspec.structs.asdict(self)
        del found["aim"]
        return found


def say(text: str) -> None:
    """Progress, on stderr."""
    print(text, file=sys.stderr, flush=True)


def machine() -> str:
    """CPU model, cores, memory, and what ran on them."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    core = next((p.stem for p in jars("kafka").glob("kafka_2.13-*.jar")), "Kafka")
    client = f"confluent-kafka {version('confluent-kafka')}"
    return (
        f"{_cpu()}, {os.cpu_count()} cores, {memory:.0f} GiB; Linux"
        f" {platform.release()}, Python {platform.python_version()}, {client},"
        f" {core.replace('_2.13-', ' ').capitalize()}, one broker on the same machine"
    )


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def table(figures: Iterable[Figure]) -> list[str]:
    """The lines of a table."""
    lines = ["| figure | value | ratio | aim |", "|---|---|---|---|"]
    for one in figures:
        ratio = "" if one.ratio is None else f"{one.ratio:g} of {one.ratio_to}"
        value = f"{one.value:,.10g} {one.unit}"
        lines.append(f"| {one.name} | {value} | {ratio} | {one.aim} |")
    return lines


def keep(
    measured: Mapping[str, tuple[str, list[Figure]]], about: str, where: Path = RESULTS
) -> None:
    """Write sections (title, figures by name) into a file, beside those it has.

    What a title says before its colon names the section, and the rest how it was
    measured. `about` says when and on what.
    """
    kept = _sections(where.read_text() if where.is_file() else "")
    for title, figures in measured.values():
        made = [f"\n## {title}", "", f"{about}.", "", *table(figures), ""]
        kept[_name(title)] = "\n".join(made)
    where.write_text(HEAD + "".join(kept.values()))


def moment() -> str:
    """Now, the machine, and how busy it is with all that runs on it."""
    day = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    return f"{day}; {machine()}; load average at the end {os.getloadavg()[1]:.1f}"


def _sections(text: str) -> dict[str, str]:
    parts = [part.rstrip() for part in text.split("\n## ")[1:]]
    return {_name(part.partition("\n")[0]): f"\n## {part}\n" for part in parts}


def _name(title: str) -> str:
    return title.partition(":")[0]
