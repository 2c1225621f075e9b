"""Vector's metrics, as its `native_json` codec and its flat `json` codec write them.

The Datadog Agent source splits names at the first dot: they are joined again. A
Datadog rate arrives as an incremental counter, value times interval. A missing
timestamp means now, which is the arrival.
"""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

import msgspec

from streams.judgement import Stats
from streams.outcomes import IRRELEVANT, Outcomes
from streams.slab import Slab
from streams.sources.source import UNDECODABLE, Intake, Known, Statement, Target
from streams.sources.tagged import Targets

CUMULATIVE_COUNTER: Final = "cumulative_counter"
INCREMENTAL_GAUGE: Final = "incremental_gauge"
UNSUPPORTED_TYPE: Final = "unsupported_type"

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND: Final = timedelta(milliseconds=1)
INCREMENTAL: Final = "incremental"


class _Value(msgspec.Struct, gc=False):
    value: float


class Event(msgspec.Struct):
    """A metric, or what holds one: `metric` is the outer key of `native_json`."""

    metric: "Event | None" = None
    name: str = ""
    namespace: str | None = None
    tags: msgspec.Raw = msgspec.Raw(b"null")
    timestamp: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    interval_ms: int | None = None
    kind: str = ""
    counter: _Value | None = None
    gauge: _Value | None = None
    log: Any = None
    trace: Any = None


_decoder = msgspec.json.Decoder(Event)
_tags = msgspec.json.Decoder(dict[str, str | list[str | None] | None] | None)


class Vector:
    """Decodes and folds Vector metrics."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._targets = Targets(intake)
        self._known = Known[Target](intake)

    def fold(self, slab: Slab, outcomes: Outcomes) -> None:
        """Take a slab of single events in; logs and traces are irrelevant."""
        for index, value in enumerate(slab.values):
            try:
                outer = _decoder.decode(value)  # type: ignore[arg-type]
            except UNDECODABLE as error:
                outcomes.undecoded.append((index, str(error)))
                continue
            event = outer.metric or outer
            if event.name:
                self._take(event, index, slab.arrivals[index], outcomes)
            elif outer.log is not None or outer.trace is not None:
                outcomes.counts[IRRELEVANT] += 1
            else:
                outcomes.undecoded.append((index, "is neither metric, log nor trace"))

    def _take(
        self, event: Event, index: int, arrival_ms: int, outcomes: Outcomes
    ) -> None:
        metric = f"{event.namespace}.{event.name}" if event.namespace else event.name
        if metric not in self._intake.table.datadog:
            outcomes.counts[IRRELEVANT] += 1
            return
        value = _value(event)
        if isinstance(value, str):
            outcomes.refuse(index, value, metric)
            return
        start_ms = arrival_ms
        if event.timestamp is not None:
            start_ms = (event.timestamp - EPOCH) // MILLISECOND
        stats = Stats(0.0, value, value, value)
        one = Statement(metric, start_ms, stats, index, arrival_ms)
        self._intake.state(self._find(metric, event), one, outcomes)

    def _find(self, metric: str, event: Event) -> Target:
        key = (metric, bytes(event.tags), event.interval_ms, event.counter is None)
        found = self._known.get(key)
        if found is None:
            resolved = self._resolve(metric, event)
            found = self._known.keep(key, len(key[1]), resolved)
        return found

    def _resolve(self, metric: str, event: Event) -> Target:
        try:
            stated = _tags.decode(event.tags) or {}
        except UNDECODABLE:
            return Target("tags_are_no_text")
        tags = [
            name if value is None else f"{name}:{value}"
            for name, values in stated.items()
            if name != "source_type_name"
            for value in (values if isinstance(values, list) else [values])
        ]
        return self._targets.find(
            metric, tags, event.interval_ms or 0, counted=event.counter is not None
        )


def _value(event: Event) -> float | str:
    """The value of a counter's interval or of a gauge, or why there is none."""
    if event.counter is not None:
        return event.counter.value if event.kind == INCREMENTAL else CUMULATIVE_COUNTER
    if event.gauge is not None:
        return INCREMENTAL_GAUGE if event.kind == INCREMENTAL else event.gauge.value
    return UNSUPPORTED_TYPE
