"""The pages in which a series' ledger is kept: columns with delta-encoded starts.

A page holds the buckets of an hour, or the sums of many hours. Most of its numbers
fit in one byte: an hour of minute slices takes about 200 bytes.
"""

from collections.abc import Iterable, Sequence
from itertools import accumulate, pairwise
from math import gcd

import msgspec


class LedgerPage(msgspec.Struct, frozen=True, array_like=True):
    """Buckets, oldest first. `gone` are starts of buckets that were taken out again.

    `gaps` are the distances of each bucket from the one before, in units of
    `unit_ms`. `events_bad` and `events_total` are empty where the events are the
    counts, `buckets` is empty where every row is one bucket.
    """

    first_ms: int = 0
    unit_ms: int = 1
    gaps: list[int] = []
    bad: list[int] = []
    total: list[int] = []
    events_bad: list[int] = []
    events_total: list[int] = []
    buckets: list[int] = []
    gone: list[int] = []

    @property
    def starts(self) -> list[int]:
        """The start of each bucket, in epoch ms."""
        if not self.total:
            return []
        steps = (gap * self.unit_ms for gap in self.gaps)
        return list(accumulate(steps, initial=self.first_ms))

    @property
    def columns(self) -> tuple[list[int], ...]:
        """Bad, total, buckets, and the events' bad and total where they differ."""
        buckets = self.buckets or [1] * len(self.total)
        if not self.events_total:
            return (self.bad, self.total, buckets)
        return (self.bad, self.total, buckets, self.events_bad, self.events_total)


_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(LedgerPage)


def packed(
    starts: Sequence[int], columns: Sequence[list[int]], gone: Iterable[int]
) -> bytes:
    """A page as bytes. `starts` in epoch ms, `columns` as in `LedgerPage.columns`."""
    bad, total, buckets, *events = columns
    steps = [after - before for before, after in pairwise(starts)]
    unit_ms = gcd(*steps) or 1
    differ = bool(events) and events != [bad, total]
    return _encode(
        LedgerPage(
            first_ms=starts[0] if starts else 0,
            unit_ms=unit_ms,
            gaps=[step // unit_ms for step in steps],
            bad=bad,
            total=total,
            events_bad=events[0] if differ else [],
            events_total=events[1] if differ else [],
            buckets=buckets if buckets.count(1) != len(buckets) else [],
            gone=sorted(gone),
        )
    )


def unpacked(data: bytes) -> LedgerPage:
    """The page of some bytes. Raises msgspec.DecodeError where they are none."""
    return _decoder.decode(data)
