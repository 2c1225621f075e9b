"""CloudWatch metric streams, JSON: one datum of one metric per document.

`timestamp` is the start of the period in epoch ms; no period is stated, so it is the
feed's usual distance of two cells. Where a datum is restated, it is joined by content.
"""

from collections.abc import Sequence
from contextlib import suppress
from sys import intern
from typing import Annotated, Any, Final

import msgspec

from slo.model import SECOND, Stat
from streams.fold import Stated, state_all
from streams.judgement import Stats, divisor_of
from streams.outcomes import IRRELEVANT, OK, UNKNOWN_RESOURCE, Outcomes
from streams.packing import PIECE
from streams.routes import tag, tags_text
from streams.slab import Slab
from streams.sources.source import (
    KEY_BYTES,
    MAX_IDENTITY,
    MAX_KNOWN,
    MAX_KNOWN_BYTES,
    UNDECODABLE,
    Intake,
    Statement,
    Target,
)
from streams.table import Shape, Want

MAX_COUNT: Final = 1e12
UNKNOWN_UNIT: Final = "unknown_unit"
NO_SAMPLES: Final = "no_samples"
"""A datum of nothing says nothing: its 0 is no measurement, and none that is good."""

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
"""SI units per unit of the wire; `<unit>/Second` alike."""

UNSTATED: Final = ("", "None")
"""The catalogue's unit holds. Of any other nobody knows how much of it is too much."""


class _Values(msgspec.Struct, gc=False):
    max: float
    min: float
    sum: float
    count: Annotated[float, msgspec.Meta(ge=0, le=MAX_COUNT)]


class Datum(msgspec.Struct, gc=False):
    """The fields that an SLI needs."""

    namespace: str
    metric_name: str
    dimensions: dict[str, str]
    timestamp: int
    value: _Values
    unit: str = ""
    account_id: str = ""
    region: str = ""


class _Line:
    """One identity (all but time and value) whose data are wanted.

    Values divided by `divisor` are in SI units; between `low` and `high` they hold
    without a second look.
    """

    __slots__ = (
        "account_id",
        "divisor",
        "high",
        "low",
        "namespace",
        "region",
        "target",
        "track",
        "unit",
    )

    def __init__(self, datum: Datum, target: Target) -> None:
        self.unit = intern(datum.unit)  # one object for all lines stays in the cache
        self.region = intern(datum.region)
        self.account_id = intern(datum.account_id)
        self.namespace = intern(datum.namespace)
        self.target = target
        self.divisor = target.divisor
        self.low, self.high = 1.0, 0.0  # nothing is plain
        if target.track is not None and target.bounds is not None:
            self.track = target.track
            if target.bounds.plain:
                self.low, self.high = target.bounds.low, target.bounds.high


_decoder = msgspec.json.Decoder(Datum)


