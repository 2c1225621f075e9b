"""`python -m tests.flood`: the same ledger with and without the flood; see `--help`."""

import argparse
import sys
from collections.abc import Iterator
from itertools import zip_longest

from tests.conformance.fleet_records import records
from tests.flood.walk import MAX_RECORD_BYTES, Walked, walked
from tests.streams.stage import NOW

BOUND_MB = 160.0
"""By so much may the flood make a worker of both stages larger, however long it is."""

REASONS = (
    ("cloudwatch", "too_many_tag_sets"),
    ("datadog", "too_many_tag_sets"),
    ("cloudwatch", "unknown_unit"),
    ("cloudwatch", "in_the_future"),
    ("cloudwatch", "too_old"),
    ("datadog", "in_the_future"),
    ("datadog", "too_old"),
    ("cdc", "in_the_future"),
    ("cdc", "too_old"),
    ("cdc", "too_many_servers"),
    ("auto", "unknown_format"),
    ("cloudwatch", "arrival_implausible"),
    ("cloudwatch", "arrival_in_the_future"),
)
"""What a flood is refused for: each must be seen in the counters."""


def checks(plain: Walked, under: Walked, values: int) -> Iterator[tuple[str, bool]]:
    """(what must hold, whether it does)."""
    grown = max(mb for _, mb in under.memory) - max(mb for _, mb in plain.memory)
    yield f"memory grew by {grown:.0f} MB, at most {BOUND_MB:.0f}", grown <= BOUND_MB
    for number, (one, other) in enumerate(zip_longest(plain.lines, under.lines)):
        if one != other:
            yield f"line {number + 1}: {one} became {other}", False
            break
    else:
        yield f"{len(plain.lines):,} lines of the real ledger are the same", True
    for source, reason in REASONS:
        found = under.refused.get((source, reason), 0)
        yield f"{found:,} refused: {source}, {reason}", found > 0
    more = under.records.total() - plain.records.total()
    yield f"{more:,} of {values:,} flood records are counted", more >= values
    largest = max(plain.largest, under.largest)
    yield f"the largest batch has {largest:,} bytes", largest < MAX_RECORD_BYTES


def main() -> int:
    """Walk without and with the flood, and compare; 1 where anything does not hold."""
    own = argparse.ArgumentParser(prog="python -m tests.flood", description=__doc__)
    own.add_argument("--values", type=int, default=1_000_000)
    given = own.parse_args()
    real = records(NOW)
    plain = walked(real, 0, _told)
    under = walked(real, given.values, _told)
    print(f"results under the flood: {dict(sorted(under.records.items()))}")
    print(
        f"{under.routes:,} routes in stage 2, {under.unknown:,} unknown names kept,"
        f" {under.letters:,} dead letters, {under.crowd:,} lines of the flood's own"
    )
    half = under.memory[len(under.memory) // 2 :]
    print(f"memory from {half[0][1]:.0f} to {half[-1][1]:.0f} MB in the second half")
    failed = passed = 0
    for said, holds in checks(plain, under, given.values):
        print(f"{'ok' if holds else 'FAILED'}: {said}")
        passed, failed = passed + holds, failed + (not holds)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


def _told(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
