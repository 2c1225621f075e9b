"""Captures: records as they were on Kafka, one JSON object a line."""

import base64
import binascii
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

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


def read(path: Path) -> Iterator[Captured]:
    """The records of a capture in the order of the file.

    Raises SpecificationError, naming file, line and remedy, for a line that is none.
    """
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield _captured(line, Place(str(path), number))


def _captured(line: bytes, place: Place) -> Captured:
    try:
        one = _decoder.decode(line)
        value = (
            None
            if one.value_b64 is None
            else base64.b64decode(one.value_b64, validate=True)
        )
    except (msgspec.MsgspecError, binascii.Error) as error:
        remedy = "A line is {topic, partition, offset, timestamp_ms, key, value_b64, headers}"
        raise SpecificationError(
            (Fault(place, "capture", str(error), remedy),)
        ) from error
    key = None if one.key is None else one.key.encode()
    return Captured(one.timestamp_ms, one.topic, one.partition, one.offset, key, value)


def merged(paths: Iterable[Path]) -> list[Captured]:
    """The records of several captures by timestamp; a file's own order breaks ties."""
    records = [record for path in paths for record in read(path)]
    return sorted(records, key=_time)


def _time(record: Captured) -> int:
    return record.timestamp_ms
