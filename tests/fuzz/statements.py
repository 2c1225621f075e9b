"""The independent check, part two: what a JSON value says, by the formats' description.

Standard library alone. A statement that is not found here may not be counted.
"""

import math
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple

DAY_MS = 86_400_000
PAST_MS = 3 * DAY_MS
FUTURE_MS = 60_000

UNITS = {
    "Seconds": 1.0,
    "Microseconds": 1e-6,
    "Milliseconds": 1e-3,
    "Percent": 1e-2,
    "Count": 1.0,
    **{
        f"{prefix}{what}": size * by
        for prefix, size in (
            ("", 1.0),
            ("Kilo", 1e3),
            ("Mega", 1e6),
            ("Giga", 1e9),
            ("Tera", 1e12),
        )
        for what, by in (("bytes", 1.0), ("bits", 0.125))
        if prefix
    },
    "Bytes": 1.0,
    "Bits": 0.125,
}
"""CloudWatch's units in SI; each but the first five also as `<unit>/Second`."""

UNSTATED = ("", "None")


class Cell(NamedTuple):
    """A metric's value for a period: (count, sum, min, max), as the wire has them.

    `scale` is None where the wire names no unit: then the catalogue's holds. `who` is
    everybody that it may be about.
    """

    metric: str
    start_ms: int
    stats: tuple[float, ...]
    scale: float | None
    who: frozenset[str]


class Row(NamedTuple):
    """A change that a database made; `beats` are times that its columns hold."""

    at_ms: int
    beats: tuple[int, ...]


class Alive(NamedTuple):
    """A connector said something; its name, where it says that as well."""

    name: str = ""


Statement = Cell | Row | Alive


def said(value: Any, arrival_ms: int) -> Iterator[Statement]:
    """All that a value may say, in whichever format it is."""
    if not isinstance(value, dict) or not value:
        return
    for reading in (_cloudwatch, _datadog, _vector, _debezium):
        for statement in reading(value, arrival_ms):
            at_ms = getattr(statement, "start_ms", getattr(statement, "at_ms", None))
            if at_ms is None or _believable(at_ms, arrival_ms):
                yield statement


def _believable(at_ms: int, arrival_ms: int) -> bool:
    return arrival_ms - PAST_MS <= at_ms <= arrival_ms + FUTURE_MS


def _number(value: Any) -> float | None:
    """A finite number; true and false are none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


def _whole(value: Any) -> int | None:
    """An integer, also as 5.0; never a guess from text."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    found = _number(value)
    return int(found) if found is not None and found == int(found) else None


MAX_COLONS = 4
"""No tag that names somebody has as many before the name."""


def names_in(tree: Any) -> frozenset[str]:
    """All texts in it, in small letters, and what follows their first colons."""
    found: set[str] = set()
    waiting = [tree]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
        elif isinstance(one, str):
            rest = one.lower()
            for _ in range(MAX_COLONS):
                found.add(rest)
                rest = rest.partition(":")[2]
    return frozenset(found)


# -- CloudWatch ----------------------------------------------------------------------


def _cloudwatch(value: dict[str, Any], arrival_ms: int) -> Iterator[Statement]:
    texts = [value.get("namespace"), value.get("metric_name"), value.get("unit", "")]
    dimensions, stats = value.get("dimensions"), value.get("value")
    if not all(isinstance(one, str) for one in texts):
        return
    if not isinstance(dimensions, dict) or not isinstance(stats, dict):
        return
    if not all(isinstance(name, str) for name in dimensions.values()):
        return
    at_ms = _whole(value.get("timestamp"))
    numbers = [_number(stats.get(name)) for name in ("count", "sum", "min", "max")]
    known, scale = tuple(one for one in numbers if one is not None), _scale(texts[2])
    if at_ms is None or len(known) < len(numbers) or scale is False or known[0] < 1:
        return
    yield Cell(texts[1], at_ms, known, scale, names_in(dimensions))


def _scale(unit: str) -> float | bool | None:
    """SI per unit; None where the catalogue's holds, False where nobody knows it."""
    if unit in UNSTATED:
        return None
    return UNITS.get(unit.removesuffix("/Second"), False)


# -- Datadog -------------------------------------------------------------------------

_numeric = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)


def _datadog(value: dict[str, Any], arrival_ms: int) -> Iterator[Statement]:
    series = value.get("series")
    for one in series if isinstance(series, list) else []:
        if isinstance(one, dict) and isinstance(one.get("metric"), str):
            points = one.get("points")
            for point in points if isinstance(points, list) else []:
                yield from _point(one, point)


