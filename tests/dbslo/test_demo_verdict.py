"""The demo's own judge can say no: each way in which it may fail is told."""

import msgspec
import pytest

from alerts.delivery import Delivery, Outcome, Told
from dbslo.demo import trace
from dbslo.demo.trace import Expect
from dbslo.demo.verdict import Happened, judge
from slo.notice import Action, Channel, Notice
from slo.verdict import Incident, VerdictChange

TRACE = trace.load("razorpay-replicas")
QUIET = trace.load("lock-queue")
KEY = "dbslo/prod/databases/payments"
INCIDENT = Incident(
    key=KEY,
    env="prod",
    service="databases",
    cluster="payments",
    members=("rds-replicas-fresh/payments-1-r1",),
    opened_ms=1_000,
    severity="critical",
    resolved_ms=9_000,
)
CAPTURED = {"dedup_key": KEY, "status": "resolved"}


def delivery(
    action: Action, outcome: Outcome = Outcome.SENT, key: str = KEY
) -> Delivery:
    notice = Notice(
        key=key,
        channel=Channel.PAGE,
        action=action,
        severity="critical",
        env="prod",
        service="databases",
        cluster="payments",
        opened_ms=1_000,
        changed_ms=2_000,
    )
    error = "" if outcome is Outcome.SENT else "answered 400"
    return Delivery(notice, 1, outcome, (Told("pagerduty", outcome, error),))


def page(series: str) -> VerdictChange:
    slo, resource = series.split("/")
    return VerdictChange(
        time="2026-11-24T20:00:00.000Z",
        slo=slo,
        resource=resource,
        from_="ok",
        to="page",
        tier="page-fast",
        windows={},
        coverage=1.0,
        reason="burning",
    )


GOOD = Happened(
    incidents=[INCIDENT],
    deliveries=[delivery(Action.TRIGGER), delivery(Action.RESOLVE)],
    changes=[page("rds-replicas-fresh/payments-1-r1")],
    captured=[CAPTURED],
)


def but(**changed) -> Happened:
    return msgspec.structs.replace(GOOD, **changed)


def test_one_incident_that_resolved_is_as_promised():
    assert judge(TRACE, GOOD).holds
    assert judge(TRACE, but(captured=None)).holds


def test_a_quiet_trace_is_as_promised_where_nobody_was_told():
    nothing = Happened(incidents=[], deliveries=[], changes=[], captured=[])
    assert judge(QUIET, nothing).holds
    assert QUIET.expect is Expect.QUIET
    assert not judge(QUIET, GOOD).holds


@pytest.mark.parametrize(
    ("happened", "reason"),
    [
        pytest.param(
            but(incidents=[], deliveries=[], captured=[]),
            "0 incidents instead of 1",
            id="nobody was paged",
        ),
        pytest.param(
            but(incidents=[INCIDENT, INCIDENT]),
            "2 incidents instead of 1",
            id="two incidents for one cause",
        ),
        pytest.param(
            but(incidents=[msgspec.structs.replace(INCIDENT, cluster="orders")]),
            "only payments was to",
            id="another cluster paged",
        ),
        pytest.param(
            but(incidents=[msgspec.structs.replace(INCIDENT, resolved_ms=None)]),
            "did not resolve",
            id="the incident stays open",
        ),
        pytest.param(
            but(deliveries=[delivery(Action.RESOLVE)]),
            "was not triggered",
            id="PagerDuty heard of the end alone",
        ),
        pytest.param(
            but(deliveries=[delivery(Action.TRIGGER)]),
            "was not told that",
            id="PagerDuty never heard of the end",
        ),
        pytest.param(
            but(
                deliveries=[
                    delivery(Action.TRIGGER, Outcome.DEAD),
                    delivery(Action.RESOLVE),
                ]
            ),
            "was not triggered for dbslo/prod/databases/payments: pagerduty: answered 400",
            id="PagerDuty refused the trigger",
        ),
        pytest.param(
            but(
                deliveries=[
                    *GOOD.deliveries,
                    delivery(Action.TRIGGER, key="dbslo/prod/databases/orders"),
                ]
            ),
            "which is no incident",
            id="a page without an incident",
        ),
        pytest.param(
            but(captured=[]), "stand-in opened nothing", id="the stand-in saw nothing"
        ),
        pytest.param(
            but(captured=[{"dedup_key": KEY, "status": "triggered"}]),
            "still shows",
            id="the stand-in shows it open",
        ),
        pytest.param(
            but(changes=[page("connections/orders-proxy")]),
            "the failover paged",
            id="the clean failover paged",
        ),
    ],
)
def test_what_is_not_as_promised_is_told(happened, reason):
    found = judge(TRACE, happened)
    assert not found.holds
    assert any(reason in line for line in found.wrong), found.wrong
