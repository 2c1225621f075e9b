"""How far each CDC stream was read: rows that a connector sends again count once.

Kafka keeps order within a partition, and a restarted connector re-sends a run. So one
mark per connector and server tells re-sent rows from new ones. It travels as text in
the metadata of the committed offset.

A mark is a floor, the few positions above it that were read last, and the one that we
stand at. What proves a row new: its position is above the floor and none of those; or
it is where we stand, and the transaction's order (else the binlog's, else its key)
tells it apart; or its `source.ts_ms` exceeds that of every row seen, which no re-sent
row can do: then the database's positions have begun anew.

Of more servers than there is room for, those that wrote least are forgotten: from then
on a row of a server that we do not know is new where its `source.ts_ms` exceeds theirs.
"""

from bisect import insort
from collections.abc import Iterable
from hashlib import blake2b
from itertools import chain
from typing import Annotated, Final, NamedTuple

import msgspec

from slo.model import DAY

MAX_CHARACTERS: Final = 4_000
"""Kafka takes 4,095 characters of metadata and aborts the transaction at 4,096."""

RECENT: Final = 32
"""Positions above the floor: rows overtake each other where a replica is parallel."""

PRINT_BYTES: Final = 5
MAX_PRINTS: Final = 400
"""Rows told apart by key at one position; a page of PostgreSQL holds 291 rows."""

MAX_PRINTS_BESIDE_ORDER: Final = 32
"""The same where the binlog's order mostly does, but for a change of server."""

MAX_SERVERS: Final = 24
"""Servers of one source partition: each failover adds one, a multi-source replica many."""

FORGOTTEN: Final = ""
"""Stands for all servers that were forgotten."""

UNKNOWN: Final = -1
VERSION: Final = 1

