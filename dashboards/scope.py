"""What a set of boards is drawn for, and the few shapes that its PromQL takes."""

from collections.abc import Callable
from typing import NamedTuple

from dashboards.looks import Link
from dashboards.normalise import panel_id
from slo import names
from slo.model import DAY, SLO
from slo.names import SERIES_LABELS, duration
from slo.plan import Plan
from slo.policy import DEFAULT, Policy

DEFAULT_PERIOD_MS = 30 * DAY

Selecting = Callable[..., str]
"""`fleet` or `one`: a metric and matchers to a selector."""

SERIES = ", ".join(SERIES_LABELS)
FLEET = f'{SERIES_LABELS[0]}=~"$env",cluster=~"$cluster",service=~"$service"'
ONE = ",".join(f'{label}="${label}"' for label in SERIES_LABELS)
VERDICT = f'{names.TIER}=""'
"""`dbslo_alert_state` of the whole series, not of one tier."""


class Scope(NamedTuple):
    """The policy whose lines are drawn, the period of the budgets, the SLOs."""

    policy: Policy
    period_ms: int
    slos: tuple[SLO, ...]

    @property
    def fastest_ms(self) -> int:
        """The window by which the worst is found: the fastest tier's long one."""
        return self.policy.tiers[0].long_ms

    @property
    def fastest(self) -> str:
        """The same as a label value."""
        return duration(self.fastest_ms)


def scope(plan: Plan | None) -> Scope:
    """The scope of a plan; the default policy over 30 days where there is none.

    Where SLOs differ in period, the longest is drawn: charts then hold them all.
    """
    if plan is None:
        return Scope(DEFAULT, DEFAULT_PERIOD_MS, ())
    periods = [slo.period_ms for slo in plan.slos] or [DEFAULT_PERIOD_MS]
    ordered = tuple(sorted(plan.slos, key=lambda slo: (slo.service, slo.name)))
    return Scope(plan.policy, max(periods), ordered)


def fleet(metric: str, *matchers: str) -> str:
    """A selector of every series that the overview's variables choose."""
    return f"{metric}{{{','.join((FLEET, *matchers))}}}"


def one(metric: str, *matchers: str) -> str:
    """A selector of the one series that the detail board is about."""
    return f"{metric}{{{','.join((ONE, *matchers))}}}"


def window(ms: int) -> str:
    """A matcher for one window."""
    return f'{names.WINDOW}="{duration(ms)}"'


def windows(lengths_ms: tuple[int, ...]) -> str:
    """A matcher for several windows."""
    return f'{names.WINDOW}=~"{"|".join(map(duration, lengths_ms))}"'


def seen(select: Selecting, metric: str, window_ms: int) -> str:
    """A metric of one window, where any of the window was observed at all."""
    chosen = window(window_ms)
    covered = f"{select(names.WINDOW_COVERAGE_RATIO, chosen)} > 0"
    return f"{select(metric, chosen)} and {covered}"


def per_series(expr: str, *further: str) -> str:
    """One value for each series, whichever process exported it."""
    return f"max by ({', '.join((SERIES, *further))}) ({expr})"


def leading(expr: str, ranking: str) -> str:
    """The series of `expr` that are in `ranking`, a topk or bottomk `@ end()`.

    Ranked once, at the end of the range, so that lines do not come and go.
    """
    return f"{expr} and on ({SERIES}) {ranking}"


def detail_url(labels: str) -> str:
    """The detail board of the series under the mouse.

    `labels` is where Grafana finds a label: a format with one `{}`.
    """
    variables = "&".join(
        f"var-{label}={labels.format(label)}" for label in SERIES_LABELS
    )
    return (
        f"/d/{names.BOARD_SLO_DETAIL}?var-datasource=${{datasource}}"
        f"&{variables}&${{__url_time_range}}"
    )


def opens(uid: str, title: str) -> tuple[Link]:
    """A click on a value opens one panel of a board, at the same time range."""
    keeps = "var-datasource=${datasource}&${__url_time_range}"
    url = f"/d/{uid}?viewPanel={panel_id(uid, title)}&{keeps}"
    return (Link(title, url),)


def leads_to(uid: str, title: str) -> tuple[Link]:
    """The same within a board: what has been chosen stays chosen."""
    keeps = "${__all_variables}&${__url_time_range}"
    url = f"/d/{uid}?viewPanel={panel_id(uid, title)}&{keeps}"
    return (Link(title, url),)


def listed(rows: list[tuple[str, ...]]) -> str:
    """Rows as a Markdown table; the first is the heading."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])
