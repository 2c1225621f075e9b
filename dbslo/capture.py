"""Captures: records as they were on Kafka, one JSON object a line."""

import base64
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from slo.faults import Fault, SpecificationError
from slo.model import Place


class Captured(NamedTuple):
    """One record; `timestamp_ms` is its arrival."""

    timestamp_ms: int
    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None


class _Line(msgspec.Struct):
    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    value_b64: str | None = None
    key: str | None = None


_decoder = msgspec.json.Decoder(_Line)

MOST_TOLD: Final = 50
"""Lines that are named before the rest is counted: a file may be no capture at all."""


class _Faults:
    """Every line that is none, of every file."""

    def __init__(self) -> None:
        self._told: list[Fault] = []
        self._more = 0
        self._last: Fault | None = None

    def add(self, place: Place, reason: str) -> None:
        """One more wrong line."""
        remedy = "A line is {topic, partition, offset, timestamp_ms, key, value_b64, headers}"
        if len(self._told) < MOST_TOLD:
            self._told.append(Fault(place, "capture", reason, remedy))
        else:
            self._more += 1
            reason = f"{self._more:,} more lines are wrong, the last of them here"
            self._last = Fault(place, "capture", reason, remedy)

    def refuse(self) -> None:
        """Raises SpecificationError where there is any."""
        if self._told:
            last = () if self._last is None else (self._last,)
            raise SpecificationError((*self._told, *last))


def merged(paths: Iterable[Path]) -> list[Captured]:
    """The records of several captures by timestamp; a file's own order breaks ties.

    Raises SpecificationError, naming file, line and remedy, for every line that is
    none; beyond MOST_TOLD they are counted.
    """
    faults = _Faults()
    records = [record for path in paths for record in _read(path, faults)]
    faults.refuse()
    return sorted(records, key=_time)


def _read(path: Path, faults: _Faults) -> Iterator[Captured]:
    """The records of a capture in the order of the file."""
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                try:
                    yield _captured(line)
                except (msgspec.MsgspecError, ValueError, RecursionError) as error:
                    faults.add(Place(str(path), number), str(error))


def _captured(line: bytes) -> Captured:
    """The record of a line. Raises ValueError or MsgspecError where it is none."""
    one = _decoder.decode(line)
    written = one.value_b64
    value = None if written is None else base64.b64decode(written, validate=True)
    key = None if one.key is None else one.key.encode()
    return Captured(one.timestamp_ms, one.topic, one.partition, one.offset, key, value)


def _time(record: Captured) -> int:
    return record.timestamp_ms
