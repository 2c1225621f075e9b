"""Many series: memory, restart, scrape at 1k, 10k, 100k series with a month behind them.

`python -m benchmarks.scale --series 1000,10000 [--store postgresql]`: on SQLite, on a
PostgreSQL of its own, or in a store whose URL is given. Each size has a process of its own, so that nothing of one is counted for another.
Memory is what the process grew by, from before the plan is made to after its partition
was loaded and five minutes of the whole fleet were taken in: plan, facts, ledgers,
judges and everything else. Times are CPU of one core, and wall beside them.
"""

import argparse
import gc
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks import month
from dbslo.memory import collect_seldom
from slo.model import MINUTE, SECOND
from streams.evaluate import Evaluator
from streams.exposition import metrics_app
from streams.metrics import EngineCollector, Figures
from streams.store import Store
from streams.timing import Timings
from tests.ground.cache import Missing
from tests.real.servers.postgres import Postgres

SERIES = (1_000, 10_000, 100_000)
MINUTES = 5
DAYS = 31
"""Days of pages beside the histories: all that a store keeps."""

WHOLE = 10_000
"""Of more series only the pages of the last day are written: 31 days of 100,000 take
40 GB. A restart reads the last hours' alone, and the month from the histories."""

SQLITE, POSTGRESQL = "sqlite", "postgresql"

PAGE = 4096
KB = 1024
Found = dict[str, float]


def measured(series: int, url: str) -> Found:
    """What one process finds with so many series on a store that holds their month."""
    store = Store(url)
    if store.progress(0) is None:
        raise SystemExit(f"{url} is empty: fill it first")
    collect_seldom()  # as every engine does
    month.of(1)  # what is read once is nobody's memory
    gc.collect()
    before = _resident()
    made = month.of(series)
    evaluator = Evaluator(made.plan, store, made.topics)
    found = _timed("restart", evaluator.assigned)
    progress = store.progress(0)
    after = progress.next if progress else 0
    gc.collect()
    found["restart_kb"] = (_resident() - before) / KB / made.series
    for number in range(MINUTES):
        start = month.NOW + (number - 2) * MINUTE
        after += 1
        clock_ms = number * (MINUTE + SECOND)  # a checkpoint each
        evaluator.apply([month.minute(made, start)], after, clock_ms)
    gc.collect()
    found["memory_kb"] = (_resident() - before) / KB / made.series
    return found | _scraped(made, evaluator)


def _scraped(made: month.Fleet, evaluator: Evaluator) -> Found:
    collector = EngineCollector(
        evaluator.look,
        Figures,
        Timings(),
        policy=made.plan.policy,
        clock=lambda: month.NOW,
        version="bench",
    )
    app = metrics_app(collector)
    asked: dict[str, Any] = {"REQUEST_METHOD": "GET", "HTTP_ACCEPT": ""}
    samples = 0

    def scrape() -> None:
        nonlocal samples
        chunks = app(asked, lambda *_: lambda _: None)
        samples = sum(chunk.count(b"\n") for chunk in chunks)

    scrape()  # statuses and code are warm from the second on, as they are in service
    return _timed("scrape", scrape) | {"samples": float(samples)}


def _timed(name: str, what: Callable[[], object]) -> Found:
    wall, cpu = time.perf_counter(), time.process_time()
    what()
    return {
        f"{name}_cpu_s": time.process_time() - cpu,
        f"{name}_wall_s": time.perf_counter() - wall,
    }


def _resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


# -- each size, and how they grow ------------------------------------------------


