"""Datadog series, v1 and v2 JSON: the Agent's intake bodies.

Points carry seconds, stamped when the Agent flushed. v1 points are `[time, value]`
with `type` a word, v2 points are objects with `type` a number. A value may be null
(skipped) or a number in a string. There is no unit on the wire.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from slo.model import SECOND
from streams.judgement import NOT_A_NUMBER, SECONDS, Stats
from streams.outcomes import (
    EMPTY,
    IRRELEVANT,
    MALFORMED,
    NO_VALUE,
    Outcomes,
)
from streams.slab import Slab
from streams.sources.source import UNDECODABLE, Intake, Known, Statement, Target
from streams.sources.tagged import Targets

COUNT: Final = (1, "count")
TYPES: Final = (None, "", 0, *COUNT, 2, "rate", 3, "gauge")
"""What a series may be; without a type it is a gauge. Another may mean anything."""

UNKNOWN_TYPE: Final = "unknown_type"
ABSURD_SECONDS: Final = 1e19
NOTHING: Final = msgspec.Raw(b"null")


class _Point(msgspec.Struct, gc=False):
    timestamp: float
    value: float | str | None = None


class _Resource(msgspec.Struct, gc=False):
    type: str = ""
    name: str = ""


class Series(msgspec.Struct):
    """One metric of one host. `tags` and `resources` stay raw: they are looked up."""

    metric: str
    points: list[tuple[float, float | str | None] | _Point]
    type: int | str | None = None
    interval: float | None = None
    host: str | None = None
    device: str | None = None
    tags: msgspec.Raw = NOTHING
    resources: msgspec.Raw = NOTHING


class _Payload(msgspec.Struct):
    series: list[Series]


class _OtherIntake(msgspec.Struct):
    """What an Agent sends to other endpoints: check runs, events, host metadata."""

    check: str | None = None
    status: int | None = None
    host: str | None = msgspec.field(default=None, name="internalHostname")

    @property
    def recognised(self) -> bool:
        return bool(self.check and self.status is not None) or self.host is not None


class _LoosePayload(msgspec.Struct):
    series: list[msgspec.Raw]


class _LooseSeries(msgspec.Struct):
    points: list[msgspec.Raw]


_decoder = msgspec.json.Decoder(_Payload)
_other_intake = msgspec.json.Decoder(_OtherIntake)
_loose_payload = msgspec.json.Decoder(_LoosePayload)
_loose_series = msgspec.json.Decoder(_LooseSeries)
_series = msgspec.json.Decoder(Series)
_point = msgspec.json.Decoder(tuple[float, float | str | None] | _Point)
_tags = msgspec.json.Decoder(list[str] | None)
_resources = msgspec.json.Decoder(list[_Resource] | None)


class Datadog:
    """Decodes and folds series."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._targets = Targets(intake)
        self._known = Known[Target](intake)

    def fold(self, slab: Slab, outcomes: Outcomes) -> None:
        """Take a slab of single payloads in."""
        for index, value in enumerate(slab.values):
            try:
                series = _decoder.decode(value).series  # type: ignore[arg-type]
            except UNDECODABLE as error:
                if value is not None and _is_other_intake(value):
                    outcomes.counts[IRRELEVANT] += 1
                    continue
                found = self._loose(value, index, outcomes)
                if found is None:
                    outcomes.undecoded.append((index, str(error)))
                    continue
                series = found
            if not series:
                outcomes.counts[EMPTY] += 1
            for one in series:
                self._take(one, index, slab.arrivals[index], outcomes)

    def _loose(
        self, value: bytes | None, index: int, outcomes: Outcomes
    ) -> list[Series] | None:
        """The series that are whole, of a payload that is not; None: no payload."""
        if value is None:
            return None
        if value.strip() == b"{}":  # how an Agent keeps its connection alive
            return []
        try:
            parts = _loose_payload.decode(value).series
        except UNDECODABLE:
            return None
        return [one for part in parts for one in _whole(part, index, outcomes)]

    def _take(
        self, series: Series, index: int, arrival_ms: int, outcomes: Outcomes
    ) -> None:
        if not series.points:
            outcomes.counts[EMPTY] += 1
            return
        if series.metric not in self._intake.table.datadog:
            outcomes.counts[IRRELEVANT] += len(series.points)
            return
        target = self._find(series)
        for at_s, stated in map(_pair, series.points):
            value = _number(stated)
            if value is None:
                outcomes.counts[NO_VALUE] += 1
            elif isinstance(value, str):
                outcomes.refuse(index, value, series.metric)
            else:
                stats = Stats(0.0, value, value, value)
                at_ms = _ms(at_s)
                place = (index, arrival_ms, SECONDS)
                one = Statement(series.metric, at_ms, stats, *place)
                self._intake.state(target, one, outcomes)

    def _find(self, series: Series) -> Target:
        key = (
            series.metric,
            bytes(series.tags),
            bytes(series.resources),
            series.host,
            series.device,
            series.interval,
            series.type,
        )
        found = self._known.get(key)
        if found is None:
            size = (
                len(key[1])
                + len(key[2])
                + len(f"{series.host}{series.device}{series.type}")
            )
            found = self._known.keep(key, size, self._resolve(series))
        return found

    def _resolve(self, series: Series) -> Target:
        try:
            tags = _tags.decode(series.tags) or []
            resources = _resources.decode(series.resources) or []
        except UNDECODABLE:
            return Target("tags_are_no_text")
        for kind, name in (("host", series.host), ("device", series.device)):
            if name:
                tags.append(f"{kind}:{name}")
        for resource in resources:
            place = "host" if resource.type == "host" else f"resource.{resource.type}"
            tags.append(f"{place}:{resource.name}")
        interval_ms, counted = _ms(series.interval or 0), series.type in COUNT
        target = self._targets.find(series.metric, tags, interval_ms, counted=counted)
        if target.track is not None and series.type not in TYPES:
            stated = f" of type {str(series.type)[:20]!r}"
            return Target(UNKNOWN_TYPE, detail=stated)
        return target


