"""Who is told of what."""

import pytest

from alerts.routing import Routes, default_routes, wrong_routes
from slo.notice import Channel
from tests.alerts.notices import about

PAGE = about("k", channel=Channel.PAGE)
TICKET = about("k", channel=Channel.TICKET)


@pytest.mark.parametrize(
    ("available", "page", "ticket"),
    [
        (["log"], ("log",), ("log",)),
        (["log", "webhook"], ("webhook", "log"), ("webhook", "log")),
        (["log", "pagerduty"], ("pagerduty",), ("log",)),
        (["pagerduty", "webhook", "log"], ("pagerduty",), ("webhook", "log")),
    ],
)
def test_pages_go_to_pagerduty_and_tickets_to_webhook_and_log(available, page, ticket):
    routes = default_routes(available)
    assert (routes.of(PAGE), routes.of(TICKET)) == (page, ticket)
    assert wrong_routes(routes, available) == []


def test_a_fleet_without_a_log_could_reach_nobody():
    with pytest.raises(ValueError, match="could reach nobody"):
        default_routes(["pagerduty"])


def test_configured_routes_win_and_are_told_in_their_order():
    routes = Routes(page=("log", "pagerduty"), ticket=("pagerduty",))
    assert routes.of(PAGE) == ("log", "pagerduty")
    assert routes.of(TICKET) == ("pagerduty",)


def test_every_fault_of_configured_routes_is_named_at_once():
    faults = wrong_routes(Routes(page=(), ticket=("pager", "log")), ["log", "webhook"])
    assert faults == [
        "the page route is empty: nobody would be told",
        (
            "the ticket route names 'pager', which is not configured"
            " (configured: log, webhook)"
        ),
    ]
