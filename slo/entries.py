"""Catalogue entries: trees to Entry. The YAML stands under `slo/catalogue/`."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from slo.durations import DurationError, duration_ms, quantity
from slo.faults import Node
from slo.model import (
    MINUTE,
    SECOND,
    Budgeting,
    Entry,
    Feed,
    Input,
    Outcome,
    Part,
    Sentinel,
    SliKind,
    Stat,
    Urgency,
)
from slo.reading import Fields, Findings, exact, kind_of, nearest
from slo.resources import (
    Engine,
    ResourceKind,
)

Catalogue = Mapping[str, Entry]
"""Entries by id."""

SOURCES = ("cloudwatch", "datadog", "cdc")

CADENCE_MS = {
    "cloudwatch": MINUTE,
    "datadog": 15 * SECOND,
    "cdc": 10 * SECOND,
}
"""The usual distance of two cells, by source."""

ARRIVAL_LAG_MS = {
    "cloudwatch": 180 * SECOND,
    "datadog": 30 * SECOND,
    "cdc": 30 * SECOND,
}
"""How late a cell may be before it is missed, by source."""

MAX_VALUE = 1e15


def read_catalogue(documents: Sequence[Node], findings: Findings) -> Catalogue:
    """The catalogue of its documents; faults go to `findings`."""
    entries: dict[str, Entry] = {}
    for document in documents:
        fields = Fields(document, "", findings)
        entry = _entry(fields)
        fields.close()
        if entry.id in entries:
            fields.fault("id", f"{entry.id} is written twice", "Keep one")
        entries[entry.id] = entry
    return entries


def _entry(fields: Fields) -> Entry:
    unit = fields.text("unit", "ratio")
    return Entry(
        id=fields.required_text("id", "Name the SLI"),
        code=fields.required_text("code", "Give its code"),
        title=fields.required_text("title", "Give it a title"),
        kind=fields.required_choice("kind", SliKind, SliKind.RATIO),
        unit=unit,
        feeds=tuple(_feed(inner) for inner in _mappings(fields, "feeds")),
        objective=fields.number("objective") or Decimal(0),
        budgeting=fields.required_choice("budgeting", Budgeting, Budgeting.TIMESLICES),
        urgency=fields.required_choice("urgency", Urgency, Urgency.TICKET),
        slice_ms=length(fields, "slice", MINUTE),
        threshold=threshold(fields, unit),
        min_total=fields.count("min_total") or 0,
        min_bad=fields.count("min_bad") or 0,
        description=fields.text("description").strip(),
        pitfalls=tuple(pitfall.strip() for pitfall in fields.texts("pitfalls")),
    )


def _mappings(fields: Fields, name: str) -> list[Fields]:
    return [Fields(node, path, fields.findings) for path, node in fields.items(name)]


def _feed(fields: Fields) -> Feed:
    source = read_source(fields)
    fields.required("engines", f"List some of {', '.join(Engine)}")
    feed = Feed(
        source=source,
        engines=read_engines(fields),
        resource=fields.required_choice(
            "resource", ResourceKind, ResourceKind.INSTANCE
        ),
        inputs=tuple(_input(inner) for inner in _mappings(fields, "inputs")),
        cadence_ms=length(fields, "cadence", CADENCE_MS[source]),
        arrival_lag_ms=length(fields, "arrival_lag", ARRIVAL_LAG_MS[source]),
        absence=fields.text("absence", "unknown"),
        idle=fields.text("idle").strip(),
        idle_value=_float(fields.number("idle_value")),
    )
    fields.close()
    return feed


def _input(fields: Fields) -> Input:
    part = fields.required_choice("part", Part, Part.VALUE)
    fields.required("metrics", "Name the metric")
    found = read_input(fields, part, fields.texts("metrics"))
    fields.close()
    return found


def read_source(fields: Fields) -> str:
    """The `source` of a feed; a stand-in where it is wrong."""
    source = fields.required_text("source", f"Write one of {', '.join(SOURCES)}")
    if source and source not in SOURCES:
        fields.fault("source", f"{source[:40]} is no source", nearest(source, SOURCES))
    return source if source in SOURCES else SOURCES[0]


def read_engines(fields: Fields) -> tuple[Engine, ...]:
    """The `engines` of a feed, all of them where none are named."""
    words = fields.texts("engines")
    for word in words:
        if word not in set(Engine):
            fields.fault("engines", f"{word[:40]} is no engine", nearest(word, Engine))
    return tuple(Engine(word) for word in words if word in set(Engine)) or tuple(Engine)


def read_input(fields: Fields, part: Part, metrics: tuple[str, ...]) -> Input:
    """An input but for its part and metrics, which its caller has read."""
    ratio = part in (Part.GOOD, Part.BAD, Part.TOTAL)
    absent = fields.text("absent", "no_data")
    if absent not in ("no_data", "zero"):
        remedy = nearest(absent, ("no_data", "zero"))
        fields.fault("absent", f"is {kind_of(absent)}, not no_data or zero", remedy)
    scale = fields.number("scale")
    if scale is not None and scale <= 0:
        fields.fault("scale", "must be above zero", "Write SI units per wire unit")
    return Input(
        part=part,
        metrics=metrics,
        namespace=fields.text("namespace"),
        dimensions=fields.texts("dimensions"),
        unit=fields.text("unit"),
        stat=fields.choice("stat", Stat, Stat.SUM if ratio else Stat.MAX),
        scale=1.0 if scale is None else float(scale),
        rate=fields.boolean("rate"),
        absent=absent,
        sentinels=tuple(_sentinel(inner) for inner in _mappings(fields, "sentinels")),
        valid=_bounds(fields),
    )


def _sentinel(fields: Fields) -> Sentinel:
    fields.required("value", "Write the number that is no measurement")
    sentinel = Sentinel(
        value=float(fields.number("value") or 0),
        outcome=fields.required_choice("outcome", Outcome, Outcome.BAD),
        meaning=fields.text("meaning").strip(),
    )
    fields.close()
    return sentinel


def _bounds(fields: Fields) -> tuple[float, float]:
    """The `valid` bounds, lowest and highest, in SI units."""
    items = fields.items("valid")
    if not items:
        return (0.0, MAX_VALUE)
    numbers = [exact(node.value) for _, node in items]
    low, high = [*numbers, None, None][:2]
    if len(numbers) != 2 or low is None or high is None or low > high:
        fields.fault(
            "valid", "must be two numbers, the lower first", "Write [lowest, highest]"
        )
        return (0.0, MAX_VALUE)
    return (float(low), float(high))


def length(fields: Fields, name: str, default: int) -> int:
    """A duration field in ms, `default` where absent or wrong."""
    text = fields.text(name)
    if not text:
        return default
    try:
        return duration_ms(text)
    except DurationError as error:
        fields.fault(name, str(error), error.remedy)
        return default


def threshold(fields: Fields, unit: str) -> float | None:
    """The `threshold` field in SI units: `500ms`, or a number in the SLI's unit."""
    node = fields.node("threshold")
    if node is None:
        return None
    number = exact(node.value)
    if number is not None and number >= 0:
        return float(number)
    if not isinstance(node.value, str):
        reason = f"must be a quantity, is {kind_of(node.value)}"
        fields.fault("threshold", reason, "Write a quantity such as 1s or 0.5")
        return None
    try:
        return quantity(node.value, unit)
    except DurationError as error:
        fields.fault("threshold", str(error), error.remedy)
        return None


def _float(value: Decimal | None) -> float | None:
    return None if value is None else float(value)