def _is_other_intake(value: bytes) -> bool:
    try:
        return _other_intake.decode(value).recognised
    except UNDECODABLE:
        return False


def _ms(seconds: float) -> int:
    """Milliseconds; what is absurd stays absurd, and is no overflow."""
    return round(min(max(seconds, -ABSURD_SECONDS), ABSURD_SECONDS) * SECOND)


def _pair(
    point: tuple[float, float | str | None] | _Point,
) -> tuple[float, float | str | None]:
    return (point.timestamp, point.value) if isinstance(point, _Point) else point


def _number(stated: float | str | None) -> float | str | None:
    """A value, None where there is none, or why it is no number."""
    if not isinstance(stated, str):
        return stated
    if not stated.isascii() or "_" in stated or stated != stated.strip():
        return NOT_A_NUMBER  # Python would read it; nobody who sends numbers writes it
    try:
        return float(stated)
    except ValueError:
        return NOT_A_NUMBER


def _whole(part: msgspec.Raw, index: int, outcomes: Outcomes) -> Iterator[Series]:
    """A series with the points that are whole; what is not is refused."""
    try:
        yield _series.decode(part)
        return
    except UNDECODABLE as error:
        fault = str(error)
    try:
        fields = msgspec.json.decode(part, type=dict[str, msgspec.Raw])
        points = _loose_series.decode(part).points
        series = _series.decode(msgspec.json.encode({**fields, "points": []}))
    except UNDECODABLE:
        outcomes.refuse(index, MALFORMED, fault)
        return
    for point in points:
        try:
            series.points.append(_point.decode(point))
        except UNDECODABLE as error:
            outcomes.refuse(index, MALFORMED, str(error))
    yield series
