"""The ledger and its evaluation said plainly: a dict, a loop, fractions.

Slow and obvious, written from the design and not from the code. The laws hold the
engine to it.
"""

from fractions import Fraction
from typing import NamedTuple

from slo.evaluation import Timing
from slo.model import DAY, HOUR, MILLIONTHS, MINUTE, Budgeting, Series, SliKind, Urgency
from slo.policy import Policy, Tier

Buckets = dict[int, tuple[int, int, int, int]]
"""start_ms: (good, total, events good, events total)."""


SEVERITIES = ("page", "ticket")


class Seen(NamedTuple):
    """One window."""

    bad: int
    total: int
    share: Fraction
    share_if_rest_good: Fraction
    coverage: Fraction
    prior_ms: int
    guard_bad: Fraction
    guard_total: Fraction  # prior included


class Plain(NamedTuple):
    """What a status says, without its texts."""

    verdict: str
    tier: str
    tiers: tuple[str, ...]
    windows: dict[int, Seen]
    hot_ms: dict[str, int]
    end_ms: int


def plainly(
    series: Series, policy: Policy, timing: Timing, buckets: Buckets, now_ms: int
) -> Plain:
    """The verdict on one series at `now_ms`."""
    slo = series.slo
    step = slo.slice_ms if slo.sliced else 10_000
    end = (now_ms - timing.arrival_lag_ms) // step * step
    if buckets:
        end = max(end, max(buckets) + step)
    lengths = {*policy.windows_ms, slo.period_ms}
    windows = {length: window(series, buckets, end, length) for length in lengths}
    slot = max(step, timing.cadence_ms)
    floor = max(policy.hot_floor_ms, policy.hot_cadences * slot)
    hot = {}
    tiers = []
    for tier in policy.tiers:
        limit = tier.factor(slo.period_ms) * (1 - slo.target)
        if tier.severity.value == "page":
            begin = end - tier.long_ms
            hot[tier.name] = 0 if limit >= 1 else heat(buckets, begin, slot, limit)
        tiers.append(one_tier(series, tier, windows, hot.get(tier.name), floor))
    verdict, decisive = decided(series, policy, windows, tiers, bool(buckets))
    return Plain(verdict, decisive, tuple(tiers), windows, hot, end)


def window(series: Series, buckets: Buckets, end: int, length: int) -> Seen:
    slo = series.slo
    step = slo.slice_ms if slo.sliced else 10_000
    span = -(-length // step) * step
    edge = end - span
    edge = edge // resolution(length) * resolution(length)
    inside = [row for start, row in buckets.items() if start >= edge]
    good, total, events_good, events_total = map(
        sum, zip(*inside, strict=True) if inside else [()] * 4
    )
    bad = total - good
    prior = 0
    if buckets:
        prior = min(max(min(buckets) - (end - span), 0), span)
    seen = span - prior
    share = Fraction(bad * seen, total * span) if total and seen else Fraction(0)
    if not slo.sliced:
        covered = span if buckets else 0
        rest_good = share
    else:
        covered = min(prior + len(inside) * step, span)
        whole = MILLIONTHS if slo.budgeting is Budgeting.RATIO_TIMESLICES else 1
        rest_good = Fraction(bad, whole) / Fraction(span, step)
        if slo.indicator.kind is not SliKind.RATIO:
            events_good = Fraction(good, whole)
            events_total = Fraction(total, whole)
    guard_total = Fraction(events_total) * span / seen if seen else Fraction(0)
    return Seen(
        bad,
        total,
        share,
        rest_good,
        Fraction(covered, span),
        prior,
        Fraction(events_total) - events_good,
        guard_total,
    )


def resolution(length: int) -> int:
    """To what the edge of a window is rounded down: at most 1/30 of it."""
    if length <= 6 * HOUR:
        return 1
    if length < 30 * HOUR:
        return 10 * MINUTE
    return HOUR if length < 7.5 * DAY else 6 * HOUR


def heat(buckets: Buckets, begin: int, slot: int, limit: Fraction) -> int:
    """Slot by slot from the first to the last one."""
    sums: dict[int, list[int]] = {}
    for start, (good, total, _, _) in buckets.items():
        if start // slot * slot >= begin:
            held = sums.setdefault(start // slot, [0, 0])
            held[0] += total - good
            held[1] += total
    if not sums:
        return 0
    hot = waiting = 0
    inside = False
    for number in range(min(sums), max(sums) + 1):
        if number not in sums:
            waiting += inside
            continue
        bad, total = sums[number]
        inside = Fraction(bad, total) > limit
        hot += 1 + waiting if inside else 0
        waiting = 0
    return hot * slot


def one_tier(
    series: Series,
    tier: Tier,
    windows: dict[int, Seen],
    hot: int | None,
    floor: int,
) -> str:
    slo = series.slo
    limit = tier.factor(slo.period_ms) * (1 - slo.target)
    if limit >= 1:
        return "ok"
    long, short = windows[tier.long_ms], windows[tier.short_ms]
    if short.coverage < Fraction(1, 2):
        if min(long.share_if_rest_good, short.share_if_rest_good) <= limit:
            return "unknown"
    elif min(long.share, short.share) <= limit:
        return "ok"
    if long.guard_bad < slo.min_bad or long.guard_total < slo.min_total:
        return "ok"
    if hot is not None and hot < floor:
        return "ok"
    return tier.severity.value


def decided(
    series: Series,
    policy: Policy,
    windows: dict[int, Seen],
    tiers: list[str],
    observed: bool,
) -> tuple[str, str]:
    slo = series.slo
    if not observed:
        return "unknown", ""
    levels = {
        Urgency.PAGE: {"page": "page", "ticket": "ticket"},
        Urgency.TICKET: {"page": "ticket", "ticket": "ticket"},
        Urgency.BOARD: {"page": "watch", "ticket": "watch"},
    }[slo.urgency]
    said = [
        (levels[tier.severity.value], verdict, tier.name)
        for tier, verdict in zip(policy.tiers, tiers, strict=True)
    ]
    for level in ("page", "ticket", "watch"):
        fires = [name for at, v, name in said if at == level and v in SEVERITIES]
        unsure = [name for at, v, name in said if at == level and v == "unknown"]
        if fires:
            return level, fires[0]
        if unsure:
            return "unknown", unsure[0]
    budget = 1 - slo.target
    pages = [tier for tier in policy.tiers if tier.severity.value == "page"]
    burning = [tier for tier in pages if windows[tier.long_ms].share > budget]
    return ("watch", burning[0].name) if burning else ("ok", "")
