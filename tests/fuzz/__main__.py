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
from tests.fuzz.memory import MAX_GROWTH_MB, growth
from tests.fuzz.search import Report, kept


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
    return told(reports, given.out, time.monotonic() - begun)


def told(reports: list[Report], out: Path, seconds: float) -> int:
    """Say what was found, and keep what failed; 1 where anything did."""
    payloads = sum(one.payloads for one in reports)
    results = sum((one.results for one in reports), Counter[str]())
    print(
        f"{payloads:,} payloads in {seconds:.0f} s by {len(reports)} processes:"
        f" {results['counted']:,} counted something, {results['not counted']:,} nothing,"
        f" {sum(r.unchecked for r in reports):,} too damaged for the check"
    )
    for number, one in enumerate(reports):
        print(
            f"process {number}: {one.signatures:,} kinds of outcome, {one.lines:,} lines"
            f" of streams and slo, slowest payload {one.slowest_s:.2f} s,"
            f" {one.payloads / max(one.cpu_s, 1e-9):,.0f} payloads per CPU second"
        )
    for failure in (failure for one in reports for failure in one.failures):
        print(f"FAILED {kept(failure, out)}: {failure.what}")
    grown = sum(not flat(number, one) for number, one in enumerate(reports))
    failed = results["failed"] + grown
    print(f"{payloads - results['failed']:,} passed, {failed:,} failed")
    return 1 if failed else 0


def flat(number: int, report: Report) -> bool:
    """Say how a process's memory grew; whether within the bound."""
    grown = growth(report.memory)
    if grown is None:
        print(f"process {number}: too short to say anything of memory")
        return True
    print(
        f"{'ok' if grown.flat else 'FAILED'}: process {number}: memory"
        f" {grown.early:.1f} MB after the first fifth, {grown.late:.1f} MB at the end,"
        f" {grown.slope:+.2f} MB per 100,000 payloads; at most +{MAX_GROWTH_MB:.0f} MB"
    )
    return grown.flat


if __name__ == "__main__":
    sys.exit(main())
