"""The fold: statements joined and counted by route, until the next flush."""

from collections import Counter
from typing import Final

import msgspec

from slo.facts import Cell as Fact
from slo.facts import join
from slo.model import HOUR
from streams.batch import Route
from streams.packing import SHORT_ROUTE_BYTES, Frame, Page, Pages
from streams.routes import MAX_TAGS_CHARACTERS
from streams.table import Want

MAX_TAG_SETS: Final = 1_000
"""Tag sets of one signal on one resource; beyond that they are refused."""

MAX_ROUTES: Final = 100_000
"""Routes of the whole worker, where the plan does not want more by itself."""

MAX_ROUTE_BYTES: Final = 64 * 1024 * 1024
"""The bytes of their names, likewise."""

WANT_BYTES: Final = 4 * 300
"""What the names of one want's own routes may take."""

FORGET_MS: Final = HOUR
"""A route that said nothing for so long makes room: tag sets come and go."""

TOO_MANY_TAG_SETS: Final = "too_many_tag_sets"
TAGS_TOO_LONG: Final = "tags_too_long"

STATS_BYTES: Final = 4 * 9
"""What count, sum, min and max take at the end of an encoded cell."""

NEVER_MS: Final = -(2**62)
NOWHERE: Final = Page()
NOWHERE.open = False

_encoder = msgspec.msgpack.Encoder()
encode_into = _encoder.encode_into


class Track:
    """What was stated under one route since the last flush.

    Statements go straight to a page, but for one that repeats the last: it ends there
    at `end`, and is about `last_ms`. Stage 2 joins the statements of a cell, so it does
    not matter how many there are. What is stated thousands of times a second, the
    newest time of a stream, is held and joined in `cells` (by period: cell and arrival)
    until the flush; so are counts in `deltas` (good and total by bucket).
    """

    __slots__ = (
        "_holding",
        "_pages",
        "_sentinels",
        "_turn",
        "cells",
        "deltas",
        "end",
        "last_ms",
        "number",
        "others",
        "packed_route",
        "page",
        "used",
    )

    def __init__(
        self, want: Want, route: Route, pages: Pages, holding: "list[Track]", turn: int
    ) -> None:
        self.packed_route = msgspec.msgpack.encode(route)
        self._sentinels = want.bounds.sentinels
        self._pages = pages
        self._holding = holding
        self._turn = turn
        self.others: tuple[Track, ...] = ()
        self.page = NOWHERE
        self.number = self.end = 0
        self.used = pages.era
        self.last_ms = NEVER_MS
        self.cells: dict[int, tuple[Fact, int]] = {}
        self.deltas: dict[int, tuple[int, int]] = {}

    def state(
        self,
        start_ms: int,
        arrival_ms: int,
        samples: float,
        total: float,
        low: float,
        high: float,
    ) -> None:
        """Take in one statement of a cell, in SI units."""
        state_all([(self, start_ms, arrival_ms, samples, total, low, high)])

    def enter(self) -> Page:
        """Get a number in the page that is ours."""
        shares, size = self._pages.shares, len(self.packed_route)
        if size > SHORT_ROUTE_BYTES:
            self._pages.roomy(self._turn)
        self.page = page = shares[self._turn % len(shares)]
        self.number = len(page.tracks)
        page.tracks.append(self)
        page.route_bytes += size
        self.used = self._pages.era
        self.last_ms = NEVER_MS
        return page

    def hold(self, cell: Fact, arrival_ms: int) -> None:
        """Join a statement with what is held of its period; the earliest arrival stays."""
        held = self.cells.get(cell[0])
        if held is None:
            self._keep()
            self.cells[cell[0]] = (cell, arrival_ms)
        elif held[0] != cell:
            joined = join(held[0], cell, self._sentinels)
            self.cells[cell[0]] = (joined, min(held[1], arrival_ms))

    def count(self, bucket_ms: int, good: int, total: int) -> None:
        """Add things that happened to a bucket."""
        self._keep()
        held_good, held_total = self.deltas.get(bucket_ms, (0, 0))
        self.deltas[bucket_ms] = (held_good + good, held_total + total)

    def _keep(self) -> None:
        if not (self.cells or self.deltas):
            self._holding.append(self)

    def flush(self) -> None:
        """Write all that is held into the page."""
        for (start_ms, *stats), arrival_ms in self.cells.values():
            page = self.make_room()
            encode_into((self.number, start_ms, arrival_ms, *stats), page.cells, -1)
            page.cell_count += 1
        for bucket_ms, (good, total) in self.deltas.items():
            page = self.make_room()
            page.deltas.append((self.number, bucket_ms, good, total))
        self.clear()

    def make_room(self) -> Page:
        """The page that we stand in, if there is room, else the next."""
        if self.page.open and self._pages.roomy(self._turn) is self.page:
            return self.page
        return self.enter()

    def clear(self) -> None:
        """Forget what is held."""
        self.cells.clear()
        self.deltas.clear()


