"""What the engine knows of one series, for scrapes, boards and the terminal."""

from collections import Counter
from collections.abc import Iterable

import msgspec

from slo.model import Counts, Series
from slo.verdict import Alert, Status
from streams.series import SeriesState

GLANCE = 200
"""So many series are looked at at once, 10 ms."""

AT_ONCE = 1_000
"""So many are told of before the next are looked at: they are still at hand then."""


class SeriesView(msgspec.Struct, frozen=True):
    """A series at the engine's *now*.

    `first_known` is what each bucket said when it was first counted: it never
    decreases, so it may feed a counter. `now_known` includes corrections.
    `source_age_ms`: age of the newest judged data at *now*, None before any.
    """

    series: Series
    status: Status
    alert: Alert
    first_known: Counts
    now_known: Counts
    now_ms: int
    revisions: int
    source_age_ms: int | None


def view(state: SeriesState, status: Status, now_ms: int) -> SeriesView:
    """What a series looks like at `now_ms`, which its ledger has reached."""
    ledger = state.ledger
    end_ms = None if ledger.last is None else ledger.last + state.recount.step_ms
    return SeriesView(
        series=state.series,
        status=status,
        alert=state.alert,
        first_known=Counts(ledger.known_good, ledger.known_good + ledger.known_bad),
        now_known=ledger.now_known,
        now_ms=now_ms,
        revisions=ledger.revisions,
        source_age_ms=None if end_ms is None else max(now_ms - end_ms, 0),
    )


def glances(series: Iterable[Series]) -> list[tuple[str, slice]]:
    """The clusters in order, with the series of each glance at one."""
    sizes = Counter(one.cluster.name for one in series)
    return [
        (name, slice(at, at + GLANCE))
        for name in sorted(sizes)
        for at in range(0, sizes[name], GLANCE)
    ]
