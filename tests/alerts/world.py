"""What Prometheus would have scraped, step by step, for promtool's rule tests.

A world begins healthy, as the engine would export it; a story then changes values.
"""

from collections.abc import Iterator
from itertools import groupby
from typing import Any

from slo import names
from slo.contract import METRICS, period
from slo.model import MINUTE, SECOND, SLO, Series
from slo.names import PERIOD, TIER, WINDOW, duration
from slo.plan import Plan

STEP_MS = MINUTE
HOT_FLOOR = 180
Labels = dict[str, str]
Value = float | None


class World:
    """Every metric that rules read, for some steps of a minute."""

    def __init__(self, plan: Plan, steps: int) -> None:
        self._steps = steps
        self._values: dict[tuple[str, tuple[tuple[str, str], ...]], list[Value]] = {}
        for series in plan.series:
            self._add_series(plan, series)
        self._add_engine()

    def _add_series(self, plan: Plan, series: Series) -> None:
        slo, own = series.slo, series.labels
        for ms in plan.policy.windows_ms:
            window = own | {WINDOW: duration(ms)}
            self.add(names.BURN_RATE, window, 0)
            self.add(names.WINDOW_BAD_EVENTS, window, 0)
            self.add(names.WINDOW_TOTAL_EVENTS, window, slo.min_total + 1_000)
        for tier in plan.policy.tiers:
            self.add(names.ALERT_STATE, own | {TIER: tier.name}, 0)
            self.add(names.HOT_SECONDS, own | {TIER: tier.name}, 0)
        rolling = own | {PERIOD: period(slo.period_ms)}
        self.add(names.BUDGET_REMAINING_RATIO, rolling, 1)
        for metric, value in (
            (names.ALERT_STATE, 0),
            (names.MIN_BAD_EVENTS, slo.min_bad),
            (names.MIN_TOTAL_EVENTS, slo.min_total),
            (names.HOT_FLOOR_SECONDS, HOT_FLOOR),
            (names.COVERAGE_RATIO, 1),
            (names.SOURCE_AGE_SECONDS, 60),
        ):
            self.add(metric, own, value)
        self.count_up(names.WATERMARK_SECONDS, own)

    def _add_engine(self) -> None:
        self.add(names.BUILD_INFO, {"version": "1"}, 1)
        self.add(names.CHECKPOINT_AGE_SECONDS, {"partition": "0"}, 1)
        self.add(names.OUTBOX_OLDEST_SECONDS, {}, 0)
        for outcome in ("sent", "retry", "dead"):
            labels = {"target": "pagerduty", "outcome": outcome}
            self.add(names.NOTIFY_TOTAL, labels, 0)

    def add(self, metric: str, labels: Labels, value: float) -> None:
        """A series with one value throughout."""
        unknown = set(labels) - set(METRICS[metric].labels)
        assert not unknown, f"{metric} has no label {unknown}"
        self._values[metric, tuple(sorted(labels.items()))] = [value] * self._steps

    def count_up(self, metric: str, labels: Labels) -> None:
        """A series that is the time itself, in seconds."""
        key = (metric, tuple(sorted(labels.items())))
        self._values[key] = [n * STEP_MS / SECOND for n in range(self._steps)]

    def set(
        self, metric: str, labels: Labels, value: Value, during: tuple[int, int]
    ) -> None:
        """Another value from one step up to, not including, another; None: no sample."""
        start, end = during
        values = self._values[metric, tuple(sorted(labels.items()))]
        values[start:end] = [value] * (min(end, self._steps) - start)

    def forget(self, metric: str) -> None:
        """No sample of a metric at all."""
        self._values = {k: v for k, v in self._values.items() if k[0] != metric}

    def burn(
        self, slo: SLO, series: Series, tier: Any, during: tuple[int, int]
    ) -> None:
        """Just enough of everything for one tier to fire."""
        factor = float(tier.factor(slo.period_ms))
        long, short = duration(tier.long_ms), duration(tier.short_ms)
        own = series.labels
        just_above = factor * (1 + 1e-12)
        for window in (long, short):
            self.set(names.BURN_RATE, own | {WINDOW: window}, just_above, during)
        in_long = own | {WINDOW: long}
        self.set(names.WINDOW_BAD_EVENTS, in_long, slo.min_bad, during)
        self.set(names.WINDOW_TOTAL_EVENTS, in_long, slo.min_total, during)
        self.set(names.HOT_SECONDS, own | {TIER: tier.name}, HOT_FLOOR, during)

    def input_series(self) -> list[dict[str, str]]:
        """As promtool wants it."""
        return [
            {
                "series": selector(metric, dict(labels)),
                "values": " ".join(_runs(values)),
            }
            for (metric, labels), values in self._values.items()
        ]


def selector(metric: str, labels: Labels) -> str:
    """A series by its labels, quoted."""
    quoted = (f"{key}={_quoted(value)}" for key, value in labels.items())
    return f"{metric}{{{','.join(quoted)}}}"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _runs(values: list[Value]) -> Iterator[str]:
    for value, run in groupby(values):
        count = len(list(run)) - 1
        if value is None:
            yield f"_x{count}" if count else "_"
        else:
            yield f"{value!r}+0x{count}" if count else repr(value)
