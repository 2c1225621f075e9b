"""The fold: statements joined and counted by route, until the next flush."""

from typing import Final

import msgspec

from slo.facts import Cell as Fact
from slo.facts import join
from streams.batch import Route
from streams.judgement import Stats
from streams.packing import NOT_ENTERED, Frame, Page, Pages, encode_into
from streams.routes import MAX_TAGS_CHARACTERS
from streams.table import Want

MAX_TAG_SETS: Final = 1_000
"""Tag sets of one signal on one resource; beyond that they are refused."""

MAX_ROUTES: Final = 200_000
"""Routes of the whole worker, where the plan does not want more by itself."""

TOO_MANY_TAG_SETS: Final = "too_many_tag_sets"
TAGS_TOO_LONG: Final = "tags_too_long"

STATS_BYTES: Final = 4 * 9
"""What count, sum, min and max take at the end of an encoded cell."""

_encoder = msgspec.msgpack.Encoder()


class Track:
    """What was stated under one route since the last flush.

    A statement that is newer than all before goes straight to a page: `newest_ms` is
    its period, `end` where it ends there. Others are held in `cells` (by period: cell
    and arrival), joined, until the flush. `deltas`: good and total by bucket.
    """

    __slots__ = (
        "cells",
        "deltas",
        "end",
        "newest_ms",
        "number",
        "packed_route",
        "page",
        "pages",
        "sentinels",
        "turn",
    )

    def __init__(self, want: Want, route: Route, pages: Pages, turn: int) -> None:
        self.packed_route = msgspec.msgpack.encode(route)
        self.sentinels = want.bounds.sentinels
        self.pages = pages
        self.turn = turn
        self.page = Page()
        self.number = self.newest_ms = NOT_ENTERED
        self.end = 0
        self.cells: dict[int, tuple[Fact, int]] = {}
        self.deltas: dict[int, tuple[int, int]] = {}

    def write(
        self,
        start_ms: int,
        arrival_ms: int,
        samples: float,
        total: float,
        low: float,
        high: float,
    ) -> bool:
        """Write a statement into the batch, where it is newer than all before.

        True also where it repeats the last one. False: nothing was done, its cell may
        have been stated before.
        """
        number = self.number
        if number < 0:
            number = self.pages.enter(self)
        page = self.page
        cell = (number, start_ms, arrival_ms, samples, total, low, high)
        if start_ms > self.newest_ms:
            encode_into(cell, page.cells, -1)
            page.cell_count += 1
            self.newest_ms = start_ms
            self.end = len(page.cells)
            return True
        last = page.cells[self.end - STATS_BYTES : self.end]
        return start_ms == self.newest_ms and (
            last == _encoder.encode(cell)[-STATS_BYTES:]
        )

    def flush(self) -> None:
        """Write all that is held into the batch."""
        for cell, arrival_ms in self.cells.values():
            self.pages.make_room()
            number = self.number if self.number >= 0 else self.pages.enter(self)
            self.page.put((number, cell[0], arrival_ms, *cell[1:]))
        self.cells.clear()
        for bucket_ms, (good, total) in self.deltas.items():
            self.pages.make_room()
            number = self.number if self.number >= 0 else self.pages.enter(self)
            self.page.deltas.append((number, bucket_ms, good, total))
        self.deltas.clear()


class Fold:
    """All tracks, and the batches in the making, for each output partition."""

    def __init__(self, partitions: int, wants: int) -> None:
        self._pages = [Pages() for _ in range(partitions)]
        self._holding: list[Track] = []
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
        route = Route(want.resource, want.signal, tags, period_ms)
        pages = self._pages[want.partition]
        found = self._tracks[key] = Track(want, route, pages, len(self._tracks))
        return found

    def state(self, track: Track, start_ms: int, stats: Stats, arrival_ms: int) -> None:
        """Join one statement of a cell, in SI units, with those that are held."""
        cell = (start_ms, *stats)
        held = track.cells.get(start_ms)
        if held is None:
            self._hold(track)
            track.cells[start_ms] = (cell, arrival_ms)
        elif held[0] != cell:
            joined = join(held[0], cell, track.sentinels)
            track.cells[start_ms] = (joined, min(held[1], arrival_ms))

    def count(self, track: Track, bucket_ms: int, good: int, total: int) -> None:
        """Add things that happened to a bucket."""
        self._hold(track)
        held_good, held_total = track.deltas.get(bucket_ms, (0, 0))
        track.deltas[bucket_ms] = (held_good + good, held_total + total)

    def _hold(self, track: Track) -> None:
        if not (track.cells or track.deltas):
            self._holding.append(track)

    def make_room(self) -> None:
        """Begin new pages where the present ones are full; between a slab's pieces."""
        for pages in self._pages:
            pages.make_room()

    def flush(self, frame: Frame) -> list[tuple[int, bytes]]:
        """The encoded batches, at least one for every partition; empty afterwards."""
        for track in self._holding:
            track.flush()
        self._holding.clear()
        return [
            (partition, payload)
            for partition, pages in enumerate(self._pages)
            for payload in pages.flush(frame)
        ]

    def clear(self) -> None:
        """Forget every statement; routes stay known."""
        for track in self._holding:
            track.cells.clear()
            track.deltas.clear()
        self._holding.clear()
        for pages in self._pages:
            pages.clear()
