"""What PagerDuty is sent."""

import json
from urllib.parse import parse_qs, urlsplit

import jsonschema
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.notifiers.pagerduty import (
    BODY_BYTES,
    Links,
    PagerDuty,
    dedup_key,
    encode,
    enqueue_url,
    event,
    summary,
)
from alerts.testing.pagerduty import ROUTING_KEY, PagerDutyServer, wrong
from slo.notice import Action, Burning, Channel, Notice
from tests.alerts.notices import BURNING, KEY, NOTICE, T0, about, resolved

LINKS = Links("https://grafana.example/", "https://runbooks.example/")

# What the Events API v2 documentation says of an event, as a schema.
_URL = {"type": "string", "pattern": "^https?://"}
_TEXT = {"type": "string", "minLength": 1}
EVENT = {
    "type": "object",
    "additionalProperties": False,
    "required": ["event_action", "dedup_key"],
    "properties": {
        "event_action": {"enum": ["trigger", "acknowledge", "resolve"]},
        "dedup_key": _TEXT | {"maxLength": 255},
        "client": _TEXT,
        "client_url": _URL,
        "links": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["href"],
                "additionalProperties": False,
                "properties": {"href": _URL, "text": _TEXT},
            },
        },
        "payload": {
            "type": "object",
            "additionalProperties": False,
            "required": ["summary", "source", "severity"],
            "properties": {
                "summary": _TEXT | {"maxLength": 1024},
                "source": _TEXT,
                "severity": {"enum": ["critical", "error", "warning", "info"]},
                "timestamp": _TEXT | {"pattern": r"^\d{4}-\d\d-\d\dT[\d:.]+Z$"},
                "component": {"type": "string"},
                "group": {"type": "string"},
                "class": {"type": "string"},
                "custom_details": {"type": "object"},
            },
        },
    },
    "if": {"properties": {"event_action": {"const": "trigger"}}},
    "then": {"required": ["payload"]},
}


def test_the_whole_event_of_a_page():
    board = (
        "https://grafana.example/d/dbslo-slo-detail?var-env=prod&var-cluster=orders"
        "&var-service=payments&var-slo=aurora-replica-lag&var-resource=orders-b"
        f"&from={T0 - 3_600_000}&to=now"
    )
    reason = "1h burns 21.3x and 5m 24.0x, over 14.4x: 26 bad of 60 slices in 1h"
    seen = "AuroraReplicaLag 21.5 s (cloudwatch)"
    assert event(NOTICE, LINKS) == {
        "event_action": "trigger",
        "dedup_key": "dbslo/prod/payments/orders",
        "client": "dbslo",
        "client_url": board,
        "links": [
            {
                "href": "https://runbooks.example/DbSloErrorBudgetBurn.md",
                "text": "Runbook",
            },
            {"href": board, "text": "Burn, budget and windows"},
        ],
        "payload": {
            "summary": (
                f"prod orders payments: aurora-replica-lag on orders-b: {seen}; {reason},"
                " 62% of the budget left"
            ),
            "source": "orders.prod",
            "severity": "critical",
            "timestamp": "2023-11-14T22:13:30.000Z",
            "component": "orders",
            "group": "payments",
            "class": "slo_burn",
            "custom_details": {
                "env": "prod",
                "service": "payments",
                "cluster": "orders",
                "opened": "2023-11-14T22:13:20.000Z",
                "burning": [
                    {
                        "slo": "aurora-replica-lag",
                        "resource": "orders-b",
                        "tier": "page-fast",
                        "promise": (
                            "Aurora reader lag: at most 1 s, in 99.9 % of the 1m slices"
                        ),
                        "seen": seen,
                        "reason": reason,
                        "windows": {
                            "1h": {"good": 34, "total": 60, "bad": 26},
                            "5m": {"good": 0, "total": 5, "bad": 5},
                        },
                        "windows_count": "slices",
                        "objective": "99.9%",
                        "budget_left": "62%",
                        "coverage": "99.7%",
                    }
                ],
            },
        },
    }


def test_the_runbook_that_an_slo_names_goes_before_the_common_one():
    own = msgspec.structs.replace(BURNING, runbook="https://wiki.example/lag")
    notice = msgspec.structs.replace(NOTICE, burning=(BURNING, own))
    assert event(notice, LINKS)["links"][0]["href"] == "https://wiki.example/lag"
    assert event(notice)["links"] == [
        {"href": "https://wiki.example/lag", "text": "Runbook"}
    ]


def test_a_resolve_carries_the_key_and_no_payload():
    assert event(resolved()) == {
        "event_action": "resolve",
        "dedup_key": KEY,
        "client": "dbslo",
    }


def test_the_board_opens_on_the_slo_and_the_hour_before():
    url = urlsplit(event(NOTICE, LINKS)["client_url"])
    asked = parse_qs(url.query)
    assert url.path == "/d/dbslo-slo-detail"
    assert asked["var-slo"] == ["aurora-replica-lag"]
    assert asked["from"] == [str(T0 - 3_600_000)]


