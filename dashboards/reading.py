"""The words on the detail board: the policy and the objectives, from the plan."""

from dashboards.policy_lines import TIMES
from dashboards.scope import Scope, listed
from slo.model import SLO, SliKind
from slo.names import duration

MOST_SLOS = 40
"""A board is not a register: beyond this the list says how many more there are."""


def how_to_read(scope: Scope) -> str:
    """Markdown: what burn means, when each tier fires, which SLOs are known."""
    parts = [_burn(scope), _tiers(scope)]
    if scope.slos:
        parts.append(_objectives(scope.slos))
    return "\n\n".join(parts)


def _burn(scope: Scope) -> str:
    return (
        f"**Burn 1{TIMES}** spends the error budget exactly in its period"
        f" ({duration(scope.period_ms)} here). A tier fires while **both** its"
        " windows are above its line. Purple means *unknown*: no data is not health."
    )


def _tiers(scope: Scope) -> str:
    rows = [("tier", "leads to", "windows", f"line at {duration(scope.period_ms)}")]
    rows += [
        (
            tier.name,
            tier.severity.value,
            f"{duration(tier.long_ms)} and {duration(tier.short_ms)}",
            f"{float(tier.factor(scope.period_ms)):g}{TIMES}",
        )
        for tier in scope.policy.tiers
    ]
    return listed(list(rows))


def _objectives(slos: tuple[SLO, ...]) -> str:
    rows: list[tuple[str, ...]] = [("SLO", "objective", "bad is", "at most")]
    rows += [_objective(slo) for slo in slos[:MOST_SLOS]]
    more = len(slos) - MOST_SLOS
    return listed(rows) + (f"\n\n… and {more} more." if more > 0 else "")


def _objective(slo: SLO) -> tuple[str, ...]:
    share = f"{float(slo.target * 100):.12g} % / {duration(slo.period_ms)}"
    name = f"**{slo.name}** ({slo.service})"
    return name, share, _bad(slo), slo.urgency.value


def _bad(slo: SLO) -> str:
    sli = slo.indicator
    if sli.kind is SliKind.RATIO or sli.threshold is None:
        return sli.title
    return f"{sli.title} over {sli.threshold:g} {sli.unit}"
