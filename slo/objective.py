"""What a specification promises: target, time window, budgeting, slices."""

from decimal import Decimal
from fractions import Fraction
from typing import Final

import msgspec

from slo.entries import length
from slo.model import BUCKET_MS, DAY, MINUTE, Budgeting, Entry, Part, SliKind
from slo.names import duration
from slo.policy import DEFAULT, Policy, reachable
from slo.reading import Fields, shown

DEFAULT_PERIOD_MS: Final = 30 * DAY
_LONGEST_PERIOD_MS: Final = 366 * DAY
_SHORTEST_MS: Final = min(DEFAULT.windows_ms)
_CLOSEST: Final = Fraction(1, 10**9)
"""No budget is smaller: in 30 days of seconds it would allow a part of one."""

_SLICED: Final = ("timeSliceTarget", "timeSliceWindow")
_ROLLING: Final = "only rolling windows are evaluated today"


class Objective(msgspec.Struct, frozen=True):
    """The numbers of an SLO. `target` is 1/2 where the specification's is unreadable."""

    target: Fraction
    budgeting: Budgeting
    period_ms: int
    slice_ms: int
    slice_target: Fraction


def read_objective(spec: Fields, entry: Entry | None, policy: Policy) -> Objective:
    """The objective of an SLO's `spec`; what it leaves out comes from the entry.

    `entry` is None where the indicator itself is broken.
    """
    period_ms = _period(spec, policy)
    budgeting = _budgeting(spec, entry)
    fields = _only_objective(spec)
    method = _known_method(spec, fields, budgeting)
    slice_ms, slice_target = _slices(fields, method, entry)
    found = Objective(
        target=_target(spec, fields, entry),
        budgeting=budgeting,
        period_ms=period_ms,
        slice_ms=slice_ms,
        slice_target=slice_target,
    )
    step_ms = BUCKET_MS if method in (None, Budgeting.OCCURRENCES) else slice_ms
    if period_ms % step_ms:
        reason = f"{duration(period_ms)} is no multiple of {duration(slice_ms)}"
        spec.fault("timeWindow", reason, "Choose a window of whole slices")
    _warn_of_tiers(spec, fields, found, policy)
    if fields is not None:
        fields.close()
    return found


def _period(spec: Fields, policy: Policy) -> int:
    """The rolling window of the budget, ms; 30 d where none is written."""
    windows = spec.items("timeWindow")
    if not windows:
        return DEFAULT_PERIOD_MS
    if len(windows) > 1:
        reason = f"holds {len(windows)} windows, an SLO has one"
        spec.fault("timeWindow", reason, "Write one SLO for each window")
    path, node = windows[0]
    window = Fields(node, path, spec.findings)
    rolling = window.boolean("isRolling", default=not window.has("calendar"))
    if window.node("calendar") is not None:
        window.fault("calendar", _ROLLING, "Write `{duration: 30d, isRolling: true}`")
    elif not rolling:
        window.fault("isRolling", _ROLLING, "Write `isRolling: true`")
    window.required("duration", "Write a length, such as 30d")
    period_ms = length(window, "duration", DEFAULT_PERIOD_MS)
    _refuse_length(window, period_ms, policy)
    window.close()
    return period_ms


def _refuse_length(window: Fields, period_ms: int, policy: Policy) -> None:
    longest = max(policy.windows_ms)
    if period_ms > _LONGEST_PERIOD_MS:
        window.fault("duration", "is longer than a year", "Write 365d or less")
    if period_ms >= longest:
        return
    written = window.text("duration")
    reason = f"{written} is shorter than the alert policy's window {duration(longest)}"
    remedy = f"Write {duration(longest)} or more, such as 30d"
    if written.endswith("m"):
        remedy = f"{written} means minutes; write 30d for a month"
    window.fault("duration", reason, remedy)


