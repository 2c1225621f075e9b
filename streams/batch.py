"""What stage 1 hands to stage 2: one batch of statements, with the frontier.

A batch is MessagePack, columns first, with its own tables of routes, so that it
explains itself. A reader that does not know the schema version stops.
"""

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec.structs import asdict

from streams.packed import Cell, PackedCells, encoded

SCHEMA_VERSION: Final = 1
MAX_BATCH_BYTES: Final = 512 * 1024


WHOLE: Final = ""
"""Where a flush names its inputs in several batches: how many there are in all."""


class Route(msgspec.Struct, frozen=True, array_like=True):
    """Whose statements these are: the identity of a cell without its time.

    `signal` is `<source>:<metric>` (see `streams.routes.signal`), `tags` the whole
    tag set as canonical text, `period_ms` the length of a cell (0 for deltas).
    """

    resource: str
    signal: str
    tags: str
    period_ms: int


Delta = tuple[int, int, int, int]
"""(route, bucket_ms, good, total): things that happened; these add up."""


class Mark(msgspec.Struct, frozen=True, array_like=True):
    """How far one source partition was read.

    `time_ms`: the worker's clock where its position is the high watermark, else
    the greatest record timestamp read, capped by that clock.
    """

    topic: str
    partition: int
    position: int
    time_ms: int


class Batch(msgspec.Struct, frozen=True, array_like=True):
    """One flush of one ingest worker for one observations partition, or a part of it.

    `inputs` is empty where another batch of the flush names them; where several do,
    each says under WHOLE how many there are.
    """

    version: int
    worker: str
    flushed_ms: int
    marks: list[Mark]
    inputs: dict[str, int]  # every source topic: its number of partitions
    routes: list[Route]
    cells: Sequence[Cell]  # count 0 where the wire has none
    deltas: list[Delta]


class UnknownSchemaError(Exception):
    """A batch of a schema version that this reader does not know: stop, never skip."""


class _Wire(msgspec.Struct, frozen=True, array_like=True):
    """A batch whose cells stay packed."""

    version: int
    worker: str
    flushed_ms: int
    marks: list[Mark]
    inputs: dict[str, int]
    routes: list[Route]
    cells: msgspec.Raw
    deltas: list[Delta]


_encoder = msgspec.msgpack.Encoder(enc_hook=encoded)
_decoder = msgspec.msgpack.Decoder(_Wire)


def encode(batch: Batch) -> bytes:
    """The batch as the value of a record."""
    return _encoder.encode(batch)


def decode(payload: bytes) -> Batch:
    """The batch of a record's value.

    Raises UnknownSchemaError where the version is not ours, and
    msgspec.DecodeError where the bytes are no batch at all.
    """
    try:
        return _decoded(payload)
    except RecursionError as error:
        raise msgspec.DecodeError("it is nested too deeply") from error


def _decoded(payload: bytes) -> Batch:
    raw = msgspec.msgpack.decode(payload, type=list[msgspec.Raw])
    version = msgspec.msgpack.decode(raw[0], type=int) if raw else None
    if version != SCHEMA_VERSION:
        raise UnknownSchemaError(
            f"batch has schema version {version}, this reader knows {SCHEMA_VERSION}:"
            " upgrade evaluate before ingest"
        )
    wire = _decoder.decode(payload)
    cells, known = PackedCells(wire.cells), len(wire.routes)
    numbers = cells.routes() | {delta[0] for delta in wire.deltas}
    if numbers and not 0 <= min(numbers) <= max(numbers) < known:
        raise msgspec.DecodeError(f"it names another route than its {known:,}")
    return Batch(**{**asdict(wire), "cells": cells})
