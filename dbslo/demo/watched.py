"""The series that the demo's terminal follows: what it measures, and when that is news."""

import math
from collections.abc import Sequence

from dbslo import output
from dbslo.demo.trace import Mode, Signal, Trace, Track
from slo.model import SECOND
from streams.view import SeriesView

BURNS = (1.0, 14.4)
"""Burns of five minutes at whose crossing the watched series is told again."""


def watched(views: Sequence[SeriesView], trace: Trace) -> SeriesView | None:
    """The series that the terminal follows."""
    for view in views:
        series = view.series
        if series.slo.name == trace.slo and series.resource.name == trace.watch:
            return view
    return None


def step_of(track: Track, since_s: float) -> float | None:
    """The value of a track, in doublings where it moves all the time."""
    value = track.value_at(since_s)
    if value is None or track.mode is Mode.STEP:
        return value
    return math.floor(math.log2(1 + max(value, 0.0)))


def notable_of(view: SeriesView) -> tuple[object, ...]:
    """What must change for the watched series to be told again."""
    status = view.status
    burn = status.windows["5m"].burn
    quarter = max(math.floor(4 * status.budget.remaining_ratio), -1)
    return status.verdict, quarter, sum(burn > limit for limit in BURNS)


def burning(view: SeriesView) -> str:
    """Burn, budget and verdict of a series on one line."""
    status = view.status
    burns = ", ".join(
        f"{name} burns {status.windows[name].burn:.1f}x" for name in ("5m", "1h")
    )
    left = status.budget.remaining_ratio
    budget = f"{output.percent(left)} of the budget left"
    if left < 0:
        budget = f"budget overspent by {output.percent(-left)}"
    return f"{burns}, {budget}, {status.verdict.value}"


def measured(track: Track, since_s: float) -> str:
    """What the watched track says at a moment, in words."""
    value = track.value_at(since_s)
    if value is None:
        return "no data"
    match track.signal:
        case Signal.CONNECT_ERRORS:
            return f"{output.percent(value)} of connections fail"
        case Signal.ROW_AGE | Signal.CONNECTOR_AGE:
            return f"rows are {output.span(value * SECOND)} behind"
        case Signal.DELIVERY:
            return "data arrives" if value else "data is held back"
        case Signal.CLOUDWATCH | Signal.DATADOG | Signal.CONNECT_ATTEMPTS:
            return f"{track.metric or 'attempts a minute'} {value:g}"
