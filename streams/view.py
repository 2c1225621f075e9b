"""What the engine knows of one series, for scrapes, boards and the terminal."""

import msgspec

from slo.model import Alert, Counts, Series, Status


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
