"""Replay: the walk of every event from files, with the capture's own clock.

The record timestamp is the arrival and drives *now*, so that replaying yesterday
gives yesterday's pages. Records are merged by timestamp, every input counts as read
up to the one at hand, and everything is evaluated at every point of the grid.

The end of a capture is ragged: its inputs end at different moments. An input that
ends shortly before the capture does was cut off, it did not fall silent. From there
on facts are still counted, but no verdict is given.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from dbslo.capture import Captured
from slo.model import BUCKET_MS, DAY, MINUTE
from slo.plan import Plan
from slo.verdict import VerdictChange
from streams.batch import Mark
from streams.deadletter import DeadLetter
from streams.evaluate import Evaluator
from streams.ingest import Ingest
from streams.slab import Slab
from streams.store import Extras, Store
from streams.topics import Topics

LONGEST_SILENCE_MS = 4 * DAY
"""Longer than every alert window: beyond it the grid is skipped, nothing can change."""


RAGGED_MS = 3 * MINUTE
"""How long before a capture's end an input may end and count as cut: the arrival lag
of the slowest source, which still arrives when the others have stopped."""


class Replayed(NamedTuple):
    """What a replay ends with: its last record's timestamp and what it counted.

    After `judged_ms` records were counted and no verdict was given.
    """

    last_ms: int
    judged_ms: int
    records: int
    dead_letters: list[DeadLetter]
    refused: dict[tuple[str, str], int]


def replay(
    plan: Plan,
    topics: Topics,
    records: Sequence[Captured],
    store: Store,
    on_change: Callable[[VerdictChange], None],
) -> Replayed:
    """Walk records, which come by timestamp; every change of verdict is told at once."""
    player = _Player(plan, topics, store, on_change, judged_until(records))
    for record in records:
        player.play(record)
    return player.end()


class _Player:
    def __init__(
        self,
        plan: Plan,
        topics: Topics,
        store: Store,
        on_change: Callable[[VerdictChange], None],
        judged_until_ms: int,
    ) -> None:
        self._judged_until_ms = judged_until_ms
        self._ingest = Ingest(plan, topics, worker="replay", partitions=1)
        self._evaluator = Evaluator(plan, store, topics)
        self._on_change = on_change
        self._after = self._evaluator.assigned()
        self._held: dict[tuple[str, int], list[Captured]] = {}
        self._inputs: dict[str, int] = {}
        self._dead: list[DeadLetter] = []
        self._at_ms = 0
        self._records = 0

    def play(self, record: Captured) -> None:
        """Take the next record; time goes on to it, one grid point after the other."""
        if not self._records:
            self._at_ms = record.timestamp_ms
        for point in grid(self._at_ms, record.timestamp_ms):
            self._flush(point)
        self._at_ms = max(self._at_ms, record.timestamp_ms)
        self._records += 1
        source = (record.topic, record.partition)
        self._held.setdefault(source, []).append(record)
        known = self._inputs.get(record.topic, 0)
        self._inputs[record.topic] = max(known, record.partition + 1)

    def end(self) -> Replayed:
        """Evaluate once more at the last record."""
        self._flush(self._at_ms)
        return Replayed(
            self._at_ms,
            min(self._judged_until_ms, self._at_ms),
            self._records,
            self._dead,
            dict(self._ingest.refused),
        )

    def _flush(self, now_ms: int) -> None:
        for (topic, partition), records in self._held.items():
            self._ingest.add(_slab(topic, partition, records), now_ms)
        self._held = {}
        marks = [
            Mark(topic, number, 0, now_ms)
            for topic, partitions in self._inputs.items()
            for number in range(partitions)
        ]
        flush = self._ingest.flush(marks, self._inputs, now_ms)
        self._dead.extend(flush.dead_letters)
        self._after += 1
        changes = self._evaluator.apply(
            [batch for _, batch in flush.batches],
            self._after,
            now_ms,
            extras=Extras("replay", dead_letters=flush.dead_letters),
            judge=now_ms <= self._judged_until_ms,
        )
        self._ingest.committed()
        for change in changes:
            self._on_change(change)


def judged_until(records: Sequence[Captured]) -> int:
    """Until when a capture holds all of its inputs, in epoch ms.

    The end of the first input to be cut off; the capture's end where none was.
    """
    ends = {(record.topic, record.partition): record.timestamp_ms for record in records}
    last = max(ends.values(), default=0)
    return min((end for end in ends.values() if last - end <= RAGGED_MS), default=0)


def grid(after_ms: int, until_ms: int) -> Iterator[int]:
    """The points of the 10 s grid from `after` on, before `until`, long silences cut.

    A point equal to `until` waits: records of that very moment belong before it. It
    is the next call's, whose `after` it is.
    """
    point = -(-after_ms // BUCKET_MS) * BUCKET_MS
    cut = after_ms + LONGEST_SILENCE_MS
    while point < until_ms:
        if point > cut and until_ms - point > BUCKET_MS:
            point = (until_ms - 1) // BUCKET_MS * BUCKET_MS
        yield point
        point += BUCKET_MS


def _slab(topic: str, partition: int, records: list[Captured]) -> Slab:
    return Slab(
        topic=topic,
        partition=partition,
        offsets=[record.offset for record in records],
        arrivals=[record.timestamp_ms for record in records],
        keys=[record.key for record in records],
        values=[record.value for record in records],
    )
