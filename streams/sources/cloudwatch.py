"""CloudWatch metric streams, JSON: one datum of one metric per document.

`timestamp` is the start of the period in epoch ms; no period is stated, so it is the
feed's usual distance of two cells. Where a datum is restated, it is joined by content.
"""

from collections.abc import Sequence
from contextlib import suppress
from sys import intern
from typing import Any, Final, cast

from streams.fold import Stated, state_all
from streams.judgement import Stats
from streams.outcomes import IRRELEVANT, OK, UNKNOWN_RESOURCE, Outcomes
from streams.packing import PIECE
from streams.routes import tag, tags_text
from streams.slab import Slab
from streams.sources.heads import (
    BEHIND,
    CLOSE,
    Behind,
    Datum,
    Heads,
    Whom,
    behind,
    whole,
    whom,
)
from streams.sources.source import UNDECODABLE, Intake, Known, Statement, Target
from streams.sources.units import divisor, is_known
from streams.table import Shape, Want

UNKNOWN_UNIT: Final = "unknown_unit"
NO_SAMPLES: Final = "no_samples"
"""A datum of nothing says nothing: its 0 is no measurement, and none that is good."""


class _Line:
    """One identity (all but time and value).

    Values divided by `divisor` are in SI units; between `low` and `high` they hold
    without a second look.
    """

    __slots__ = ("divisor", "high", "low", "metric", "target", "track", "unit")

    def __init__(self, metric: str, unit: str, target: Target) -> None:
        self.metric = intern(metric)  # one object for all lines stays in the cache
        self.unit = intern(unit)
        self.target = target
        self.divisor = target.divisor
        self.low, self.high = 1.0, 0.0  # nothing is plain
        if target.track is not None and target.bounds is not None:
            self.track = target.track
            if target.bounds.plain:
                self.low, self.high = target.bounds.low, target.bounds.high


NOBODYS: Final = _Line("", "", Target(IRRELEVANT))
"""Of a metric, or of dimensions, that nobody asks for."""

Said = Datum | Behind
Read = tuple[Sequence[int], list[_Line], Sequence[Said]]
"""Of data: where they stand in the slab, whom they are about, and what they say."""


