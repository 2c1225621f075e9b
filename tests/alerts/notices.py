"""Notices for the tests of telling."""

import msgspec

from slo.notice import Action, Burning, Channel, Notice

T0 = 1_700_000_000_000
KEY = "dbslo/prod/payments/orders"

BURNING = Burning(
    slo="aurora-replica-lag",
    resource="orders-b",
    tier="page-fast",
    reason="1h burns 21.3x and 5m 24.0x, over 14.4x: 26 bad of 60 slices in 1h",
    windows={"1h": {"good": 34, "total": 60}, "5m": {"good": 0, "total": 5}},
    budget_remaining_ratio=0.62,
    objective_ratio=0.999,
    coverage_ratio=0.997,
    promise="Aurora reader lag: at most 1 s, in 99.9 % of the 1m slices",
    seen="AuroraReplicaLag 21.5 s (cloudwatch)",
    unit="slices",
)

NOTICE = Notice(
    key=KEY,
    channel=Channel.PAGE,
    action=Action.TRIGGER,
    severity="critical",
    env="prod",
    service="payments",
    cluster="orders",
    opened_ms=T0,
    changed_ms=T0 + 10_000,
    burning=(BURNING,),
)


def resolved(notice: Notice = NOTICE) -> Notice:
    """The same key, resolved."""
    return msgspec.structs.replace(notice, action=Action.RESOLVE, burning=())


def about(key: str, **changes) -> Notice:
    """A notice of another key."""
    return msgspec.structs.replace(NOTICE, key=key, **changes)