class Fork(Track):
    """A track whose statements go to further partitions, too: of SLOs that span them."""

    __slots__ = ()

    def hold(self, cell: Fact, arrival_ms: int) -> None:
        """As Track.hold."""
        super().hold(cell, arrival_ms)
        for other in self.others:
            other.hold(cell, arrival_ms)

    def count(self, bucket_ms: int, good: int, total: int) -> None:
        """As Track.count."""
        super().count(bucket_ms, good, total)
        for other in self.others:
            other.count(bucket_ms, good, total)

    def make_room(self) -> Page:
        """As Track.make_room."""
        for other in self.others:
            other.make_room()
        return super().make_room()


Stated = tuple[Track, int, int, float, float, float, float]
"""(track, start_ms, arrival_ms, count, sum, min, max), in SI units."""


def state_all(statements: list[Stated]) -> None:
    """Take in statements of cells.

    Encoding many one after the other, with nothing between, takes half the time that
    each takes behind the decoding of its record.
    """
    for track, start_ms, arrival_ms, samples, total, low, high in statements:
        page = track.page
        if not page.open:
            page = track.enter()
        cell = (track.number, start_ms, arrival_ms, samples, total, low, high)
        cells = page.cells
        if start_ms == track.last_ms and (
            cells[track.end - STATS_BYTES : track.end]
            == _encoder.encode(cell)[-STATS_BYTES:]
        ):
            continue
        encode_into(cell, cells, -1)
        page.cell_count += 1
        track.last_ms = start_ms
        track.end = len(cells)
        if track.others:
            state_all([(other, *cell[1:]) for other in track.others])


class Fold:
    """All tracks, and the batches in the making, for each output partition.

    `era` changes where routes were forgotten: who remembers tracks forgets them, too.
    """

    def __init__(self, partitions: int, wants: int) -> None:
        self.era = 0
        self._pages = [Pages() for _ in range(partitions)]
        self._holding: list[Track] = []
        self._tracks: dict[tuple[str, str, int, str], Track] = {}
        self._tag_sets: Counter[tuple[str, str]] = Counter()
        self._most = max(MAX_ROUTES, 4 * wants)
        self._room = self._most_bytes = max(MAX_ROUTE_BYTES, WANT_BYTES * wants)
        self._swept_ms: int | None = None

    def track(self, want: Want, tags: str, period_ms: int) -> Track | str:
        """The track of a route, or why there can be no more."""
        key = (want.resource, want.signal, period_ms, tags)
        found = self._tracks.get(key)
        if found is not None:
            return found
        if len(tags) > MAX_TAGS_CHARACTERS:
            return TAGS_TOO_LONG
        turn = len(self._tracks)
        full = turn >= self._most or self._room <= 0
        if full or self._tag_sets[key[:2]] >= MAX_TAG_SETS:
            return TOO_MANY_TAG_SETS
        self._tag_sets[key[:2]] += 1
        route = Route(want.resource, want.signal, tags, period_ms)
        found = self._tracks[key] = self._new(want, route, turn)
        self._room -= len(found.packed_route)
        return found

    def _new(self, want: Want, route: Route, turn: int) -> Track:
        kind = Fork if want.also else Track
        track = kind(want, route, self._pages[want.partition], self._holding, turn)
        if isinstance(track, Fork):
            track.others = tuple(
                self._new(
                    also, msgspec.structs.replace(route, resource=also.resource), turn
                )
                for also in want.also
            )
        return track

    def _sweep(self, now_ms: int) -> None:
        """Forget the routes that nobody used since the last sweep."""
        if self._swept_ms is None:
            self._swept_ms = now_ms
        if now_ms - self._swept_ms < FORGET_MS:
            return
        self._swept_ms = now_ms
        kept = {key: one for key, one in self._tracks.items() if one.used == self.era}
        self.era += 1
        for pages in self._pages:
            pages.era = self.era
        self._tracks = kept
        self._tag_sets = Counter(key[:2] for key in kept)
        sizes = sum(len(one.packed_route) for one in kept.values())
        self._room = self._most_bytes - sizes

    def make_room(self) -> None:
        """Begin new pages where the present ones are full; between a slab's pieces."""
        for pages in self._pages:
            pages.make_room()

    def flush(self, frame: Frame) -> list[tuple[int, bytes]]:
        """The encoded batches, at least one for every partition; empty afterwards."""
        for track in self._holding:
            track.flush()
        self._holding.clear()
        parts = frame.parts()
        flushed = [
            (partition, payload)
            for partition, pages in enumerate(self._pages)
            for payload in pages.flush(parts)
        ]
        self._sweep(frame.flushed_ms)
        return flushed

    def clear(self) -> None:
        """Forget every statement; routes stay known."""
        for track in self._holding:
            track.clear()
        self._holding.clear()
        for pages in self._pages:
            pages.clear()
