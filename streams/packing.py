"""Batches in the making: what is stated is encoded at once, and never kept as objects.

Encoding a cell costs less than keeping it until the flush. So a batch grows as bytes;
it is sealed with its frame (worker, marks, inputs) when it is handed over.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, Protocol, TypeVar

import msgspec

from streams.batch import MAX_BATCH_BYTES, SCHEMA_VERSION, WHOLE, Delta, Mark

MARGIN_BYTES: Final = 96 * 1024
"""What may be added between two looks at a page's size: PIECE statements, each with a
short route of its own, or one long route."""

MAX_FRAME_BYTES: Final = MAX_BATCH_BYTES // 2
"""A larger frame gets batches of its own."""

PIECE: Final = 250
SHORT_ROUTE_BYTES: Final = 300
DELTA_BYTES: Final = 34
MAX_PAGES: Final = 64


class Written(Protocol):
    """Who has a number in a page."""

    packed_route: bytes


class Frame(msgspec.Struct, frozen=True):
    """What every batch of a flush says beside its statements."""

    worker: str
    flushed_ms: int
    marks: Sequence[Mark]
    inputs: Mapping[str, int]

    @property
    def size(self) -> int:
        """The bytes that it takes at most."""
        names = [*self.inputs, *(mark.topic for mark in self.marks)]
        return _size(self.worker) + sum(map(_size, names))

    def parts(self) -> "list[Frame]":
        """Itself, where it leaves room for statements.

        Else one that says nothing, for the statements, and after it batches of inputs,
        each with how many there are in all, and batches of marks: a cluster may have
        ten thousand tables with a topic each.
        """
        if self.size <= MAX_FRAME_BYTES:
            return [self]
        bare = msgspec.structs.replace(self, marks=(), inputs={})
        whole = {WHOLE: len(self.inputs)}
        return [
            bare,
            *(
                msgspec.structs.replace(bare, inputs=whole | dict(some))
                for some in _chunks(self.inputs.items(), lambda one: _size(one[0]))
            ),
            *(
                msgspec.structs.replace(bare, marks=some)
                for some in _chunks(self.marks, lambda one: _size(one.topic))
            ),
        ]


def _size(name: str) -> int:
    return 3 * len(name) + 32


Some = TypeVar("Some")


def _chunks(
    several: Iterable[Some], size: Callable[[Some], int]
) -> Iterator[list[Some]]:
    """As many at once as fit a frame."""
    chunk: list[Some] = []
    room = MAX_FRAME_BYTES
    for one in several:
        if chunk and size(one) > room:
            yield chunk
            chunk, room = [], MAX_FRAME_BYTES
        chunk.append(one)
        room -= size(one)
    yield chunk


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


class Page:
    """One batch in the making, written by tracks: encoded cells, and deltas.

    The number of a track is its place among `tracks`, and holds while the page is open.
    """

    __slots__ = ("cell_count", "cells", "deltas", "open", "route_bytes", "tracks")

    def __init__(self) -> None:
        self.open = True
        self.tracks: list[Written] = []
        self.route_bytes = 0
        self.cells = bytearray()
        self.cell_count = 0
        self.deltas: list[Delta] = []

    @property
    def size(self) -> int:
        """The bytes of its statements, at most."""
        return len(self.cells) + self.route_bytes + DELTA_BYTES * len(self.deltas)

    def sealed(self, frame: Frame, marks: Sequence[Mark]) -> bytes:
        """The encoded batch."""
        sealed = _Sealed(
            version=SCHEMA_VERSION,
            worker=frame.worker,
            flushed_ms=frame.flushed_ms,
            marks=marks,
            inputs=frame.inputs,
            routes=_array(len(self.tracks), *(t.packed_route for t in self.tracks)),
            cells=_array(self.cell_count, self.cells),
            deltas=self.deltas,
        )
        return _encoder.encode(sealed)


class Pages:
    """The pages of one output partition since the last flush.

    Where a flush needs several, they are open side by side, each for its share of the
    routes: so that a route need not be written into every one of them. A flush begins
    with as many as the last one needed, and doubles them where as many are full. `era`
    is `Fold.era`.
    """

    def __init__(self) -> None:
        self.era = 0
        self.shares = [Page()]
        self._full: list[Page] = []
        self._room = MAX_BATCH_BYTES - MARGIN_BYTES

    def roomy(self, turn: int) -> Page:
        """The page, with room in it, of the routes whose turn this is."""
        share = turn % len(self.shares)
        page = self.shares[share]
        return page if page.size <= self._room else self._turn(share)

    def make_room(self) -> None:
        """Begin anew where a page is full."""
        for share, page in list(enumerate(self.shares)):
            if page.size > self._room:
                self._turn(share)

    def _turn(self, share: int) -> Page:
        self.shares[share].open = False
        self._full.append(self.shares[share])
        self.shares[share] = page = Page()
        if len(self._full) >= len(self.shares) < MAX_PAGES:
            self.shares += [Page() for _ in self.shares]
        return page

    def flush(self, parts: Sequence[Frame]) -> list[bytes]:
        """At least one encoded batch; `parts` are those of the flush's frame.

        Where there are several, the last alone carry the marks: before they are read,
        not everything up to them is.
        """
        frame = parts[0]
        pages = self._full + [page for page in self.shares if page.size] or [Page()]
        payloads = [page.sealed(frame, ()) for page in pages[:-1]]
        payloads.append(pages[-1].sealed(frame, frame.marks))
        payloads += [Page().sealed(part, part.marks) for part in parts[1:]]
        size = sum(page.size for page in pages)
        self._room = max(MAX_BATCH_BYTES - MARGIN_BYTES - frame.size, MARGIN_BYTES)
        self._begin(min(1 + size // self._room, MAX_PAGES))
        return payloads

    def clear(self) -> None:
        """Drop everything."""
        self._begin(1)

    def _begin(self, pages: int) -> None:
        for page in self.shares:
            page.open = False
        self.shares = [Page() for _ in range(pages)]
        self._full = []


def _array(length: int, *items: bytes | bytearray) -> msgspec.Raw:
    """A MessagePack array of items that are encoded already."""
    return msgspec.Raw(b"".join((b"\xdd", length.to_bytes(4, "big"), *items)))
