"""`python -m tests.shuffle`: the ledger, line by line, of every shuffle; see `--help`."""

import argparse
import sys

from tests.shuffle.mixture import mixture
from tests.shuffle.walk import Walked, walked


def differences(plain: Walked, other: Walked) -> list[str]:
    """Lines that only one of them has."""
    return sorted(set(plain.lines) ^ set(other.lines))


def main() -> int:
    """Shuffle so often, compare every line; 1 where any differs."""
    own = argparse.ArgumentParser(prog="python -m tests.shuffle", description=__doc__)
    own.add_argument("--shuffles", type=int, default=5)
    own.add_argument("--seed", type=int, default=1)
    given = own.parse_args()
    records = mixture(given.seed)
    plain = walked(records, 0)
    print(f"{len(records):,} records, {len(plain.lines):,} ledger lines by arrival")
    failed = 0
    for number in range(1, given.shuffles + 1):
        other = walked(records, given.seed * 1_000 + number)
        found = differences(plain, other)
        failed += bool(found)
        print(
            f"shuffle {number}: {len(other.lines):,} lines compared,"
            f" {len(found):,} differ; {other.flushes:,} flushes, {other.aborts}"
            f" aborted, {other.restarts} restarts"
        )
        print(*found[:10], sep="\n", end="\n" if found else "")
    print(f"{given.shuffles - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