class CloudWatch:
    """Decodes and folds metric-stream data."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._lines: dict[str, tuple[str, dict[str | None, _Line]]] = {
            metric: (shapes[0].identity, {})
            for (_, metric), shapes in intake.table.cloudwatch.items()
        }
        self._others: dict[tuple[object, ...], _Line] = {}
        self._bytes = 0
        self._most = max(MAX_KNOWN, 4 * intake.table.wants)
        self._era = intake.fold.era

    def fold(self, slab: Slab, outcomes: Outcomes) -> None:
        """Take a slab of single documents in."""
        if self._era != self._intake.fold.era:
            self._era = self._intake.fold.era
            self._forget()
        size = len(slab.values)
        for first in range(0, size, PIECE):
            self._piece(slab, range(first, min(first + PIECE, size)), outcomes)
            self._intake.fold.make_room()
        judged = outcomes.counts.total() + len(outcomes.undecoded)
        outcomes.counts[IRRELEVANT] += size - judged - len(outcomes.refused)

    def _piece(self, slab: Slab, piece: range, outcomes: Outcomes) -> None:
        """The hot path: as few steps a datum as can be, and each over many at once.

        What is plain in every respect goes straight to the batch. Everything else goes
        to `_state`, which knows all the rules.
        """
        places, data = self._decoded(slab, piece, outcomes)
        arrivals = slab.arrivals[piece.start : piece.stop]
        earliest = slab.span[1] - self._intake.horizon.past_ms
        latest = slab.span[0] + self._intake.horizon.future_ms
        if len(data) < len(arrivals):
            arrivals = [slab.arrivals[index] for index in places]
        lines_of, plain = self._lines.get, list[Stated]()
        for index, datum, arrival_ms in zip(places, data, arrivals, strict=True):
            wanted = lines_of(datum.metric_name)
            if wanted is None:
                continue
            identity, lines = wanted
            line = lines.get(datum.dimensions.get(identity))
            if line is None or not (
                line.unit == datum.unit
                and line.region == datum.region
                and line.account_id == datum.account_id
                and line.namespace == datum.namespace
                and len(datum.dimensions) == 1
            ):
                line = self._other(datum)
                if line is None:
                    continue
            wire, by, start_ms = datum.value, line.divisor, datum.timestamp
            low, high, total = wire.min / by, wire.max / by, wire.sum / by
            if (
                line.low <= low <= high <= line.high >= total >= line.low
                and wire.count >= 1
                and earliest <= start_ms <= latest
            ):
                plain.append(
                    (line.track, start_ms, arrival_ms, wire.count, total, low, high)
                )
            else:
                self._state(line, datum, index, arrival_ms, outcomes)
        state_all(plain)
        outcomes.counts[OK] += len(plain)

    def _decoded(
        self, slab: Slab, piece: range, outcomes: Outcomes
    ) -> tuple[Sequence[int], list[Datum]]:
        """The data, and where they stand; what is none goes to `undecoded`."""
        values: list[Any] = slab.values[piece.start : piece.stop]
        with suppress(*UNDECODABLE):
            return piece, list(map(_decoder.decode, values))
        places, data = list[int](), list[Datum]()
        for index, value in zip(piece, values, strict=True):
            try:
                data.append(_decoder.decode(value))
            except UNDECODABLE as error:
                outcomes.undecoded.append((index, str(error)))
            else:
                places.append(index)
        return places, data

    def _state(
        self,
        line: _Line,
        datum: Datum,
        index: int,
        arrival_ms: int,
        outcomes: Outcomes,
    ) -> None:
        wire = datum.value
        if not wire.count and line.target.track is not None:
            outcomes.refuse(index, NO_SAMPLES, f"{datum.metric_name} with count 0")
            return
        stats = Stats(wire.count, wire.sum, wire.min, wire.max)
        one = Statement(datum.metric_name, datum.timestamp, stats, index, arrival_ms)
        self._intake.state(line.target, one, outcomes)

    def _other(self, datum: Datum) -> _Line | None:
        """The line of an identity that the hot path does not find.

        It is new, or has several dimensions, or is not the first with its name: another
        account, region, namespace or unit. None where nobody asks for its dimensions.
        """
        metric, dimensions = datum.metric_name, datum.dimensions
        shapes = [
            shape
            for shape in self._intake.table.cloudwatch.get(
                (datum.namespace, metric), ()
            )
            if shape.names == dimensions.keys()
        ]
        if not shapes:
            return None
        texts = (metric, datum.namespace, datum.unit, datum.account_id, datum.region)
        key = (*texts, frozenset(dimensions.items()))
        found = self._others.get(key)
        if found is None:
            found = _Line(datum, self._resolve(datum, shapes))
            size = sum(map(len, [*texts, *dimensions.values()]))
            if size > MAX_IDENTITY:
                return found
            self._make_room(size + KEY_BYTES)
            self._others[key] = found
            identity, lines = self._lines[metric]
            if found.target.track is not None and [*dimensions] == [identity]:
                lines.setdefault(dimensions[identity], found)
        return found

    def _make_room(self, size: int) -> None:
        most_bytes = max(MAX_KNOWN_BYTES, 2 * KEY_BYTES * self._most)
        if len(self._others) >= self._most or self._bytes + size > most_bytes:
            self._forget()
        self._bytes += size

    def _forget(self) -> None:
        self._others.clear()
        self._bytes = 0
        for _, lines in self._lines.values():
            lines.clear()

    def _resolve(self, datum: Datum, shapes: list[Shape]) -> Target:
        want = self._wanted(shapes, datum.dimensions)
        if isinstance(want, str):
            return Target(want)
        unit = datum.unit
        if unit not in UNSTATED and unit.removesuffix(PER_SECOND) not in SI:
            return Target(UNKNOWN_UNIT, detail=f" in {unit[:20]!r}")
        tags = [tag(name, value) for name, value in datum.dimensions.items()]
        tags += [tag("account", datum.account_id), tag("region", datum.region)]
        track = self._intake.fold.track(want, tags_text(tags), want.period_ms)
        if isinstance(track, str):
            return Target(track)
        return Target(OK, track, want.bounds, _divisor(datum.unit, want))

    def _wanted(self, shapes: list[Shape], dimensions: dict[str, str]) -> Want | str:
        outcome = IRRELEVANT
        for shape in shapes:
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