class CloudWatch:
    """Decodes and folds metric-stream data."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._known = Known[_Line](intake)
        self._heads = Heads[_Line](intake.table.wants)
        self._era = intake.fold.era

    def fold(self, slab: Slab, outcomes: Outcomes) -> None:
        """Take a slab of single documents in."""
        if self._era != self._intake.fold.era:
            self._era = self._intake.fold.era
            self._heads.forget()
        size = len(slab.values)
        headed = self._headed(slab)
        for first in range(0, size, PIECE):
            piece = range(first, min(first + PIECE, size))
            self._piece(slab, piece, outcomes, headed=headed)
            self._intake.fold.make_room()
        judged = outcomes.counts.total() + len(outcomes.undecoded)
        outcomes.counts[IRRELEVANT] += size - judged - len(outcomes.refused)

    def _headed(self, slab: Slab) -> bool:
        """Whether a slab begins with a datum that is known by its head, or can be.

        Who writes its members in another order does so with all its data.
        """
        first = next(iter(slab.values), None) or b""
        head, _, _ = first.partition(CLOSE)
        with suppress(*UNDECODABLE):
            return head in self._heads.lines or whom(head) is not None
        return False

    def _piece(
        self, slab: Slab, piece: range, outcomes: Outcomes, *, headed: bool
    ) -> None:
        """The hot path: as few steps a datum as can be, and each over many at once.

        What is plain in every respect goes straight to the batch. Everything else goes
        to `_state`, which knows all the rules.
        """
        places, lines, data = self._read(slab, piece, outcomes, headed=headed)
        arrivals = slab.arrivals[piece.start : piece.stop]
        earliest = slab.span[1] - self._intake.horizon.past_ms
        latest = slab.span[0] + self._intake.horizon.future_ms
        if len(data) < len(arrivals):
            arrivals = [slab.arrivals[index] for index in places]
        plain, nobodys, last_ms = list[Stated](), NOBODYS, -1
        for line, datum, arrival_ms, index in zip(
            lines, data, arrivals, places, strict=True
        ):
            if line is nobodys:
                continue
            wire, by, start_ms = datum.value, line.divisor, datum.timestamp
            low, high, total = wire.min, wire.max, wire.sum
            if by != 1.0:
                low, high, total = low / by, high / by, total / by
            if start_ms == last_ms:
                start_ms = last_ms  # one object for many tracks stays in the cache
            last_ms = start_ms
            if (
                line.low <= low <= high <= line.high >= total >= line.low
                and wire.count >= 1
                and earliest <= start_ms <= latest
                and line.unit == datum.unit
            ):
                plain.append(
                    (line.track, start_ms, arrival_ms, wire.count, total, low, high)
                )
            else:
                self._state(line, datum, slab, index, outcomes)
        state_all(plain)
        outcomes.counts[OK] += len(plain)

    def _read(
        self, slab: Slab, piece: range, outcomes: Outcomes, *, headed: bool
    ) -> Read:
        """A piece all of whose data are known by their heads, or are whole, or neither."""
        values: list[Any] = slab.values[piece.start : piece.stop]
        if headed:
            with suppress(*UNDECODABLE, AttributeError):
                return piece, *self._by_heads(values)
        with suppress(*UNDECODABLE):
            data = list(map(whole, values))
            return piece, [self._line(one, one.unit) for one in data], data
        return self._one_by_one(slab, piece, outcomes)

    def _by_heads(self, values: list[Any]) -> tuple[list[_Line], list[Behind]]:
        lines, tails = list[_Line | None](), list[bytes]()
        known = self._heads.lines.get
        for value in values:
            head, _, tail = value.partition(CLOSE)
            lines.append(known(head))
            tails.append(BEHIND + tail)
        data = list(map(behind, tails))
        if None not in lines:
            return cast("list[_Line]", lines), data
        found = zip(lines, values, data, strict=True)
        return [line or self._met(value, one) for line, value, one in found], data

    def _one_by_one(self, slab: Slab, piece: range, outcomes: Outcomes) -> Read:
        """Data of which not all are known; what is none goes to `undecoded`."""
        places, lines, data = list[int](), list[_Line](), list[Said]()
        for index in piece:
            try:
                line, datum = self._one(slab.values[index] or b"")
            except UNDECODABLE as error:
                outcomes.undecoded.append((index, str(error)))
            else:
                places.append(index)
                lines.append(line)
                data.append(datum)
        return places, lines, data

    def _one(self, value: bytes) -> tuple[_Line, Said]:
        """One datum. Raises one of UNDECODABLE."""
        with suppress(*UNDECODABLE):
            said = behind(BEHIND + value.partition(CLOSE)[2])
            return self._met(value, said), said
        datum = whole(value)
        return self._line(datum, datum.unit), datum

    def _met(self, value: bytes, said: Behind) -> _Line:
        """Whom a datum is about, by its head. Raises one of UNDECODABLE."""
        head, _, _ = value.partition(CLOSE)
        line = self._heads.lines.get(head)
        if line is None:
            line = self._resolve(whom(head), said.unit)
            asked_for, shared = line.target.track is not None, line is NOBODYS
            self._heads.keep(head, line, asked_for=asked_for, shared=shared)
        return line

    def _state(
        self,
        line: _Line,
        datum: Said,
        slab: Slab,
        index: int,
        outcomes: Outcomes,
    ) -> None:
        if line.unit != datum.unit:  # its metric comes in several
            value = slab.values[index] or b""
            line = self._line(whole(value), datum.unit)
            self._heads.follow(value.partition(CLOSE)[0], line)
        wire = datum.value
        if not wire.count and line.target.track is not None:
            outcomes.refuse(index, NO_SAMPLES, f"{line.metric} with count 0")
            return
        stats = Stats(wire.count, wire.sum, wire.min, wire.max)
        at = (datum.timestamp, stats, index, slab.arrivals[index])
        one = Statement(line.metric, *at)
        self._intake.state(line.target, one, outcomes)

    def _line(self, about: Whom, unit: str) -> _Line:
        """Whom a datum is about, by all that it says of it: its head does not."""
        if not self._shapes(about):
            return NOBODYS
        metric, dimensions = about.metric_name, about.dimensions
        texts = (metric, about.namespace, unit, about.account_id, about.region)
        key = (*texts, frozenset(dimensions.items()))
        found = self._known.get(key)
        if found is None:
            size = sum(map(len, [*texts, *dimensions, *dimensions.values()]))
            found = self._known.keep(key, size, self._resolve(about, unit))
        return found

    def _resolve(self, about: Whom, unit: str) -> _Line:
        """Who asks for a datum, if anybody does."""
        metric, dimensions = about.metric_name, about.dimensions
        shapes = self._shapes(about)
        if not shapes:
            return NOBODYS
        want = self._wanted(shapes, dimensions)
        if isinstance(want, str):
            return _Line(metric, unit, Target(want))
        if not is_known(unit):
            detail = f" in {unit[:20]!r}"
            return _Line(metric, unit, Target(UNKNOWN_UNIT, detail=detail))
        tags = [tag(name, value) for name, value in dimensions.items()]
        tags += [tag("account", about.account_id), tag("region", about.region)]
        track = self._intake.fold.track(want, tags_text(tags), want.period_ms)
        if isinstance(track, str):
            return _Line(metric, unit, Target(track))
        target = Target(OK, track, want.bounds, divisor(unit, want))
        return _Line(metric, unit, target)

    def _shapes(self, about: Whom) -> list[Shape]:
        wanted = self._intake.table.cloudwatch
        several = wanted.get((about.namespace, about.metric_name), ())
        return [one for one in several if one.names == about.dimensions.keys()]

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
