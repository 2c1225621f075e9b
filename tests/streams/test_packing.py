"""Batches in the making: nothing is lost where pages fill, and routes are few."""

from itertools import count

import msgspec

from slo.model import Stat
from streams.batch import MAX_BATCH_BYTES, Batch, decode
from streams.fold import Fold, Track
from streams.judgement import Bounds
from streams.packing import Frame
from streams.table import Want

ROUTES, CELLS = 4_000, 10
FRAME = Frame("0", 1, (), {"cloudwatch": 1})
BOUNDS = Bounds(0.0, 1e9, frozenset(), Stat.AVERAGE)


def tracks(fold: Fold) -> list[Track]:
    """As many routes as a fleet has, each of sixty bytes and more."""
    found = []
    for number in range(ROUTES):
        name = f"shop-{number:04d}-writer"
        want = Want(name, "cloudwatch:AWS/RDS/Deadlocks", 60_000, 0, 1.0, False, BOUNDS)
        track = fold.track(want, f"account=210987654321,instance={name}", 60_000)
        assert isinstance(track, Track)
        found.append(track)
    return found


def flushed(fold: Fold, several: list[Track], clock: count) -> list[Batch]:
    """A flush of ten cells of every route, stated in turns."""
    for _ in range(CELLS):
        start_ms = next(clock) * 60_000
        for number, track in enumerate(several):
            track.state(start_ms, start_ms, 6.0, 1.5, 0.25, 0.25)
            if number % 250 == 0:
                fold.make_room()
    payloads = [payload for _, payload in fold.flush(FRAME)]
    assert max(map(len, payloads)) <= MAX_BATCH_BYTES
    return [decode(payload) for payload in payloads]


def test_a_flush_of_many_pages_says_everything_and_repeats_few_routes():
    fold, clock = Fold(1, ROUTES), count(1_000_000)
    several = tracks(fold)
    for most_routes in (5.0, 1.5):  # the first flush has yet to learn how much there is
        batches = flushed(fold, several, clock)
        said = {
            (batch.routes[cell[0]].resource, cell[1])
            for batch in batches
            for cell in batch.cells
        }
        assert len(said) == ROUTES * CELLS
        assert sum(len(batch.cells) for batch in batches) == ROUTES * CELLS
        assert len(batches) > 3
        assert sum(len(batch.routes) for batch in batches) <= most_routes * ROUTES


def test_a_frame_alone_is_a_batch():
    ((_, payload),) = Fold(1, 1).flush(FRAME)
    batch = decode(payload)
    assert (batch.worker, batch.cells, batch.inputs) == ("0", [], {"cloudwatch": 1})
    assert msgspec.msgpack.decode(payload)
