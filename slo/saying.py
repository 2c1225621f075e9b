"""Words for people: what an SLO asks for, what was seen last, in which unit it counts."""

from collections.abc import Sequence

from slo.facts import Cell
from slo.feeds import FeedReading, Reading
from slo.measure import value_of
from slo.model import DAY, HOUR, MINUTE, SECOND, SLO, Budgeting, Part, SliKind
from slo.names import duration

UNITS = {
    Budgeting.OCCURRENCES: "events",
    Budgeting.TIMESLICES: "slices",
    Budgeting.RATIO_TIMESLICES: "millionths of slices",
}
"""What good and total of a window count."""


def promise(slo: SLO) -> str:
    """What is good, and how much of it is promised: one line."""
    indicator = slo.indicator
    what = slo.display_name or indicator.title
    limit = ""
    if indicator.threshold is not None:
        limit = f": at most {indicator.threshold:g} {indicator.unit}"
    slices = f" of the {duration(slo.slice_ms)} slices" if slo.sliced else ""
    return f"{what}{limit}, in {float(slo.target * 100):.12g} %{slices}"


def counted(slo: SLO) -> str:
    """What the guards and the reason of a verdict count."""
    return (
        "events" if slo.indicator.kind is SliKind.RATIO or not slo.sliced else "slices"
    )


def seen_last(slo: SLO, feeds: list[FeedReading], start_ms: int, end_ms: int) -> str:
    """The worst that the sources said in [start, end), in words; "" for freshness."""
    if slo.indicator.kind is SliKind.FRESHNESS:
        return ""
    for feed in feeds:
        said = [
            _said(reading, cells, slo.indicator.unit)
            for reading in feed.readings
            if (cells := reading.cells(start_ms, end_ms))
        ]
        if said:
            return f"{', '.join(said)} ({feed.feed.source})"
    return ""


def _said(reading: Reading, cells: Sequence[Cell], unit: str) -> str:
    part = reading.part
    name = part.metrics[0]
    for sentinel in part.sentinels:
        if any(sentinel.value in cell[3:5] for cell in cells):
            meaning = f" ({sentinel.meaning})" if sentinel.meaning else ""
            return f"{name} {sentinel.value:g}{meaning}"
    values = [value_of(cell, part.stat) for cell in cells]
    if part.part is Part.VALUE:
        return f"{name} {max(values):g} {unit}"
    per = "/s" if part.rate else ""
    return f"{name} {sum(values):g}{per}"


def roughly(ms: int) -> str:
    """A duration in its largest unit, rounded down."""
    for unit, size in (("d", DAY), ("h", HOUR), ("m", MINUTE)):
        if ms >= size:
            return f"{ms // size}{unit}"
    return f"{ms // SECOND}s"
