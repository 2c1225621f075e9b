"""CloudWatch metric streams, JSON: one datum of one metric per document.

`timestamp` is the start of the period in epoch ms; no period is stated, so it is the
feed's usual distance of two cells. Where a datum is restated, it is joined by content.
"""

from typing import Final

import msgspec

from slo.model import SECOND, Stat
from streams.judgement import Stats, divisor_of
from streams.outcomes import IRRELEVANT, OK, UNKNOWN_RESOURCE, Outcomes
from streams.routes import tag, tags_text
from streams.slab import Slab
from streams.sources.source import UNDECODABLE, Intake, Statement, Target
from streams.table import Shape, Want

PER_SECOND: Final = "/Second"
SI: Final = {
    "Seconds": 1.0,
    "Milliseconds": 1e-3,
    "Microseconds": 1e-6,
    "Percent": 1e-2,
    "Count": 1.0,
    "Bytes": 1.0,
    "Kilobytes": 1e3,
    "Megabytes": 1e6,
    "Gigabytes": 1e9,
    "Terabytes": 1e12,
    "Bits": 0.125,
    "Kilobits": 125.0,
    "Megabits": 125e3,
    "Gigabits": 125e6,
    "Terabits": 125e9,
}
"""SI units per unit of the wire; `<unit>/Second` alike. `None` leaves the catalogue."""


class _Values(msgspec.Struct, gc=False):
    max: float
    min: float
    sum: float
    count: float


class Datum(msgspec.Struct, gc=False):
    """The fields that an SLI needs. `dimensions` stay raw: they are looked up."""

    namespace: str
    metric_name: str
    dimensions: msgspec.Raw
    timestamp: int
    value: _Values
    unit: str = ""
    account_id: str = ""
    region: str = ""


_decoder = msgspec.json.Decoder(Datum)
_dimensions = msgspec.json.Decoder(dict[str, str])


class CloudWatch:
    """Decodes and folds metric-stream data."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._metrics = frozenset(metric for _, metric in intake.table.cloudwatch)
        self._known: dict[tuple[str | bytes, ...], Target] = {}

    def fold(self, slab: Slab, outcomes: Outcomes) -> None:
        """Take a slab of single documents in."""
        decode, wanted = _decoder.decode, self._metrics
        irrelevant = 0
        for index, value in enumerate(slab.values):
            try:
                datum = decode(value)  # type: ignore[arg-type]  # None is undecodable
            except UNDECODABLE as error:
                outcomes.undecoded.append((index, str(error)))
                continue
            if datum.metric_name in wanted:
                self._state(datum, index, slab.arrivals[index], outcomes)
            else:
                irrelevant += 1
        outcomes.counts[IRRELEVANT] += irrelevant

    def _state(
        self, datum: Datum, index: int, arrival_ms: int, outcomes: Outcomes
    ) -> None:
        wire = datum.value
        stats = Stats(wire.count, wire.sum, wire.min, wire.max)
        one = Statement(datum.metric_name, datum.timestamp, stats, index, arrival_ms)
        self._intake.state(self._find(datum), one, outcomes)

    def _find(self, datum: Datum) -> Target:
        key = (
            datum.metric_name,
            bytes(datum.dimensions),
            datum.namespace,
            datum.unit,
            datum.account_id,
            datum.region,
        )
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= self._intake.most_known:
                self._known.clear()
            found = self._known[key] = self._resolve(datum)
        return found

    def _resolve(self, datum: Datum) -> Target:
        try:
            dimensions = _dimensions.decode(datum.dimensions)
        except UNDECODABLE:
            return Target("dimensions_are_no_text")
        shapes = self._intake.table.cloudwatch.get(
            (datum.namespace, datum.metric_name), ()
        )
        want = self._wanted(shapes, dimensions)
        if isinstance(want, str):
            return Target(want)
        tags = [tag(name, value) for name, value in dimensions.items()]
        tags += [tag("account", datum.account_id), tag("region", datum.region)]
        track = self._intake.fold.track(want, tags_text(tags), want.period_ms)
        if isinstance(track, str):
            return Target(track)
        return Target(OK, track, want.bounds, _divisor(datum.unit, want))

    def _wanted(
        self, shapes: list[Shape] | tuple[()], dimensions: dict[str, str]
    ) -> Want | str:
        outcome = IRRELEVANT
        for shape in shapes:
            if shape.names != dimensions.keys():
                continue
            name = dimensions[shape.identity]
            want = shape.wants.get(name)
            if want is not None:
                return want
            if self._intake.table.fleet.cluster_of(shape.kind, name) is None:
                self._intake.table.unknown_resource(shape.kind, name)
                outcome = UNKNOWN_RESOURCE
        return outcome


def _divisor(unit: str, want: Want) -> float:
    """What to divide by for SI units.

    A sum over the period becomes a rate where the plan reads a rate, unless the wire
    says that it is one.
    """
    divisor = divisor_of(SI.get(unit.removesuffix(PER_SECOND), want.scale))
    if want.rate and want.bounds.stat is Stat.SUM and not unit.endswith(PER_SECOND):
        return divisor * (want.period_ms / SECOND)
    return divisor
