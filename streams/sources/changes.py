"""What a Debezium document is, when it happened, and where it stands in its stream."""

import re
from datetime import datetime
from enum import Enum, auto
from hashlib import blake2b
from typing import Any, Final

import msgspec

from slo.model import SECOND
from slo.names import DEBEZIUM_HEARTBEAT_PREFIX
from streams.positions import UNKNOWN, Position, key_print

STREAMED: Final = frozenset("cud")
SNAPSHOT_READ: Final = "r"
OTHER_OPERATIONS: Final = frozenset("tm")
OPERATIONS: Final = STREAMED | OTHER_OPERATIONS | {SNAPSHOT_READ}
NOT_SNAPSHOT: Final = (None, False, "false", "")
MYSQL: Final = frozenset({"mysql", "mariadb"})
POSTGRESQL: Final = "postgresql"

MILLISECONDS: Final = range(10**12, 10**13)
MICROSECONDS: Final = range(10**15, 10**16)
"""Epoch times from 2001 to 2286: the two units cannot be taken for each other."""

MOST: Final = 2**64
"""No position of a log is greater: what claims to be has none."""

MAX_NAME: Final = 64
"""A longer name of a server or connector is kept as its hash: marks must stay short."""

BEAT_COLUMNS: Final = (
    "ts",
    "heartbeat",
    "value",
    "updated_at",
    "last_update",
    "last_heartbeat",
    "time",
)
"""Names of a heartbeat table's time column, the usual first."""

_mariadb_gtid = re.compile(r"(\d{1,20}-\d{1,20})-(\d{1,20})", re.ASCII)
_mysql_gtid = re.compile(r"(.+):(\d{1,20})", re.ASCII)
_binlog = re.compile(r"(.*?)(\d{1,20})", re.ASCII)


class Kind(Enum):
    """What a document of a connector is."""

    ROW = auto()
    SNAPSHOT_ROW = auto()
    HEARTBEAT = auto()
    TRANSACTION = auto()
    SCHEMA_CHANGE = auto()
    OTHER = auto()  # truncate, or a message of PostgreSQL
    FLAT_ROW = auto()
    UNKNOWN_OP = auto()
    NONE = auto()


class Origin(msgspec.Struct, gc=False):
    """The `source` block: where and when the database made the change."""

    connector: str = ""
    name: str = ""
    ts_ms: int | None = None
    ts_us: int | None = None
    snapshot: str | bool | None = None
    table: str | None = None
    sequence: str | None = None
    lsn: int | None = None
    gtid: str | None = None
    server_id: int | None = None
    file: str | None = None
    pos: int | None = None
    row: int | None = None


class _Block(msgspec.Struct, gc=False):
    total_order: int | None = None


class Change(msgspec.Struct):
    """A document, or what holds one: `payload` where schemas are enabled."""

    payload: "Change | None" = None
    op: str | None = None
    ts_ms: int | None = None
    source: Origin | None = None
    transaction: _Block | None = None
    status: Any = None
    ddl: Any = None
    table_changes: Any = msgspec.field(default=None, name="tableChanges")
    flat_op: str | None = msgspec.field(default=None, name="__op")
    flat_ts_ms: int | None = msgspec.field(default=None, name="__ts_ms")
    flat_source_ms: int | None = msgspec.field(default=None, name="__source_ts_ms")
    flat_snapshot: str | bool | None = msgspec.field(
        default=None, name="__source_snapshot"
    )


class _Images(msgspec.Struct):
    """The row images, raw: only to tell rows without a key apart."""

    payload: "_Images | None" = None
    before: msgspec.Raw = msgspec.Raw(b"null")
    after: msgspec.Raw = msgspec.Raw(b"null")


class _Beat(msgspec.Struct):
    payload: "_Beat | None" = None
    after: dict[str, Any] | None = None


_decoder = msgspec.json.Decoder(Change, strict=False)  # numbers may be quoted
_images = msgspec.json.Decoder(_Images)
_beat = msgspec.json.Decoder(_Beat)
_sequence = msgspec.json.Decoder(tuple[int | str | None, int | str | None])


def decode(value: bytes) -> Change:
    """The change of a document, out of its schema. Raises ValueError."""
    change = _decoder.decode(value)
    return change.payload or change


def kind_of(change: Change, topic: str, prefix: str) -> Kind:
    """What a document is: by its topic where that has but one kind, else by itself."""
    if change.source is not None and change.op is not None:
        return _row_kind(change.op, change.source.snapshot)
    if topic.startswith(DEBEZIUM_HEARTBEAT_PREFIX):
        return Kind.NONE if change.ts_ms is None else Kind.HEARTBEAT
    if topic == f"{prefix}.transaction" and change.status in ("BEGIN", "END"):
        return Kind.TRANSACTION
    if change.ddl is not None or change.table_changes is not None:
        return Kind.SCHEMA_CHANGE
    if change.flat_ts_ms is None and change.flat_source_ms is None:
        return Kind.NONE
    op = "c" if change.flat_op is None else change.flat_op
    kind = _row_kind(op, change.flat_snapshot)
    return Kind.FLAT_ROW if kind is Kind.ROW else kind


