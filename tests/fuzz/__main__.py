"""`python -m tests.fuzz`: mutated payloads through both stages; see `--help`."""

import argparse
import os
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from math import inf
from multiprocessing import get_context
from pathlib import Path

from tests.fuzz.campaign import Given, share
from tests.fuzz.search import Report, kept

MAX_GROWTH_MB = 24.0
"""Resident memory may grow by this much between the first fifth and the end."""


def growth(memory: list[tuple[int, float]]) -> tuple[float, float]:
    """(MB between the first fifth and the end, MB per 100,000 payloads)."""
    late = memory[len(memory) // 5 :]
    if len(late) < 2:
        return 0.0, 0.0
    third = max(len(late) // 3, 1)
    grown = _mean(late[-third:]) - _mean(late[:third])
    span = (late[-1][0] - late[0][0]) * (1 - third / len(late)) or 1
    return grown, grown / span * 100_000


def _mean(some: list[tuple[int, float]]) -> float:
    return sum(mb for _, mb in some) / len(some)


def main() -> int:
    """Search with all processes, say what was found; 1 where anything failed."""
    own = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    own.add_argument("--payloads", type=int, default=1_000_000)
    own.add_argument("--seed", type=int, default=1)
    own.add_argument("--seconds", type=float, default=inf, help="stop after so long")
    own.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    own.add_argument("--out", type=Path, default=Path("fuzz-failures"))
    given = own.parse_args()
    folder = os.environ.get("DBSLO_SAMPLES")
    samples = Path(folder) if folder else None
    shared = Given(given.seed, samples, given.seconds)
    begun, each = time.monotonic(), given.payloads // given.processes
    counts = [each] * given.processes
    counts[0] += given.payloads - sum(counts)
    with ProcessPoolExecutor(given.processes, get_context("spawn")) as pool:
        shares = [
            pool.submit(share, shared, number, count)
            for number, count in enumerate(counts)
        ]
        reports = [one.result() for one in shares]
    return _told(reports, given.out, time.monotonic() - begun)


def _told(reports: list[Report], out: Path, seconds: float) -> int:
    payloads = sum(one.payloads for one in reports)
    results = sum((one.results for one in reports), Counter[str]())
    failures = [failure for one in reports for failure in one.failures]
    flat = True
    print(
        f"{payloads:,} payloads in {seconds:.0f} s by {len(reports)} processes:"
        f" {results['counted']:,} counted something, {results['not counted']:,} nothing,"
        f" {sum(r.unchecked for r in reports):,} too damaged for the check"
    )
    for number, one in enumerate(reports):
        grown, slope = growth(one.memory)
        flat = flat and grown <= MAX_GROWTH_MB
        print(
            f"process {number}: {one.signatures:,} kinds of outcome, {one.lines:,} lines"
            f" of streams and slo, slowest payload {one.slowest_s:.2f} s, memory"
            f" {one.memory[0][1]:.0f} to {one.memory[-1][1]:.0f} MB,"
            f" {slope:+.2f} MB per 100,000 payloads after the first fifth"
        )
    for failure in failures:
        print(f"FAILED {kept(failure, out)}: {failure.what}")
    if not flat:
        print(f"FAILED memory grew by more than {MAX_GROWTH_MB:.0f} MB")
    failed = results["failed"] + (not flat)
    print(f"{payloads - results['failed']:,} passed, {failed:,} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
