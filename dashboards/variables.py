"""What a reader may choose on a board, and the marks drawn across its charts."""

from typing import Any

from grafanalib import core

from dashboards.policy_lines import VERDICT_COLORS
from dashboards.scope import FLEET, ONE, VERDICT
from slo import names
from slo.names import STATE_VALUES
from slo.verdict import Verdict

ON_TIME_RANGE = 2
ALPHABETICAL = 1
SHOWN_ON_FLEET = ("env", "cluster", "service")


def fleet_variables() -> list[core.Template]:
    """Data source, then env, cluster and service, each with All."""
    chosen: list[core.Template] = [_datasource()]
    for position, label in enumerate(SHOWN_ON_FLEET):
        within = [f'{name}=~"${name}"' for name in SHOWN_ON_FLEET[:position]]
        chosen.append(
            core.Template(
                name=label,
                label=label,
                query=_values(label, within),
                allValue=".*",  # matches a fleet without the label, too
                includeAll=True,
                multi=True,
                refresh=ON_TIME_RANGE,
                sort=ALPHABETICAL,
            )
        )
    return chosen


def detail_variables() -> list[core.Template]:
    """Data source, then each label of a series within those before it; no All."""
    order = ("env", "cluster", "service", "slo", "resource")
    chosen: list[core.Template] = [_datasource()]
    for position, label in enumerate(order):
        within = [f'{name}="${name}"' for name in order[:position]]
        chosen.append(
            core.Template(
                name=label,
                label=label,
                query=_values(label, within),
                refresh=ON_TIME_RANGE,
                sort=ALPHABETICAL,
            )
        )
    return chosen


def annotations(*, fleet: bool) -> list[dict[str, Any]]:
    """Marks while a series pages, asks for a ticket or is unknown."""
    scope = FLEET if fleet else ONE
    wanted = (Verdict.PAGE, Verdict.TICKET, Verdict.UNKNOWN)
    return [_annotation(verdict, scope, fleet=fleet) for verdict in wanted]


def _annotation(verdict: Verdict, scope: str, *, fleet: bool) -> dict[str, Any]:
    selector = f"{names.ALERT_STATE}{{{scope},{VERDICT}}}"
    return {
        "datasource": {"type": "prometheus", "uid": "${datasource}"},
        "enable": verdict is Verdict.PAGE or not fleet,
        "hide": False,
        "iconColor": VERDICT_COLORS[verdict],
        "name": verdict.value.capitalize(),
        "target": {
            "expr": f"{selector} == {STATE_VALUES[verdict.value]}",
            "refId": "Anno",
        },
        "titleFormat": f"{verdict.value}: {{{{slo}}}} on {{{{resource}}}}",
    }


def _datasource() -> core.Template:
    return core.Template(
        name="datasource", label="Data source", type="datasource", query="prometheus"
    )


def _values(label: str, within: list[str]) -> dict[str, Any]:
    """The values of a label among the SLO series that the choices before leave."""
    selector = f"{names.SLO_INFO}{{{','.join(within)}}}" if within else names.SLO_INFO
    return {
        "qryType": 1,
        "query": f"label_values({selector}, {label})",
        "refId": "PrometheusVariableQueryEditor-VariableQuery",
    }