def _row_kind(op: str, snapshot: str | bool | None) -> Kind:
    if op not in OPERATIONS:
        return Kind.UNKNOWN_OP
    if op in OTHER_OPERATIONS:
        return Kind.OTHER
    if op == SNAPSHOT_READ or snapshot not in NOT_SNAPSHOT:
        return Kind.SNAPSHOT_ROW
    return Kind.ROW


def time_of(change: Change) -> int | None:
    """When the database made the change, in ms; None where it does not say."""
    if change.source is not None:
        stated = change.source.ts_ms
    else:
        stated = change.flat_source_ms or change.flat_ts_ms
    return stated if stated is not None and stated > 0 else None


def beat_ms(value: bytes) -> int | None:
    """The time that a heartbeat table's row holds, in ms.

    Epoch milliseconds or microseconds, or ISO text with a zone: text without one may
    be anybody's local time. None where there is no such column.
    """
    try:
        outer = _beat.decode(value)
    except ValueError:
        return None
    after = (outer.payload or outer).after or {}
    for column in BEAT_COLUMNS:
        found = _instant_ms(after.get(column))
        if found is not None:
            return found
    return None


def _instant_ms(stated: Any) -> int | None:
    if isinstance(stated, int):
        if stated in MICROSECONDS:
            return stated // 1000
        return stated if stated in MILLISECONDS else None
    if not isinstance(stated, str):
        return None
    try:
        instant = datetime.fromisoformat(stated)
    except ValueError:
        return None
    return None if instant.tzinfo is None else int(instant.timestamp() * SECOND)


# -- positions -----------------------------------------------------------------------


def position_of(change: Change, key: bytes | None, value: bytes) -> Position | None:
    """Where a row stands; None where its connector does not say."""
    origin = change.source
    time_ms = time_of(change)
    if origin is None or time_ms is None:
        return None
    place = _place(origin)
    if place is None:
        return None
    server, major, file, minor = place
    block = change.transaction
    order = UNKNOWN if block is None or block.total_order is None else block.total_order
    numbers = (*major, *minor, time_ms, order)
    if min(numbers) < UNKNOWN or max(numbers) >= MOST:
        return None
    identity = key if key is not None or minor else _image(value)
    table, op = (origin.table or "").encode(), (change.op or "").encode()
    print_ = key_print(table, op, identity or b"")
    names = (_short(origin.name), _short(server))
    return Position(*names, major, _short(file), minor, order, print_, time_ms)


def _short(name: str) -> str:
    if len(name) <= MAX_NAME:
        return name
    return blake2b(name.encode(), digest_size=16).hexdigest()


_Place = tuple[str, tuple[int, ...], str, tuple[int, ...]]


def _place(origin: Origin) -> _Place | None:
    """Server, major, binlog file, minor."""
    if origin.connector in MYSQL:
        return _in_binlog(origin)
    if origin.connector == POSTGRESQL and origin.lsn is not None:
        return _in_wal(origin, origin.lsn)
    return None


def _in_wal(origin: Origin, lsn: int) -> _Place:
    """PostgreSQL: the last commit before the row's transaction, then the row's LSN.

    The LSN alone does not grow: concurrent transactions are sent in the order of
    their commits. Connectors too old to state the sequence leave the commit's time.
    """
    if origin.sequence is None:
        micros = origin.ts_us or (origin.ts_ms or 0) * 1000
        return "wal by time", (micros, lsn), "", ()
    try:
        commit, own = _sequence.decode(origin.sequence)
        major = (UNKNOWN if commit is None else int(commit), int(own or lsn))
    except ValueError:
        major = (UNKNOWN, lsn)
    return "wal", major, "", ()


def _in_binlog(origin: Origin) -> _Place | None:
    """MySQL and MariaDB: by GTID, per server that wrote it; else file and position."""
    file = _binlog.fullmatch(origin.file or "")
    if file is None or origin.pos is None:
        return None
    at = (origin.pos, origin.row or 0)
    gtid = _mariadb_gtid.fullmatch(origin.gtid or "") or _mysql_gtid.fullmatch(
        origin.gtid or ""
    )
    if gtid is not None:
        return gtid[1], (int(gtid[2]),), file[0], at
    server = f"{origin.server_id} {file[1]}"
    return server, (int(file[2]), origin.pos), file[0], (origin.row or 0,)


def _image(value: bytes) -> bytes:
    """What tells a row without a key apart: its images, as they are on the wire."""
    outer = _images.decode(value)
    images = outer.payload or outer
    return bytes(images.before) + b"\0" + bytes(images.after)
