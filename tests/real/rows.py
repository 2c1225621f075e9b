"""A change stream of rows that can be counted by hand, and the hand that counts them.

The counting imports nothing of the product: a row is good where it arrived within 30 s
of its commit, and belongs to the 10 s of its commit.
"""

import itertools
import json
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

LIMIT_MS = 30_000
BUCKET_MS = 10_000


class Row(NamedTuple):
    """One change event of MySQL, as Debezium writes it without schemas."""

    partition: int
    position: int
    commit_ms: int
    arrival_ms: int

    @property
    def key(self) -> bytes:
        return json.dumps({"id": self.position}).encode()

    def value(self, prefix: str) -> bytes:
        source = {
            "version": "3.4.0.Final",
            "connector": "mysql",
            "name": prefix,
            "ts_ms": self.commit_ms,
            "snapshot": "false",
            "db": "shop",
            "sequence": None,
            "table": "t",
            "server_id": 7,
            "gtid": None,
            "file": "binlog.000003",
            "pos": self.position,
            "row": 0,
            "thread": 11,
            "query": None,
        }
        after = {"id": self.position, "state": "paid"}
        return json.dumps(
            {
                "before": None,
                "after": after,
                "source": source,
                "transaction": None,
                "op": "c",
                "ts_ms": self.arrival_ms - 1,
            }
        ).encode()


def rows(start_ms: int, partitions: int = 4) -> Iterator[Row]:
    """Rows for ever, a millisecond apart; every seventh arrives 40 s late.

    A row's partition is that of its table's key, so positions rise in each.
    """
    for number in itertools.count():
        commit_ms = start_ms + number
        late_ms = 40_000 if number % 7 == 0 else 12
        yield Row(number % partitions, 4 + number * 100, commit_ms, commit_ms + late_ms)


def counted(made: list[Row]) -> dict[int, tuple[int, int]]:
    """Bucket to (good, total), each row once however often it was sent."""
    good: Counter[int] = Counter()
    total: Counter[int] = Counter()
    for row in set(made):
        bucket = row.commit_ms // BUCKET_MS * BUCKET_MS
        good[bucket] += row.arrival_ms - row.commit_ms <= LIMIT_MS
        total[bucket] += 1
    return {bucket: (good[bucket], total[bucket]) for bucket in total}