def _budgeting(spec: Fields, entry: Entry | None) -> Budgeting:
    default = entry.budgeting if entry else Budgeting.OCCURRENCES
    budgeting = spec.choice("budgetingMethod", Budgeting, default)
    if entry is None or entry.kind is not SliKind.FRESHNESS:
        return budgeting
    if budgeting is Budgeting.OCCURRENCES and not _counts_rows(entry):
        reason = f"{entry.id} is an age, seen slice by slice: it has no events to count"
        spec.fault("budgetingMethod", reason, "Write `budgetingMethod: Timeslices`")
    return budgeting


def _known_method(
    spec: Fields, fields: Fields | None, budgeting: Budgeting
) -> Budgeting | None:
    """The method, None where it is not known which was meant: that is one fault.

    What belongs to the method is judged by it alone, so that no fault makes others.
    """
    written = spec.node("budgetingMethod")
    if written is not None:
        return budgeting if written.value == budgeting.value else None
    if spec.misspells("budgetingMethod"):
        return None
    keys = [key for key in _SLICED if fields is not None and fields.has(key)]
    if not keys or budgeting is not Budgeting.OCCURRENCES:
        return budgeting
    reason = f"is missing, and {' and '.join(keys)} have no meaning in Occurrences"
    spec.fault("budgetingMethod", reason, "Write `budgetingMethod: Timeslices`")
    return None


def _counts_rows(entry: Entry) -> bool:
    """Whether every row is an event of its own (K1), and not only the newest."""
    return any(
        part.part is Part.VALUE and "event" in part.metrics
        for feed in entry.feeds
        for part in feed.inputs
    )


def _only_objective(spec: Fields) -> Fields | None:
    """The one objective, None where the specification writes none."""
    objectives = spec.items("objectives")
    if not objectives:
        return None
    if len(objectives) > 1:
        reason = f"holds {len(objectives)} objectives, an SLO has one"
        spec.fault("objectives", reason, "Write one SLO for each objective")
    path, node = objectives[0]
    fields = Fields(node, path, spec.findings)
    fields.text("displayName")
    _refuse_foreign(fields)
    return fields


def _refuse_foreign(fields: Fields) -> None:
    """What OpenSLO allows in an objective and dbslo does not act upon."""
    for name in ("op", "value"):
        if fields.node(name) is not None:
            reason = "belongs to thresholdMetric, which is not read"
            remedy = "Remove it; a threshold stands beside `sli` in the metric source"
            fields.fault(name, reason, remedy)
    for name in ("indicator", "indicatorRef", "compositeWeight"):
        if fields.node(name) is not None:
            reason = "makes a composite SLO, which is not evaluated today"
            fields.fault(name, reason, "Write one SLO for each indicator")


def _target(spec: Fields, fields: Fields | None, entry: Entry | None) -> Fraction:
    written = _written_target(fields) if fields else None
    if written is not None:
        return written
    if fields is not None and (fields.has("target") or fields.has("targetPercent")):
        return Fraction(1, 2)  # unreadable, and already a fault
    if entry is not None and entry.objective:
        return Fraction(entry.objective)
    if entry is not None:
        place = fields or spec
        reason = "is missing, and a metric of your own has no default"
        place.fault("target" if fields else "objectives", reason, "Write a target")
    return Fraction(1, 2)


def _written_target(fields: Fields) -> Fraction | None:
    """Target or targetPercent as an exact ratio, None where absent or wrong."""
    ratio, percent = fields.number("target"), fields.number("targetPercent")
    if ratio is not None and percent is not None:
        reason = "is written beside target"
        fields.fault("targetPercent", reason, "Keep one of the two")
    if ratio is not None:
        return _budgeted(fields, "target", ratio, Fraction(ratio))
    if percent is not None:
        return _budgeted(fields, "targetPercent", percent, Fraction(percent) / 100)
    return None


