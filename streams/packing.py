"""Batches in the making: what is stated is encoded at once, and never kept as objects.

Encoding a cell costs less than keeping it until the flush. So a batch grows as bytes;
it is sealed with its frame (worker, marks, inputs) when it is handed over.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from streams.batch import MAX_BATCH_BYTES, SCHEMA_VERSION, Cell, Delta, Mark

MARGIN_BYTES: Final = 96 * 1024
"""What may be added between two looks at a batch's size: a piece of a slab."""

DELTA_BYTES: Final = 34


class Frame(msgspec.Struct, frozen=True):
    """What every batch of a flush says beside its statements."""

    worker: str
    flushed_ms: int
    marks: Sequence[Mark]
    inputs: Mapping[str, int]

    @property
    def size(self) -> int:
        """The bytes that it takes at most."""
        names = [self.worker, *self.inputs, *(mark.topic for mark in self.marks)]
        return sum(len(name.encode()) + 32 for name in names)


class _Sealed(msgspec.Struct, array_like=True):
    """`streams.batch.Batch`, with the long columns already encoded."""

    version: int
    worker: str
    flushed_ms: int
    marks: Sequence[Mark]
    inputs: Mapping[str, int]
    routes: msgspec.Raw
    cells: msgspec.Raw
    deltas: list[Delta]


_encoder = msgspec.msgpack.Encoder()


class Packer:
    """The batches of one output partition since the last flush.

    `cells` and `cell_count` are open to the hot path of a source, which appends to
    them itself. Whoever is entered (it has `packed`, `number`, `last_ms`) is reset when
    the batch is finished.
    """

    __slots__ = (
        "_entered",
        "_finished",
        "_routes",
        "cell_count",
        "cells",
        "deltas",
        "room",
    )

    def __init__(self) -> None:
        self.cells = bytearray()
        self.cell_count = 0
        self.deltas: list[Delta] = []
        self.room = MAX_BATCH_BYTES - MARGIN_BYTES
        self._routes = bytearray()
        self._entered: list[Any] = []
        self._finished: list[_Sealed] = []

    def enter(self, track: Any) -> int:
        """Give a track its number in the present batch."""
        if len(self.cells) + len(self._routes) > self.room:
            self._turn()
        self._routes += track.packed
        track.number = number = len(self._entered)
        self._entered.append(track)
        return number

    def put(self, cell: Cell) -> None:
        """Append a cell, whose number the present batch gave."""
        _encoder.encode_into(cell, self.cells, -1)
        self.cell_count += 1

    def turn_if_full(self) -> None:
        """Begin a new batch where the present one is full."""
        if self._size() > self.room:
            self._turn()

    def _size(self) -> int:
        return len(self.cells) + len(self._routes) + DELTA_BYTES * len(self.deltas)

    def _turn(self) -> None:
        self._finished.append(
            _Sealed(
                version=SCHEMA_VERSION,
                worker="",
                flushed_ms=0,
                marks=(),
                inputs={},
                routes=_array(len(self._entered), self._routes),
                cells=_array(self.cell_count, self.cells),
                deltas=self.deltas,
            )
        )
        self._begin()

    def _begin(self) -> None:
        for track in self._entered:
            track.number = track.last_ms = -1
        self._entered.clear()
        self._routes.clear()
        self.cells.clear()
        self.cell_count = 0
        self.deltas = []

    def flush(self, frame: Frame) -> Iterator[bytes]:
        """At least one encoded batch.

        Where there are several, the last alone carries the marks: before it is read,
        not everything up to them is.
        """
        self.room = MAX_BATCH_BYTES - MARGIN_BYTES - frame.size
        self._turn()
        finished, self._finished = self._finished, []
        for batch in finished:
            batch.worker, batch.flushed_ms = frame.worker, frame.flushed_ms
            batch.inputs = frame.inputs
        finished[-1].marks = frame.marks
        for batch in finished:
            yield _encoder.encode(batch)

    def clear(self) -> None:
        """Drop everything."""
        self._finished = []
        self._begin()


def _array(length: int, items: bytearray) -> msgspec.Raw:
    """A MessagePack array of items that are encoded already."""
    return msgspec.Raw(b"\xdd" + length.to_bytes(4, "big") + items)