def figures(
    counts: Sequence[int] = SERIES, stores: Sequence[str] = (SQLITE, POSTGRESQL)
) -> list[dict[str, Any]]:
    """The figures of each size; ratios are to the size before, a series of each.

    Beside SQLite, another store is measured once, with the size of the aims, and what
    it has no part in is left out.
    """
    found: list[dict[str, Any]] = []
    first, *others = stores
    last: Found = {}
    for count in counts:
        one = _of(count, first)
        print(f"{count:,} series: {one}", file=sys.stderr, flush=True)
        found += _figures(count, first, one, last)
        last = {"count": count, **one}
    for store in others:
        count = min(max(counts), WHOLE)
        try:
            one = _of(count, store)
        except Missing as missing:
            print(f"{store} is skipped: {missing}", file=sys.stderr, flush=True)
            continue
        print(f"{count:,} series, {store}: {one}", file=sys.stderr, flush=True)
        restart = {key: one[key] for key in one if key in RESTART}
        found += _figures(count, store, restart, {})
    return found


@contextmanager
def _opened(store: str) -> Iterator[str]:
    """The URL of an empty store. Raises Missing where its server is not installed."""
    if store == POSTGRESQL:
        with Postgres.running() as server:
            yield server.url(server.database())
    elif store == SQLITE:
        with tempfile.TemporaryDirectory() as folder:
            yield f"sqlite:///{folder}/store.db"
    else:
        yield store


def _of(count: int, store: str) -> Found:
    """One size: a store is filled by one process, and measured by another."""
    with _opened(store) as url:
        _step("fill", count, url)
        result: Found = json.loads(_step("measure", count, url))
    return result


def _step(name: str, count: int, store: str) -> bytes:
    command = [sys.executable, "-m", "benchmarks.scale", "--step", name]
    command += ["--series", str(count), "--store", store]
    return subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout


RESTART = ("restart_cpu_s", "restart_wall_s")
NAMES = {SQLITE: "", POSTGRESQL: ", PostgreSQL"}
UNITS = {
    "memory_kb": ("memory a series", "KB"),
    "restart_cpu_s": ("restart, CPU", "s"),
    "restart_wall_s": ("restart, wall", "s"),
    "scrape_cpu_s": ("/metrics, CPU", "s"),
    "scrape_wall_s": ("/metrics, wall", "s"),
    "samples": ("samples of a scrape", "samples"),
}
AIMS = {
    ("memory_kb", 10_000): "at most 40 KB",
    ("memory_kb", 100_000): "at most 40 KB",
    ("restart_wall_s", 10_000): "at most 5 s",
    ("scrape_wall_s", 10_000): "at most 1 s",
}


def _figures(count: int, store: str, one: Found, last: Found) -> list[dict[str, Any]]:
    found = []
    for key, (title, unit) in UNITS.items():
        if key not in one:
            continue
        grown = None
        if last:
            grown = one[key] / last[key]
            grown *= 1 if key == "memory_kb" else last["count"] / count
        beside = f"a series at {last['count']:,.0f}" if last else None
        found.append(
            {
                "name": f"{title} at {count:,} series{NAMES.get(store, '')}",
                "value": round(one[key], 2),
                "unit": unit,
                "ratio": None if grown is None else round(grown, 2),
                "ratio_to": beside,
                "aim": AIMS.get((key, count), ""),
            }
        )
    return found


def main() -> None:
    """Measure and print; `--step` is for the processes that this one starts."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.scale")
    options.add_argument("--series", default=",".join(map(str, SERIES)))
    options.add_argument(
        "--store",
        default=SQLITE,
        help=f"{SQLITE}, {POSTGRESQL}, or the URL of an empty store, for one size",
    )
    options.add_argument("--step", choices=("fill", "measure"))
    chosen = options.parse_args()
    counts = [int(count) for count in chosen.series.split(",")]
    if chosen.step == "fill":
        days = DAYS if counts[0] <= WHOLE else 1
        month.fill(Store(chosen.store), month.of(counts[0]), days=days)
    elif chosen.step == "measure":
        print(json.dumps(measured(counts[0], chosen.store)))
    else:
        print(json.dumps(figures(counts, (chosen.store,)), indent=2))


if __name__ == "__main__":
    main()