def _budgeted(
    fields: Fields, name: str, written: Decimal, target: Fraction
) -> Fraction | None:
    """The target if it leaves a budget and asks for anything at all."""
    if 0 < target <= 1 - _CLOSEST:
        return target
    text = shown(written)
    if 1 - _CLOSEST < target < 1:
        reason = f"{text} is so close to 1 that it shows as 100 %"
        fields.fault(name, reason, "Write 9 decimals at most, such as 0.999999999")
    elif target <= 0:
        fields.fault(name, f"{text} asks for nothing", "Write a ratio, such as 0.999")
    elif target == 1:
        reason = f"{text} leaves no error budget, so every burn rate is infinite"
        fields.fault(name, reason, "Write less, such as 0.9999")
    elif name == "target" and target < 100:
        reason = f"{text} is no ratio between 0 and 1"
        remedy = f"Write `targetPercent: {text}` or {Decimal(written) / 100}"
        fields.fault(name, reason, remedy)
    else:
        fields.fault(name, f"{text} is more than everything", "Write less than 100 %")
    return None


def _slices(
    fields: Fields | None, budgeting: Budgeting | None, entry: Entry | None
) -> tuple[int, Fraction]:
    """The slice width in ms and the good share that a slice must reach.

    `budgeting` is None where nobody knows which is meant.
    """
    default = entry.slice_ms if entry else MINUTE
    if fields is None:
        return default, Fraction(1)
    share = _slice_share(fields, budgeting, entry)
    slice_ms = length(fields, "timeSliceWindow", default)
    if budgeting is Budgeting.OCCURRENCES and fields.has("timeSliceWindow"):
        reason = "belongs to Timeslices and RatioTimeslices"
        remedy = "Remove it, or write `budgetingMethod: Timeslices`"
        fields.fault("timeSliceWindow", reason, remedy)
    if _refuse_width(fields, slice_ms):
        slice_ms = default
    return slice_ms, Fraction(1) if share is None else Fraction(share)


def _slice_share(
    fields: Fields, budgeting: Budgeting | None, entry: Entry | None
) -> Decimal | None:
    """The good share that a slice must reach, None where none is written."""
    share = fields.number("timeSliceTarget")
    timeslices = budgeting is Budgeting.TIMESLICES
    if fields.has("timeSliceTarget") and not timeslices and budgeting:
        reason = "belongs to Timeslices"
        remedy = "Remove it, or write `budgetingMethod: Timeslices`"
        fields.fault("timeSliceTarget", reason, remedy)
    elif share is not None and not 0 < share <= 1:
        reason = f"{shown(share)} is no ratio above 0 and up to 1"
        fields.fault("timeSliceTarget", reason, "Write a ratio, such as 0.95")
    elif timeslices and entry is not None and entry.kind is SliKind.RATIO:
        remedy = "Write the share of a slice's events that must be good, such as 0.95"
        fields.required("timeSliceTarget", remedy)
    return share


def _refuse_width(fields: Fields, slice_ms: int) -> bool:
    """Whether a slice is no whole number of buckets, or no part of a window."""
    if slice_ms % BUCKET_MS:
        reason = f"{duration(slice_ms)} is no multiple of 10s, in which time is kept"
    elif _SHORTEST_MS % slice_ms:
        reason = (
            f"{duration(_SHORTEST_MS)}, the shortest alert window, is no multiple of"
            f" {duration(slice_ms)}"
        )
    else:
        return False
    fields.fault("timeSliceWindow", reason, "Write 10s, 20s, 30s, 1m or 5m")
    return True


def _warn_of_tiers(
    spec: Fields, fields: Fields | None, found: Objective, policy: Policy
) -> None:
    """Warn of tiers that can never fire, or that fire within budget."""
    place = fields or spec
    name = "target" if fields else "objectives"
    for tier in policy.tiers:
        factor = tier.factor(found.period_ms)
        if not reachable(tier, found.target, found.period_ms):
            most = float(1 / (1 - found.target))
            reason = (
                f"{tier.name} fires above {float(factor):g}x, but a total outage burns"
                f" {most:g}x: it can never fire"
            )
            place.warn(name, reason, "Raise the target, or do without this tier")
        elif factor < 1:
            reason = (
                f"{tier.name} fires above {float(factor):g}x, which is within budget"
            )
            spec.warn("timeWindow", reason, "Use a window of 30d or more")