ROOM: Final = (
    (MAX_SERVERS, RECENT),
    (MAX_SERVERS, 4),
    (MAX_SERVERS, 0),
    (MAX_SERVERS // 2, 0),
    (4, 0),
    (1, 0),
)
"""(servers, recent positions) that a text keeps: as much as there is room for."""

Major = Annotated[tuple[int, ...], msgspec.Meta(min_length=1)]


class MarksError(Exception):
    """The marks of a partition cannot be kept or read; says what to do."""


class Position(NamedTuple):
    """Where a row stands in its server's stream.

    `major` orders rows of one server; where its first number is UNKNOWN, PostgreSQL's
    last commit is not stated: so it is in the first transaction after a start. Within
    one major, `order` (the transaction's total_order, UNKNOWN without) tells rows
    apart, else `minor` where both lie in one `place` (a binlog file), else the row's
    `key_print`. `time_ms` is `source.ts_ms`.
    """

    connector: str
    server: str
    major: Major
    place: str
    minor: tuple[int, ...]
    order: int
    key_print: bytes
    time_ms: int


class _Mark(msgspec.Struct, array_like=True):
    """What was read of one server. `newest_ms` is the greatest `source.ts_ms` seen.

    `prints` are those of the rows where we stand; `full`: there were more than are
    kept, or there can be no more. `rows` is how many were new.
    """

    connector: str
    server: str
    newest_ms: int
    major: Major
    floor: Major
    recent: list[Major] = []
    place: str = ""
    minor: tuple[int, ...] = ()
    order: int = UNKNOWN
    prints: bytes = b""
    full: bool = False
    rows: int = 0

    def newer(self, at: Position) -> bool:
        """Whether a position is proved not to have been read."""
        if at.major == self.major:
            return self._told_apart(at)
        if at.major[0] == UNKNOWN:
            return self._newer_in_first(at)
        return at.major > self.floor and at.major not in self.recent

    def _newer_in_first(self, at: Position) -> bool:
        """A row of the first transaction after a start.

        Its place among the commits is not stated. What follows in the transaction that
        we stand in is new, and what lies behind everything that was read.
        """
        if self.major[0] == UNKNOWN and at.time_ms == self.newest_ms:
            return at.major > self.major
        return at.major[1] > max(chain(self.floor, self.major, *self.recent))

    def _told_apart(self, at: Position) -> bool:
        if UNKNOWN not in (at.order, self.order):
            return at.order > self.order
        if at.place == self.place and at.minor != self.minor:
            return at.minor > self.minor
        seen = range(0, len(self.prints), PRINT_BYTES)
        return not self.full and not any(
            self.prints[i : i + PRINT_BYTES] == at.key_print for i in seen
        )

    def move(self, at: Position) -> None:
        """A new row is counted: stand there."""
        if at.major != self.major:
            self._leave()
        self.major, self.place = at.major, at.place
        self.minor, self.order = at.minor, at.order
        self.newest_ms = max(self.newest_ms, at.time_ms)
        self.rows += 1
        if at.order == UNKNOWN and not self.full:
            most = MAX_PRINTS_BESIDE_ORDER if at.minor else MAX_PRINTS
            self.full = len(self.prints) >= most * PRINT_BYTES
            self.prints = b"" if self.full else self.prints + at.key_print

    def _leave(self) -> None:
        if self.major[0] != UNKNOWN:
            insort(self.recent, self.major)
        if len(self.recent) > RECENT:
            self.floor = self.recent.pop(0)
        self.prints, self.full = b"", False

    def begin_anew(self) -> None:
        """The database's positions have begun anew: none of the old ones holds."""
        self.floor = (UNKNOWN,) * len(self.major)
        self.recent = []
        self.major, self.prints = self.floor, b""

    def passed(self) -> None:
        """Another server's row came: what stands at this position was all of it."""
        self.prints, self.full = b"", True

    def brief(self, most: int) -> "_Mark":
        """The same with at most so many recent positions: the floor is higher."""
        lower = self.recent[: max(0, len(self.recent) - most)]
        return msgspec.structs.replace(
            self,
            floor=lower[-1] if lower else self.floor,
            recent=self.recent[len(lower) :],
        )


class Marks:
    """The marks of one source partition."""

    def __init__(self, marks: list[_Mark] | None = None) -> None:
        self._marks = {(mark.connector, mark.server): mark for mark in marks or []}
        self._last = {m.connector: m for m in self._marks.values() if not m.full}

    def fresh(self, at: Position) -> bool:
        """Whether a row was not counted before; if so, the mark moves to it."""
        key = (at.connector, at.server)
        mark = self._marks.get(key)
        if mark is None:
            forgotten = self._marks.get((at.connector, FORGOTTEN))
            if forgotten is not None and at.time_ms <= forgotten.newest_ms:
                return False
            nowhere = (UNKNOWN,) * len(at.major)
            mark = self._marks[key] = _Mark(*key, at.time_ms, nowhere, nowhere)
        elif not mark.newer(at):
            if at.time_ms <= mark.newest_ms:
                return False
            if at.major[0] != UNKNOWN:
                mark.begin_anew()
        last = self._last.get(at.connector)
        if last is not None and last is not mark:
            last.passed()
        self._last[at.connector] = mark
        mark.move(at)
        if len(self._marks) > MAX_SERVERS:
            self._marks = {(m.connector, m.server): m for m in self._fewer()}
        return True

    def forgot(self, at: Position) -> bool:
        """Whether a row that is not fresh may be new: its server was forgotten."""
        forgotten = self._marks.get((at.connector, FORGOTTEN))
        known = (at.connector, at.server) in self._marks
        return forgotten is not None and not known

    def _fewer(self, most: int = MAX_SERVERS) -> list[_Mark]:
        """So many marks, and those of the forgotten: who wrote least is forgotten.

        Whoever was read last is not.
        """
        last = list(self._last.values())
        marks = sorted(
            (m for m in self._marks.values() if m.server != FORGOTTEN),
            key=lambda m: (m in last, m.rows, m.newest_ms),
        )
        gone = marks[: max(0, len(marks) - most)]
        known = [m for m in self._marks.values() if m.server == FORGOTTEN]
        newest: dict[str, int] = {}
        for mark in (*known, *gone):
            newest[mark.connector] = max(
                mark.newest_ms, newest.get(mark.connector, UNKNOWN)
            )
        nowhere = (UNKNOWN,)
        return marks[len(gone) :] + [
            _Mark(connector, FORGOTTEN, at_ms, nowhere, nowhere, full=True)
            for connector, at_ms in newest.items()
        ]

    def copy(self) -> "Marks":
        """Marks of their own that stand where these do."""
        return Marks([mark.brief(RECENT) for mark in self._marks.values()])

    def text(self, past_ms: int) -> str:
        """The marks as text.

        Marks of servers that fell silent longer than `past_ms` before the newest row
        are left out: their rows are refused as too old. Servers that were not the last
        to be read keep no recent positions, and where there is no room nobody does;
        where there is still none, fewer servers are remembered.
        Raises MarksError above 4,000 characters.
        """
        if not self._marks:
            return ""
        oldest = max(m.newest_ms for m in self._marks.values()) - past_ms - DAY
        last = list(self._last.values())
        text = ""
        for servers, most in ROOM:
            text = _encoded(
                mark.brief(most if mark in last else 0)
                for mark in self._fewer(servers)
                if mark.newest_ms >= oldest
            )
            if len(text) <= MAX_CHARACTERS:
                return text
        raise MarksError(
            f"the CDC marks of one partition take {len(text)} characters, Kafka keeps"
            f" {MAX_CHARACTERS}: let the connector state the order of rows"
            " (provide.transaction.metadata=true), or give its tables topics of their"
            " own"
        )


def _encoded(marks: Iterable[_Mark]) -> str:
    return msgspec.json.encode((VERSION, list(marks))).decode()


def marks_of(text: str) -> Marks:
    """The marks of a text that `Marks.text` wrote; "" has none.

    Raises MarksError where the text is another's.
    """
    if not text:
        return Marks()
    try:
        version, marks = msgspec.json.decode(text, type=tuple[int, msgspec.Raw])
        if version == VERSION:
            return Marks(msgspec.json.decode(marks, type=list[_Mark]))
    except (ValueError, RecursionError) as error:
        raise MarksError(
            "the metadata of the committed offset is not ours: another consumer"
            " commits for this group. Give dbslo a group of its own"
        ) from error
    raise MarksError(
        f"the CDC marks have version {version}, this release knows {VERSION}:"
        " upgrade all ingest workers"
    )


def key_print(*parts: bytes) -> bytes:
    """A short hash that tells rows at one position apart."""
    return blake2b(b"\0".join(parts), digest_size=PRINT_BYTES).digest()
