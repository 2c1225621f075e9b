"""Why a series alerts, or is held back: tiers, hot time, least numbers."""

from dashboards.layout import THIRD, WIDE, Size
from dashboards.looks import About, Link, Look, Override, Query, dashed
from dashboards.panels import ModernPanel, chart, timeline
from dashboards.policy_lines import QUIET, verdict_mappings
from dashboards.scope import VERDICT, Scope, detail_url, leads_to, one, windows
from slo import names
from slo.names import TIER

TIERS_TITLE = "Verdict and tiers"
HOT_TITLE = "Hot time"
FLOOR = "needed for a page"
LEAST = "needed for an alert"
SIBLINGS = 'env="$env",cluster="$cluster",service="$service",slo="$slo"'


def panels(scope: Scope) -> list[tuple[Size, ModernPanel]]:
    """The row's panels with their sizes."""
    return [
        (WIDE, _tiers(scope)),
        (THIRD, _hot()),
        (THIRD, _bad(scope)),
        (THIRD, _total(scope)),
        (WIDE, _elsewhere()),
    ]


def _tiers(scope: Scope) -> ModernPanel:
    about = About(
        "the state of each tier of the policy, and of the series as a whole"
        " (*verdict*, the first line).",
        "green throughout.",
        "a tier alone in orange is slow burn; red and then orange is an incident"
        " that is leaving the short windows.",
    )
    tiers = "|".join(tier.name for tier in scope.policy.tiers)
    tier = one(names.ALERT_STATE, f'{TIER}=~"{tiers}"')
    whole = one(names.ALERT_STATE, VERDICT)
    queries = [Query(whole, "verdict"), Query(tier, "{{tier}}")]
    look = Look(
        unit="none",
        mappings=verdict_mappings(),
        links=leads_to(names.BOARD_SLO_DETAIL, HOT_TITLE),
    )
    return timeline(TIERS_TITLE, about, queries, look)


def _hot() -> ModernPanel:
    about = About(
        "time within each tier's long window that is itself above the tier's burn;"
        " dashed: what a page needs, so that a clean failover wakes nobody.",
        "0.",
        "above the dashed line a page tier may fire; just below it an incident was"
        " short: budget is spent, nobody is paged.",
    )
    queries = [
        Query(one(names.HOT_SECONDS), "{{tier}}"),
        Query(one(names.HOT_FLOOR_SECONDS), FLOOR),
    ]
    return chart(HOT_TITLE, about, queries, _compared("s", FLOOR))


def _bad(scope: Scope) -> ModernPanel:
    about = About(
        "bad events (or slices) in each tier's long window; dashed: what an alert"
        " needs, so that three errors of a quiet night are not an outage.",
        "near 0.",
        "a tier that burns with fewer than the dashed line is held back, on purpose.",
    )
    queries = [
        Query(one(names.WINDOW_BAD_EVENTS, _longs(scope)), "{{window}}"),
        Query(one(names.MIN_BAD_EVENTS), LEAST),
    ]
    return chart("Bad events by window", about, queries, _compared("none", LEAST))


def _total(scope: Scope) -> ModernPanel:
    about = About(
        "all events (or slices) in each tier's long window; dashed: what an alert"
        " needs.",
        "well above the dashed line.",
        "below it the series has too little traffic to judge: lower `min_total` in"
        " the SLO, or measure on more than one resource.",
    )
    queries = [
        Query(one(names.WINDOW_TOTAL_EVENTS, _longs(scope)), "{{window}}"),
        Query(one(names.MIN_TOTAL_EVENTS), LEAST),
    ]
    return chart("Events by window", about, queries, _compared("none", LEAST))


def _elsewhere() -> ModernPanel:
    about = About(
        "the verdict of the same SLO on every resource of this cluster.",
        "green throughout.",
        "one line: that resource; all lines at once: the cluster, its network or"
        " its source.",
    )
    selector = f"{names.ALERT_STATE}{{{SIBLINGS},{VERDICT}}}"
    link = Link("This resource", detail_url("${{__field.labels.{}}}"))
    look = Look(unit="none", mappings=verdict_mappings(), links=(link,))
    query = Query(selector, "{{resource}}")
    return timeline("The same SLO on this cluster", about, [query], look)


def _longs(scope: Scope) -> str:
    lengths = tuple(sorted({tier.long_ms for tier in scope.policy.tiers}))
    return windows(lengths)


def _compared(unit: str, line: str) -> Look:
    return Look(unit=unit, low=0.0, overrides=(Override(line, dashed(QUIET)),))
