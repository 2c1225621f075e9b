"""What goes into the store in one commit, and what comes out to fill an image."""

from collections.abc import Sequence

import msgspec

from slo.notice import Notice
from slo.verdict import Alert, Incident, Verdict, VerdictChange
from streams.batch import Route
from streams.deadletter import DeadLetter


class Progress(msgspec.Struct, frozen=True):
    """What this worker last read or wrote of a partition's progress."""

    partition: int
    next: int
    epoch: int
    frontier: bytes = b""
    saved_ms: int = 0  # when it was last written, by the writer's clock; 0 for never


class Claimed(msgspec.Struct, frozen=True):
    """A series' alert with its last verdict, as stored."""

    alert: Alert
    verdict: Verdict


class SeriesRow(msgspec.Struct, frozen=True):
    """The counters of a series that its pages do not tell."""

    id: int
    key: str
    known_good: int
    known_bad: int
    revisions: int
    first_ms: int | None


class Residue(msgspec.Struct, frozen=True):
    """What a store keeps and its plan does not have: series, alerts, dead routes."""

    series: list[int]
    alerts: list[str]
    routes: list[int]


class Checkpoint(msgspec.Struct, frozen=True):
    """The pages that changed since the last one; they replace the journal.

    `facts` and `ledgers` are (owner id, page number, data); pages of facts before
    `facts_from` (hours) and of ledgers before `ledgers_from` are dropped. `histories`
    sum up the ledger pages before a page: (series id, page, data). Of the `residue` goes
    what nobody needs any more.
    """

    routes: list[tuple[int, bytes]]
    facts: list[tuple[int, int, bytes]]
    ledgers: list[tuple[int, int, bytes]]
    histories: list[tuple[int, int, bytes]]
    series: list[SeriesRow]
    facts_from: int
    ledgers_from: int
    residue: Residue | None = None


class SourceOffset(msgspec.Struct, frozen=True):
    """How far a source partition was read in an embedded run, with its CDC marks."""

    topic: str
    partition: int
    next: int
    metadata: str


class Extras(msgspec.Struct, frozen=True):
    """What an embedded run saves along: its source offsets and dead letters."""

    run: str
    sources: Sequence[SourceOffset] = ()
    dead_letters: Sequence[DeadLetter] = ()


class Change(msgspec.Struct, frozen=True):
    """All that one commit writes. `after` is the next offset to read.

    A `rehearsal` is written and rolled back.
    """

    after: int
    clock_ms: int
    facts: bytes = b""
    counts: bytes = b""
    frontier: bytes | None = None
    alerts: Sequence[Claimed] = ()
    changes: Sequence[tuple[int, VerdictChange]] = ()
    incidents: Sequence[Incident] = ()
    notices: Sequence[Notice] = ()
    checkpoint: Checkpoint | None = None
    extras: Extras | None = None
    rehearsal: bool = False


class History(msgspec.Struct, frozen=True):
    """What an image is loaded from: pages first, then the journal in order."""

    resident_hour: int  # older pages of facts were left in the store
    routes: list[tuple[int, Route]]
    facts: Sequence[tuple[int, int, bytes]]
    histories: list[tuple[int, bytes]]
    ledgers: list[tuple[int, int, bytes]]
    series: list[SeriesRow]
    journal: list[tuple[bytes, bytes]]
    alerts: list[Claimed]
    incidents: list[Incident]