@pytest.mark.parametrize(
    ("count", "tail"), [(0, "error budget burns"), (1, "left"), (3, "left; and 2 more")]
)
def test_the_summary_names_the_first_and_counts_the_rest(count, tail):
    notice = msgspec.structs.replace(NOTICE, burning=(BURNING,) * count)
    assert summary(notice).endswith(tail)


def test_a_long_summary_is_cut_and_still_counts_the_rest():
    long = msgspec.structs.replace(BURNING, reason="x" * 5_000)
    text = summary(msgspec.structs.replace(NOTICE, burning=(long, long)))
    assert len(text) == 1024
    assert text.endswith("…; and 1 more")


def test_an_unknown_severity_is_an_error_rather_than_a_refused_page():
    assert event(about(KEY, severity="sev0"))["payload"]["severity"] == "error"


def test_a_key_that_is_too_long_is_stable_and_tells_two_apart():
    long = "dbslo/prod/" + "x" * 300
    assert len(dedup_key(long)) == 255
    assert dedup_key(long) == dedup_key(long)
    assert dedup_key(long) != dedup_key(long + "y")
    assert dedup_key("k" * 255) == "k" * 255


def test_an_oversized_event_leaves_the_last_out_and_says_how_many():
    fat = msgspec.structs.replace(BURNING, reason="ü" * 1_900)
    notice = msgspec.structs.replace(NOTICE, burning=(fat,) * 1_000)
    body = encode(event(notice, LINKS) | {"routing_key": ROUTING_KEY})
    details = json.loads(body)["payload"]["custom_details"]
    kept = len(details["burning"])
    assert BODY_BYTES - 10_000 < len(body) <= BODY_BYTES
    assert (
        details["truncated"]
        == f"{1_000 - kept} of 1000 burning SLOs left out: too long"
    )
    assert wrong(json.loads(body)) == []


def test_an_event_within_the_limit_is_sent_whole():
    body = encode(event(NOTICE))
    assert json.loads(body) == event(NOTICE)


TEXTS = st.text(max_size=3_000)
RATIOS = st.floats(-1e6, 1)
BURNINGS = st.builds(
    Burning,
    slo=TEXTS,
    resource=TEXTS,
    tier=st.text(max_size=20),
    reason=TEXTS,
    windows=st.dictionaries(
        st.sampled_from(["5m", "1h", "3d"]),
        st.fixed_dictionaries(
            {"good": st.integers(0, 2**53), "total": st.integers(2**53, 2**54)}
        ),
    ),
    budget_remaining_ratio=RATIOS,
    objective_ratio=RATIOS,
    coverage_ratio=RATIOS,
)
NOTICES = st.builds(
    Notice,
    key=st.text(min_size=1, max_size=600),
    channel=st.sampled_from(Channel),
    action=st.sampled_from(Action),
    severity=st.text(max_size=12),
    env=st.text(max_size=600),
    service=TEXTS,
    cluster=TEXTS,
    opened_ms=st.integers(0, 4 * 10**12),
    changed_ms=st.integers(0, 4 * 10**12),
    burning=st.lists(BURNINGS, max_size=3).map(tuple),
)


@given(notice=NOTICES, links=st.sampled_from([Links(), LINKS]))
def test_whatever_the_notice_the_event_is_one_that_pagerduty_accepts(notice, links):
    body = encode(event(notice, links) | {"routing_key": ROUTING_KEY})
    sent = json.loads(body)
    assert len(body) <= 512_000
    assert wrong(sent) == []
    del sent["routing_key"]
    jsonschema.validate(sent, EVENT)


@pytest.mark.parametrize(
    ("given_url", "posted_to"),
    [
        ("https://events.pagerduty.com", "https://events.pagerduty.com/v2/enqueue"),
        ("https://events.pagerduty.com/", "https://events.pagerduty.com/v2/enqueue"),
        ("http://h:1/v2/enqueue", "http://h:1/v2/enqueue"),
        ("http://h:1/proxy", "http://h:1/proxy/v2/enqueue"),
        ("http://h:1/proxy/v2/enqueue?x=1", "http://h:1/proxy/v2/enqueue?x=1"),
    ],
)
def test_base_and_full_url_both_lead_to_the_api(given_url, posted_to):
    assert enqueue_url(given_url) == posted_to


def test_the_routing_key_goes_into_the_body_and_nowhere_else():
    with PagerDutyServer() as server:
        PagerDuty(ROUTING_KEY, lambda: T0, server.url).notify(NOTICE, T0 + 5_000)
        request = server.requests[0]
    assert json.loads(request.body)["routing_key"] == ROUTING_KEY
    assert ROUTING_KEY not in f"{request.path} {request.headers}"
    assert request.path == "/v2/enqueue"
    assert request.headers["Content-Type"] == "application/json"
