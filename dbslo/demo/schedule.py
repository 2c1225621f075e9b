"""The demo's clock: fine steps while something happens, coarse ones in between."""

from collections.abc import Iterable

from dbslo.demo.traffic import Onset, Span
from slo.model import MINUTE, SECOND

STEPS_MS = ((15 * MINUTE, MINUTE), (45 * MINUTE, 5 * MINUTE))
"""Until so long after a change the clock takes steps of so much."""

COARSE_MS = 30 * MINUTE


def steps(onsets: Iterable[Onset], span: Span) -> list[int]:
    """The moments to which the clock is set, rising, from the span's start to its end."""
    changes = sorted(
        onset.at_ms + round(moment * SECOND)
        for onset in onsets
        for track in onset.trace.tracks
        for moment in track.moments
    )
    found: list[int] = []
    at_ms = span.start_ms
    while at_ms < span.end_ms:
        at_ms = min(_next(at_ms, changes), span.end_ms)
        found.append(at_ms)
    return found


def _next(at_ms: int, changes: list[int]) -> int:
    before = max((c for c in changes if c <= at_ms), default=None)
    coming = min((c for c in changes if c > at_ms), default=None)
    wanted = at_ms + (COARSE_MS if before is None else _step(at_ms - before))
    # no step jumps over a change: the calm before it is told first
    return wanted if coming is None else min(wanted, _minute_after(coming))


def _step(since_ms: int) -> int:
    return next((step for until, step in STEPS_MS if since_ms < until), COARSE_MS)


def _minute_after(at_ms: int) -> int:
    return (at_ms // MINUTE + 1) * MINUTE
