"""Stage 1: records in; batches and dead letters out, at every flush.

Between flushes it keeps nothing but the CDC marks. It reads no clock and does no I/O:
embedded, native and replay runs differ only in who calls it.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final, NamedTuple, cast

from slo.plan import Plan
from streams.batch import Batch, Mark, decode
from streams.deadletter import DeadLetter, Fault, Faults, Letters
from streams.documents import Document, is_text
from streams.envelope import TooMuchError, Unwrapper
from streams.fold import Fold
from streams.judgement import (
    ABOUT_NOW_MS,
    ARRIVAL_IMPLAUSIBLE,
    ARRIVAL_IN_THE_FUTURE,
    TOO_OLD,
    Horizon,
    told_arrival,
)
from streams.outcomes import EMPTY, LATE, MALFORMED, REFUSED, TOMBSTONE, Outcomes
from streams.packing import Frame
from streams.positions import Positions
from streams.slab import Slab
from streams.sources import FAMILIES, FORMATS, Intake, sniff
from streams.table import Table
from streams.topics import Topics

MAX_FAULTS: Final = 10_000  # unreadable in one record: a bomb of them is cheap then
MAX_TOPICS: Final = 1_000
OTHER: Final = "other"  # what topics beyond those are counted as

SOURCES: Final = {"vector": "datadog", "debezium": "cdc"}
"""The source of a format, where it is not called the same."""

NOTHING: Final = {"cloudwatch": EMPTY, "datadog": EMPTY, "vector": EMPTY}
"""What a record without a value is: where rows are read, it says something."""

TOO_MUCH: Final = "too_much"
UNKNOWN_FORMAT: Final = "unknown_format"
HINT: Final = (
    "no format of ours: name the topic's format in the settings, or do not read it"
)
NO_DOCUMENT: Final = b"\xff"
UNREADABLE: Final = frozenset({MALFORMED, TOO_MUCH, UNKNOWN_FORMAT})
"""Reasons of parts that could not even be decoded."""


class Flush(NamedTuple):
    """What one flush hands over: encoded batches by output partition, dead letters."""

    payloads: list[tuple[int, bytes]]
    dead_letters: list[DeadLetter]

    @property
    def batches(self) -> list[tuple[int, Batch]]:
        """The batches, decoded, for who needs no wire between the stages."""
        return [(number, decode(payload)) for number, payload in self.payloads]


class Ingest:
    """Stage 1 of one worker.

    `records` counts statements by (topic, result), `refused` by (source, reason); both
    only grow. `partitions` is the number of partitions of the observations topic.
    Raises SpecificationError where the plan reads one metric in two units.
    """

    def __init__(
        self,
        plan: Plan,
        topics: Topics,
        *,
        worker: str,
        partitions: int,
        horizon: Horizon = Horizon(),  # noqa: B008  # immutable
    ) -> None:
        self.records: Counter[tuple[str, str]] = Counter()
        self.refused: Counter[tuple[str, str]] = Counter()
        self._counted: set[str] = set()
        self._topics = topics
        self._worker = worker
        self._horizon = horizon
        self._table = Table(plan, partitions)
        self._fold = Fold(partitions, self._table.wants)
        self._positions = Positions()
        intake = Intake(self._table, topics, self._fold, self._positions, horizon)
        self._sources = {name: make(intake) for name, make in FORMATS.items()}
        self._dead = Letters()

    @property
    def unknown_resources(self) -> frozenset[str]:
        """Names that the inventory does not know; the first 1,000 are remembered."""
        return frozenset(self._table.unknown)

    # -- in ------------------------------------------------------------------------------

    def add(self, slab: Slab, clock_ms: int) -> None:
        """Fold records of one partition, in offset order.

        Never raises for what they hold: what cannot be decoded or judged becomes a
        dead letter.
        """
        slab = self._believable(slab, clock_ms)
        name = self._topics.format_of(slab.topic)
        source = self._sources.get(name)
        faults: dict[int, Faults] = {}

        def unwrap(index: int) -> None:
            faults[index] = self._unwrapped(slab.only(index), name)

        outcomes = Outcomes(unwrap)
        if source is None:
            outcomes.undecoded = [(index, "") for index in range(len(slab.values))]
        else:
            source.fold(_readable(slab), outcomes)
        self._account(slab.topic, outcomes)
        for index, reason, detail in outcomes.refused:
            found = Fault(reason, detail, slab.values[index] or b"")
            faults.setdefault(index, Faults()).add(found)
        for index, _ in outcomes.undecoded:
            unwrap(index)
        for index, several in faults.items():
            self._bury(slab, index, name, several)

    def _believable(self, slab: Slab, clock_ms: int) -> Slab:
        """The slab without records that arrived in the future, or before any of ours.

        A record without a timestamp arrives now.
        """
        latest = clock_ms + self._horizon.future_ms
        earliest = max(clock_ms - ABOUT_NOW_MS, 1)
        if not slab.values or (earliest <= slab.span[0] and slab.span[1] <= latest):
            return slab
        stamps = [a if a > 0 else clock_ms for a in slab.arrivals]
        slab = slab._replace(arrivals=stamps, within=None)
        name = self._topics.format_of(slab.topic)
        kept = [earliest <= arrival_ms <= latest for arrival_ms in slab.arrivals]
        for index in (at for at, holds in enumerate(kept) if not holds):
            arrival_ms, faults = slab.arrivals[index], Faults()
            early = arrival_ms < earliest
            reason = ARRIVAL_IMPLAUSIBLE if early else ARRIVAL_IN_THE_FUTURE
            value = slab.values[index] or b""
            faults.add(Fault(reason, told_arrival(arrival_ms), value))
            self._bury(slab, index, name, faults)
        return slab.where(kept)

    def _account(self, topic: str, outcomes: Outcomes) -> None:
        for result, count in outcomes.counts.items():
            if count:
                self._count(topic, result, count)

    def _count(self, topic: str, result: str, count: int = 1) -> None:
        """Count by topic; of topics beyond the first 1,000 all together."""
        if topic not in self._counted:
            if len(self._counted) >= MAX_TOPICS:
                topic = OTHER
            self._counted.add(topic)
        self.records[topic, result] += count

    def _bury(self, slab: Slab, index: int, name: str, faults: Faults) -> None:
        """Count everything wrong in a record, and write its one dead letter."""
        if not faults.reasons:
            return
        source = SOURCES.get(name, name)
        for reason, count in faults.reasons.items():
            self.refused[source, reason] += count
            self._count(slab.topic, _result(reason), count)
        self._dead.write(slab, index, name, faults)

    # -- records that are not one plain document -----------------------------------------

    def _unwrapped(self, record: Slab, name: str) -> Faults:
        """Fold what is inside a record; what is wrong in it."""
        faults = Faults()
        value = record.values[0] or b""
        empty = True
        try:
            for several in Unwrapper().pieces(value):
                empty = False
                self._documents(record, several, name, faults)
                if sum(faults.reasons[one] for one in UNREADABLE) > MAX_FAULTS:
                    faults.add(Fault(TOO_MUCH, f"over {MAX_FAULTS:,} faults", value))
                    break
        except TooMuchError as error:
            empty = False
            faults.add(Fault(TOO_MUCH, f"the record {error}", value))
        if empty:
            self._count(record.topic, NOTHING.get(name, TOMBSTONE))
        return faults

    def _documents(
        self, record: Slab, several: list[Document], name: str, faults: Faults
    ) -> None:
        by_format: dict[str, list[bytes]] = {}
        for data, fault in several:
            if fault:
                faults.add(Fault(MALFORMED, fault, data))
            elif data in (b"", b"null"):
                self._count(record.topic, NOTHING.get(name, TOMBSTONE))
            else:
                found = name if name in self._sources else sniff(data)
                by_format.setdefault(found or "", []).append(data)
        for found, values in by_format.items():
            self._decoded(record, found, values, faults)

    def _decoded(
        self, record: Slab, name: str, values: list[bytes], faults: Faults
    ) -> None:
        """Fold documents of one format; one of its family is decoded as what it is."""
        source = self._sources.get(name)
        if source is None:
            for data in values:
                faults.add(Fault(UNKNOWN_FORMAT, HINT, data))
            return
        slab = record.copies(values)
        outcomes = Outcomes()
        source.fold(slab, outcomes)
        self._account(slab.topic, outcomes)
        for index, reason, detail in outcomes.refused:
            faults.add(Fault(reason, detail, values[index]))
        for index, error in outcomes.undecoded:
            other = sniff(values[index]) or name
            if FAMILIES.get(name) == other:
                self._decoded(record, other, [values[index]], faults)
            else:
                hint = f"; it looks like {other}" if other != name else ""
                faults.add(Fault(MALFORMED, error + hint, values[index]))

    # -- out -----------------------------------------------------------------------------

    def flush(
        self, marks: Sequence[Mark], inputs: Mapping[str, int], clock_ms: int
    ) -> Flush:
        """What was folded since the last flush; the fold is empty afterwards.

        At least one batch for every output partition, which carries the marks.
        """
        frame = Frame(self._worker, clock_ms, marks, inputs)
        flush = Flush(self._fold.flush(frame), self._dead)
        self._positions.flushed()
        self._dead = Letters()
        return flush

    def committed(self) -> None:
        """The flush was committed: its CDC marks become the ones to return to."""
        self._positions.committed()

    def discard(self) -> None:
        """Drop the fold and go back to the committed CDC marks: an abort, or a loss.

        The caller seeks every held partition back to its committed offset.
        """
        self._fold.clear()
        self._dead = Letters()
        self._positions.discard()

    # -- partitions ----------------------------------------------------------------------

    def assigned(self, topic: str, partition: int, metadata: str | None) -> None:
        """Take a source partition; `metadata` is its committed offset's.

        Raises MarksError where that is not ours.
        """
        self._positions.assigned(topic, partition, metadata or "")

    def revoked(self, topic: str, partition: int) -> None:
        """Give a source partition up; what was folded of it is committed by then."""
        self._positions.revoked(topic, partition)

    def metadata(self, topic: str, partition: int) -> str:
        """What every commit of this partition carries: its CDC marks.

        Raises MarksError above 4,000 characters, with the remedy.
        """
        return self._positions.text(topic, partition, self._horizon.past_ms)


def _result(reason: str) -> str:
    if reason in UNREADABLE:
        return MALFORMED
    return LATE if reason == TOO_OLD else REFUSED


def _readable(slab: Slab) -> Slab:
    """The slab without text in values that are none: no source can decode those.

    They are unwrapped like everything else that is not one plain document.
    """
    with suppress(TypeError):  # a tombstone is among them
        if all(map(bytes.isascii, cast("list[bytes]", slab.values))):
            return slab
    values = [v if v is None or is_text(v) else NO_DOCUMENT for v in slab.values]
    return slab._replace(values=values)
