"""The fleet that rules are tested on."""

from functools import cache
from pathlib import Path

import msgspec

from dbslo.load import load_plan
from slo.model import SLO, Series
from slo.plan import Plan

FLEET = Path(__file__).parent / "fleet"


@cache
def fleet() -> Plan:
    """Every urgency and budgeting method, two teams, an unreachable tier, 28 days."""
    return load_plan([FLEET / "slos.yaml"], FLEET / "inventory.yaml")


def slo_named(name: str) -> SLO:
    """An SLO of the fleet."""
    (found,) = (slo for slo in fleet().slos if slo.name == name)
    return found


def series_of(slo: SLO) -> list[Series]:
    """The series of an SLO in the fleet."""
    return [series for series in fleet().series if series.slo.name == slo.name]


@cache
def only(*slos: str) -> Plan:
    """The fleet with some of its SLOs alone."""
    plan = fleet()
    return msgspec.structs.replace(
        plan,
        slos=tuple(slo for slo in plan.slos if slo.name in slos),
        series=tuple(one for one in plan.series if one.slo.name in slos),
    )


def around(series: Series, *others: Series) -> Plan:
    """A series with those of the same SLO and cluster, and with some others."""
    plan = only(series.slo.name)
    near = tuple(s for s in plan.series if s.cluster.name == series.cluster.name)
    return msgspec.structs.replace(plan, series=near + others)
