"""A small fleet made by hand: one cluster, one SLO of every kind of SLI."""

from decimal import Decimal
from fractions import Fraction

from slo.model import (
    MINUTE,
    SECOND,
    SLO,
    Budgeting,
    Entry,
    Feed,
    Input,
    Outcome,
    Part,
    Sentinel,
    Series,
    SliKind,
    Stat,
    Urgency,
)
from slo.plan import Plan
from slo.resources import (
    Cluster,
    Engine,
    Inventory,
    ResourceKind,
)

CLUSTER = Cluster(
    name="orders",
    engine=Engine.AURORA_MYSQL,
    labels={"env": "prod"},
    instances=("orders-a",),
    proxies=("orders-proxy",),
    cdc_prefixes=("orders",),
)
INSTANCE, PROXY, CDC = CLUSTER.resources

LAG = Input(Part.VALUE, ("Lag",), sentinels=(Sentinel(-1.0, Outcome.BAD, "broken"),))
CLOUDWATCH_LAG = Feed(
    "cloudwatch",
    (Engine.AURORA_MYSQL,),
    ResourceKind.INSTANCE,
    (LAG,),
    cadence_ms=MINUTE,
    arrival_lag_ms=3 * MINUTE,
)
CLOUDWATCH_CONNECT = Feed(
    "cloudwatch",
    (Engine.AURORA_MYSQL,),
    ResourceKind.PROXY,
    (
        Input(Part.GOOD, ("Succeeded",), stat=Stat.SUM),
        Input(Part.TOTAL, ("Received",), stat=Stat.SUM),
    ),
    cadence_ms=MINUTE,
    arrival_lag_ms=3 * MINUTE,
)
CDC_EVENTS = Feed(
    "cdc",
    (Engine.AURORA_MYSQL,),
    ResourceKind.CDC,
    (Input(Part.VALUE, ("event",)),),
    cadence_ms=10 * SECOND,
    arrival_lag_ms=30 * SECOND,
)


def entry(code: str, kind: SliKind, feed: Feed, budgeting: Budgeting, **more) -> Entry:
    """An entry of a catalogue of our own."""
    return Entry(
        id=f"test.{code}",
        code=code,
        title=code,
        kind=kind,
        unit="s",
        feeds=(feed,),
        objective=Decimal("0.995"),
        budgeting=budgeting,
        urgency=Urgency.PAGE,
        **more,
    )


def slo(name: str, indicator: Entry, **more) -> SLO:
    """An SLO with the entry's defaults."""
    given = {
        "target": Fraction("0.995"),
        "budgeting": indicator.budgeting,
        "urgency": indicator.urgency,
        "min_bad": indicator.min_bad,
        **more,
    }
    return SLO(name=name, service="databases", indicator=indicator, **given)


LAG_SLO = slo(
    "lag",
    entry(
        "C",
        SliKind.THRESHOLD,
        CLOUDWATCH_LAG,
        Budgeting.TIMESLICES,
        threshold=1.0,
        min_bad=3,
    ),
)
CONNECT_SLO = slo(
    "connect",
    entry("A", SliKind.RATIO, CLOUDWATCH_CONNECT, Budgeting.RATIO_TIMESLICES),
    target=Fraction("0.999"),
)
FRESH_SLO = slo(
    "fresh",
    entry(
        "K",
        SliKind.FRESHNESS,
        CDC_EVENTS,
        Budgeting.TIMESLICES,
        threshold=30.0,
        min_bad=3,
    ),
)
ROWS_SLO = slo(
    "rows",
    entry("K", SliKind.FRESHNESS, CDC_EVENTS, Budgeting.OCCURRENCES, threshold=30.0),
)

PLAN = Plan(
    inventory=Inventory((CLUSTER,)),
    slos=(LAG_SLO, CONNECT_SLO, FRESH_SLO, ROWS_SLO),
    series=(
        Series(LAG_SLO, INSTANCE, CLUSTER, (CLOUDWATCH_LAG,)),
        Series(CONNECT_SLO, PROXY, CLUSTER, (CLOUDWATCH_CONNECT,)),
        Series(FRESH_SLO, CDC, CLUSTER, (CDC_EVENTS,)),
        Series(ROWS_SLO, CDC, CLUSTER, (CDC_EVENTS,)),
    ),
)
