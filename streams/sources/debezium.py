"""Debezium change events of MySQL, MariaDB and PostgreSQL, JSON with schema or without.

Only the fields that an SLI needs are decoded: row images are skipped, but for the time
column of a table named `heartbeat`. Snapshot rows are old data: they show that the
connector lives, and nothing else.
"""

from typing import Final

from slo.model import (
    BUCKET_MS,
)
from slo.resources import (
    ResourceKind,
)
from streams.fold import Track
from streams.judgement import told_time
from streams.marks import MAX_SERVERS
from streams.outcomes import (
    DUPLICATE,
    IRRELEVANT,
    OK,
    SNAPSHOT,
    TOMBSTONE,
    UNKNOWN_RESOURCE,
    Outcomes,
)
from streams.slab import Slab
from streams.sources.changes import (
    OPERATIONS,
    Change,
    Kind,
    beat_ms,
    decode,
    kind_of,
    position_of,
    time_of,
)
from streams.sources.source import UNDECODABLE, Intake
from streams.table import Connector, Want

HEARTBEAT_TABLE: Final = "heartbeat"
NO_SOURCE_TIME: Final = "no_source_time"
NO_POSITION: Final = "no_position"
UNKNOWN_OP: Final = "unknown_op"
OPS: Final = f"Debezium's are {', '.join(sorted(OPERATIONS))}"
TOO_MANY_SERVERS: Final = "too_many_servers"
SERVERS: Final = (
    f"more than {MAX_SERVERS} servers write to one partition, and nobody can tell"
    " whether a row of a forgotten one was read before: give the connector's tables"
    " topics of their own"
)
NO_CHANGE_EVENT: Final = (
    "no change event: if the row is flattened (ExtractNewRecordState), remove the"
    " transform from this topic or set its add.fields=op,source.ts_ms"
)


class Debezium:
    """Decodes and folds change events."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake

    def fold(self, slab: Slab, outcomes: Outcomes) -> None:
        """Take a slab of single change events in; rows count once, so in their order."""
        intake = self._intake
        prefix = intake.topics.prefix_of(slab.topic)
        if prefix is not None and prefix not in intake.table.connectors:
            outcomes.counts[IRRELEVANT] += len(slab.values)
            return
        for index, value in enumerate(slab.values):
            try:
                change = None if value is None else decode(value)
            except UNDECODABLE as error:
                outcomes.open(index, str(error))
                continue
            _Record(intake, slab, index, outcomes).take(prefix, change)


class _Record:
    """One record of a CDC topic."""

    def __init__(
        self, intake: Intake, slab: Slab, index: int, outcomes: Outcomes
    ) -> None:
        self._intake = intake
        self._slab = slab
        self._index = index
        self._outcomes = outcomes
        self._arrival_ms = slab.arrivals[index]

    def take(self, prefix: str | None, change: Change | None) -> None:
        """Fold what the record says; None is a tombstone."""
        if prefix is None and change is not None and change.source is not None:
            prefix = change.source.name
        connector = self._intake.table.connectors.get(prefix or "")
        if connector is None:
            self._nobodys(prefix or "")
        elif change is None:
            self._say(connector.alive, self._arrival_ms)
            self._outcomes.counts[TOMBSTONE] += 1
        else:
            self._tell(connector, change, prefix or "")

    def _nobodys(self, prefix: str) -> None:
        known = prefix in self._intake.topics.prefixes
        if not known:
            self._intake.table.unknown_resource(ResourceKind.CDC, prefix)
        self._outcomes.counts[IRRELEVANT if known else UNKNOWN_RESOURCE] += 1

    def _tell(self, connector: Connector, change: Change, prefix: str) -> None:
        kind = kind_of(change, self._slab.topic, prefix)
        if kind is Kind.UNKNOWN_OP:
            op = (change.op or change.flat_op or "")[:8]
            self._outcomes.refuse(self._index, UNKNOWN_OP, f"op {op!r}; {OPS}")
            return
        if kind is Kind.NONE:
            self._outcomes.open(self._index, NO_CHANGE_EVENT)
            return
        self._say(connector.alive, self._arrival_ms)
        if kind is Kind.SNAPSHOT_ROW:
            self._outcomes.counts[SNAPSHOT] += 1
        elif kind in (Kind.ROW, Kind.FLAT_ROW):
            self._row(connector, change)
        else:
            self._outcomes.counts[OK] += 1

    def _row(self, connector: Connector, change: Change) -> None:
        at_ms = time_of(change)
        if at_ms is None:
            self._outcomes.refuse(
                self._index, NO_SOURCE_TIME, "source.ts_ms is missing or zero"
            )
            return
        late = self._intake.horizon.refuses(at_ms, self._arrival_ms)
        if late is not None:
            told = told_time(late, at_ms, self._arrival_ms)
            self._outcomes.refuse(self._index, late, f"source.ts_ms {told}")
            return
        value = self._slab.values[self._index] or b""
        position = position_of(change, self._slab.keys[self._index], value)
        marks = self._intake.positions.of(self._slab.topic, self._slab.partition)
        if position is not None and not marks.fresh(position):
            self._again(forgotten=marks.forgot(position))
            return
        self._say(connector.event, at_ms)
        if change.source is not None and change.source.table == HEARTBEAT_TABLE:
            self._beat(connector.heartbeat_row, value, at_ms)
        if connector.rows and position is None:
            self._outcomes.refuse(
                self._index, NO_POSITION, "a row without position cannot count once"
            )
            return
        for limit_ms, want in connector.rows:
            self._count(want, at_ms, limit_ms)
        self._outcomes.counts[OK] += 1

    def _again(self, *, forgotten: bool) -> None:
        """The row was read before, or nobody can tell any more whether it was."""
        if forgotten:
            self._outcomes.refuse(self._index, TOO_MANY_SERVERS, SERVERS)
        else:
            self._outcomes.counts[DUPLICATE] += 1

    def _beat(self, want: Want | None, value: bytes, at_ms: int) -> None:
        """A heartbeat table's row tells by its own clock, where that is believable."""
        if want is None:
            return
        own_ms = beat_ms(value)
        beat = at_ms if own_ms is None else own_ms
        late = self._intake.horizon.refuses(beat, self._arrival_ms)
        if late is None:
            self._say(want, beat)
        else:
            told = told_time(late, beat, self._arrival_ms)
            self._outcomes.refuse(self._index, late, f"heartbeat row at {told}")

    # -- folding -----------------------------------------------------------------------

    def _say(self, want: Want | None, time_ms: int) -> None:
        """The newest time seen among what arrived in this bucket."""
        track = self._track(want)
        if track is not None:
            start_ms = self._arrival_ms // BUCKET_MS * BUCKET_MS
            newest = float(time_ms)
            track.hold((start_ms, 0.0, newest, newest, newest), self._arrival_ms)

    def _count(self, want: Want, at_ms: int, limit_ms: int) -> None:
        track = self._track(want)
        if track is not None:
            good = self._arrival_ms - at_ms <= limit_ms
            bucket_ms = at_ms // BUCKET_MS * BUCKET_MS
            track.count(bucket_ms, int(good), 1)

    def _track(self, want: Want | None) -> Track | None:
        if want is None:
            return None
        track = self._intake.fold.track(want, "", want.period_ms)
        return track if isinstance(track, Track) else None