def _point(series: dict[str, Any], point: Any) -> Iterator[Statement]:
    if isinstance(point, dict):
        at, stated = point.get("timestamp"), point.get("value")
    elif isinstance(point, list) and len(point) == 2:
        at, stated = point
    else:
        return
    if isinstance(stated, str) and _numeric.fullmatch(stated):
        stated = float(stated)
    seconds, number = _number(at), _number(stated)
    if seconds is not None and number is not None and abs(seconds) < 1e15:
        stats = (0.0, number, number, number)
        who = names_in({**series, "points": None})
        yield Cell(series["metric"], round(seconds * 1000), stats, None, who)


# -- Vector --------------------------------------------------------------------------

_instant = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d+))?([Zz]|[+-]\d\d:?\d\d)", re.ASCII
)


def _vector(value: dict[str, Any], arrival_ms: int) -> Iterator[Statement]:
    inner = value.get("metric")
    for event in (value, inner):
        if isinstance(event, dict) and isinstance(event.get("name"), str):
            yield from _event(event, arrival_ms)


def _event(event: dict[str, Any], arrival_ms: int) -> Iterator[Statement]:
    at_ms: int | None = arrival_ms
    if event.get("timestamp") is not None:
        at_ms = instant_ms(event["timestamp"])
    for kind in ("counter", "gauge"):
        held = event.get(kind)
        number = _number(held.get("value")) if isinstance(held, dict) else None
        cumulative = kind == "counter" and event.get("kind") != "incremental"
        if number is not None and at_ms is not None and not cumulative:
            name, namespace = event["name"], event.get("namespace")
            metric = f"{namespace}.{name}" if namespace else name
            who = names_in(event.get("tags"))
            yield Cell(metric, at_ms, (0.0, number, number, number), None, who)


def instant_ms(text: Any) -> int | None:
    """RFC 3339 with a zone in epoch ms, rounded down."""
    found = _instant.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        return None
    day, clock, fraction, zone = found.groups()
    try:
        moment = datetime.fromisoformat(f"{day}T{clock}+00:00")
    except ValueError:
        return None
    epoch = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
    whole = (moment - epoch) // timedelta(milliseconds=1)
    if zone not in "Zz":
        sign = -1 if zone[0] == "-" else 1
        minutes = int(zone[1:3]) * 60 + int(zone[-2:])
        whole -= sign * minutes * 60_000
    micros = round(float(f"0.{fraction or 0}") * 1e6)
    return whole + micros // 1000


# -- Debezium ------------------------------------------------------------------------


def _debezium(value: dict[str, Any], arrival_ms: int) -> Iterator[Statement]:
    payload = value.get("payload")
    change = payload if isinstance(payload, dict) else value
    source, op = change.get("source"), change.get("op", change.get("__op"))
    if isinstance(source, dict) and op is not None:
        if op in ("c", "u", "d", "r", "t", "m"):
            yield Alive(str(source.get("name")))
        if op in ("c", "u", "d") and _streamed(source.get("snapshot")):
            yield from _row(change, source.get("ts_ms"))
        return
    who = str(source.get("name")) if isinstance(source, dict) else ""
    if _plain_int(change.get("ts_ms")) is not None or change.get("status"):
        yield Alive(who)
    if change.get("ddl") is not None or change.get("tableChanges") is not None:
        yield Alive(who)
    yield from _flattened(change)


def _flattened(change: dict[str, Any]) -> Iterator[Statement]:
    times = [change.get("__source_ts_ms"), change.get("__ts_ms")]
    stated = [one for one in map(_plain_int, times) if one is not None]
    if not stated or change.get("__op", "c") not in (*"cudrtm", None):
        return
    yield Alive()
    op_counts = change.get("__op") in ("c", "u", "d", None)
    if op_counts and _streamed(change.get("__source_snapshot")):
        for at_ms in stated:
            yield from _row(change, at_ms)


def _streamed(snapshot: Any) -> bool:
    return snapshot in (None, False, "false", "", "null", 0)


def _row(change: dict[str, Any], stated: Any) -> Iterator[Statement]:
    at_ms = _plain_int(stated)
    if at_ms is not None and at_ms > 0:
        after = change.get("after")
        columns = after.values() if isinstance(after, dict) else ()
        beats = [found for one in columns for found in _beats(one)]
        yield Row(at_ms, tuple(beats))


def _beats(stated: Any) -> Iterator[int]:
    if isinstance(stated, int) and not isinstance(stated, bool):
        yield stated
        yield stated // 1000
    if isinstance(stated, str):
        try:
            moment = datetime.fromisoformat(stated)
        except ValueError:
            return
        if moment.tzinfo is not None:
            yield int(moment.timestamp() * 1000)


def _plain_int(stated: Any) -> int | None:
    """An integer; Debezium's documentation quotes some."""
    if isinstance(stated, str) and _numeric.fullmatch(stated):
        stated = float(stated) if set(stated) & set(".eE") else int(stated)
    return _whole(stated)
