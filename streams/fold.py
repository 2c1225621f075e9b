"""The fold: statements joined and counted by route, until the next flush."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from slo.facts import Cell as Fact
from slo.facts import join
from streams.batch import (
    MAX_BATCH_BYTES,
    SCHEMA_VERSION,
    Batch,
    Cell,
    Delta,
    Mark,
    Route,
)
from streams.judgement import Stats
from streams.routes import MAX_TAGS_CHARACTERS
from streams.table import Want

MAX_TAG_SETS: Final = 1_000
"""Tag sets of one signal on one resource; beyond that they are refused."""

MAX_ROUTES: Final = 200_000
"""Routes of the whole worker, where the plan does not want more by itself."""

TOO_MANY_TAG_SETS: Final = "too_many_tag_sets"
TAGS_TOO_LONG: Final = "tags_too_long"

CELL_BYTES: Final = 60
DELTA_BYTES: Final = 34
ROUTE_BYTES: Final = 24
BATCH_BYTES: Final = 256
"""Upper bounds of what these take in MessagePack, strings apart."""


class Track:
    """What was stated under one route since the last flush.

    `cells` maps a period's start to (cell, arrival), `deltas` a bucket to (good,
    total).
    """

    __slots__ = ("cells", "deltas", "partition", "route", "sentinels", "size")

    def __init__(self, want: Want, tags: str, period_ms: int) -> None:
        self.route = Route(want.resource, want.signal, tags, period_ms)
        self.partition = want.partition
        self.sentinels = want.bounds.sentinels
        self.cells: dict[int, tuple[Fact, int]] = {}
        self.deltas: dict[int, tuple[int, int]] = {}
        texts = (want.resource, want.signal, tags)
        self.size = ROUTE_BYTES + sum(len(text.encode()) for text in texts)

    def restate(self, cell: Fact, arrival_ms: int) -> None:
        """Join a statement with what is held of its period; the earlier arrival stays."""
        held, arrived = self.cells[cell[0]]
        self.cells[cell[0]] = (
            join(held, cell, self.sentinels),
            min(arrived, arrival_ms),
        )


class Fold:
    """All tracks, and those that were touched since the last flush."""

    def __init__(self, wants: int) -> None:
        self.touched: list[Track] = []
        self._tracks: dict[tuple[str, str, int, str], Track] = {}
        self._tag_sets: dict[tuple[str, str], int] = {}
        self._most = max(MAX_ROUTES, 4 * wants)

    def track(self, want: Want, tags: str, period_ms: int) -> Track | str:
        """The track of a route, or why there can be no more."""
        key = (want.resource, want.signal, period_ms, tags)
        found = self._tracks.get(key)
        if found is not None:
            return found
        if len(tags) > MAX_TAGS_CHARACTERS:
            return TAGS_TOO_LONG
        sets = self._tag_sets.get(key[:2], 0)
        if sets >= MAX_TAG_SETS or len(self._tracks) >= self._most:
            return TOO_MANY_TAG_SETS
        self._tag_sets[key[:2]] = sets + 1
        self._tracks[key] = found = Track(want, tags, period_ms)
        return found

    def state(self, track: Track, start_ms: int, stats: Stats, arrival_ms: int) -> None:
        """Take in one statement of a cell, in SI units."""
        cell = (start_ms, *stats)
        if start_ms in track.cells:
            track.restate(cell, arrival_ms)
            return
        if not track.cells:
            self.touched.append(track)
        track.cells[start_ms] = (cell, arrival_ms)

    def count(self, track: Track, bucket_ms: int, good: int, total: int) -> None:
        """Add things that happened to a bucket."""
        if not track.deltas:
            self.touched.append(track)
        held_good, held_total = track.deltas.get(bucket_ms, (0, 0))
        track.deltas[bucket_ms] = (held_good + good, held_total + total)

    def clear(self) -> None:
        """Forget every statement; routes stay known."""
        for track in self.touched:
            track.cells.clear()
            track.deltas.clear()
        self.touched.clear()


class Frame(msgspec.Struct, frozen=True):
    """What every batch of a flush says beside its statements."""

    worker: str
    flushed_ms: int
    marks: Sequence[Mark]
    inputs: Mapping[str, int]


def batches(
    touched: Iterable[Track], frame: Frame, partitions: int
) -> list[tuple[int, Batch]]:
    """A flush: at least one batch for every output partition, each below 512 KB.

    Where one partition needs several, the last alone carries the marks: before it is
    read, not everything up to them is.
    """
    by_partition: list[list[Track]] = [[] for _ in range(partitions)]
    for track in touched:
        by_partition[track.partition].append(track)
    return [
        (number, batch)
        for number, tracks in enumerate(by_partition)
        for batch in _split(tracks, frame)
    ]


def _split(tracks: list[Track], frame: Frame) -> Iterator[Batch]:
    room = MAX_BATCH_BYTES - _frame_bytes(frame)
    page = _Page(room)
    for track in tracks:
        for cells, deltas in _chunks(track, room):
            if not page.fits(track, len(cells), len(deltas)):
                yield page.batch(frame, last=False)
                page = _Page(room)
            page.add(track, cells, deltas)
    yield page.batch(frame, last=True)


def _frame_bytes(frame: Frame) -> int:
    names = [*(mark.topic for mark in frame.marks), *frame.inputs, frame.worker]
    return BATCH_BYTES + sum(len(name.encode()) + 32 for name in names)


def _chunks(
    track: Track, room: int
) -> Iterator[tuple[list[tuple[Fact, int]], list[Delta]]]:
    """The statements of a track in pieces, each of which fits an empty batch."""
    cells = list(track.cells.values())
    deltas = [(0, at, good, total) for at, (good, total) in track.deltas.items()]
    most = max(1, (room - track.size) // (CELL_BYTES + DELTA_BYTES))
    for at in range(0, max(len(cells), len(deltas)), most):
        yield cells[at : at + most], deltas[at : at + most]


class _Page:
    """One batch in the making."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._routes: list[Route] = []
        self._cells: list[Cell] = []
        self._deltas: list[Delta] = []

    def fits(self, track: Track, cells: int, deltas: int) -> bool:
        need = track.size + cells * CELL_BYTES + deltas * DELTA_BYTES
        return not self._routes or need <= self._room

    def add(
        self, track: Track, cells: list[tuple[Fact, int]], deltas: list[Delta]
    ) -> None:
        number = len(self._routes)
        self._routes.append(track.route)
        self._cells.extend(
            (number, cell[0], arrival, *cell[1:]) for cell, arrival in cells
        )
        self._deltas.extend((number, *delta[1:]) for delta in deltas)
        self._room -= track.size + len(cells) * CELL_BYTES + len(deltas) * DELTA_BYTES

    def batch(self, frame: Frame, *, last: bool) -> Batch:
        return Batch(
            version=SCHEMA_VERSION,
            worker=frame.worker,
            flushed_ms=frame.flushed_ms,
            marks=list(frame.marks) if last else [],
            inputs=dict(frame.inputs),
            routes=self._routes,
            cells=self._cells,
            deltas=self._deltas,
        )
