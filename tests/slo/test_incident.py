"""One incident per cause: who joins, how grave it is, when it ends and begins again."""

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from slo.incident import dedup_key, groups, join
from slo.resources import (
    Cluster,
    Engine,
)
from slo.verdict import Alert, Incident, Verdict
from tests.fleet import PLAN
from tests.slo.made import T0, series_of

LAG, CONNECT, FRESH, ROWS = PLAN.series
KEY = "dbslo/prod/databases/orders"


def at(level: Verdict, tier: str = "page-fast") -> Alert:
    return Alert("", level, T0, tier)


PAGE, SLOW = at(Verdict.PAGE), at(Verdict.PAGE, "page-slow")
TICKET, OK = at(Verdict.TICKET, "ticket-slow"), at(Verdict.OK, "")


def test_nobody_at_page_is_no_incident():
    assert join(None, [(LAG, OK), (CONNECT, TICKET)], T0) is None
    assert join(None, [], T0) is None


def test_the_first_page_opens_an_incident_of_its_service_and_cluster():
    assert join(None, [(LAG, OK), (CONNECT, PAGE)], T0) == Incident(
        key=KEY,
        env="prod",
        service="databases",
        cluster="orders",
        members=(CONNECT.key,),
        opened_ms=T0,
        severity="critical",
    )


def test_an_incident_follows_its_members_and_ends_with_the_last():
    opened = join(None, [(LAG, PAGE), (CONNECT, OK)], T0)
    both = join(opened, [(LAG, PAGE), (CONNECT, PAGE)], T0 + 1)
    one = join(both, [(LAG, TICKET), (CONNECT, PAGE)], T0 + 2)
    over = join(one, [(LAG, TICKET), (CONNECT, OK)], T0 + 3)
    assert both == replace(opened, members=(CONNECT.key, LAG.key))
    assert one == replace(opened, members=(CONNECT.key,))
    assert over == replace(one, resolved_ms=T0 + 3)
    assert join(over, [(LAG, OK), (CONNECT, OK)], T0 + 4) is None


def test_the_next_cause_opens_the_same_key_again():
    opened = join(None, [(LAG, PAGE)], T0)
    over = join(opened, [(LAG, OK)], T0 + 1)
    again = join(over, [(LAG, PAGE)], T0 + 2)
    assert (again.key, again.opened_ms, again.resolved_ms) == (KEY, T0 + 2, None)


def test_the_gravest_member_says_how_grave_it_is():
    opened = join(None, [(LAG, SLOW)], T0)
    worse = join(opened, [(LAG, SLOW), (CONNECT, PAGE)], T0 + 1)
    better = join(worse, [(LAG, SLOW), (CONNECT, OK)], T0 + 2)
    severities = [one.severity for one in (opened, worse, better)]
    assert severities == ["error", "critical", "error"]
    custom = join(None, [(LAG, at(Verdict.PAGE, "a tier of our own"))], T0)
    assert custom.severity == "error"


def test_the_series_of_one_service_on_one_cluster_share_a_key():
    assert groups(PLAN.series) == {KEY: [LAG, CONNECT, FRESH, ROWS]}


def test_a_cluster_without_an_environment_has_a_key_all_the_same():
    bare = Cluster("c", Engine.MYSQL)
    series = replace(series_of(), cluster=bare)
    assert dedup_key(series) == "dbslo/-/databases/c"


parts = st.text(st.sampled_from("ab/%2F"), min_size=1, max_size=4)


@given(st.tuples(parts, parts, parts), st.tuples(parts, parts, parts))
def test_two_groups_never_share_a_key(one, other):
    keys = []
    for env, service, name in (one, other):
        cluster = Cluster(name, Engine.MYSQL, labels={"env": env})
        series = series_of()
        objective = replace(series.slo, service=service)
        keys.append(dedup_key(replace(series, cluster=cluster, slo=objective)))
    assert (keys[0] == keys[1]) == (one == other)
    assert keys[0].count("/") == 3


levels = st.sampled_from([PAGE, SLOW, TICKET, OK])


@given(st.lists(st.tuples(levels, levels, levels), max_size=12))
def test_an_incident_is_open_exactly_while_somebody_pages(nights):
    incident = None
    for number, alerts in enumerate(nights):
        members = list(zip((LAG, CONNECT, FRESH), alerts, strict=True))
        incident = join(incident, members, T0 + number) or incident
        paging = [s.key for s, alert in members if alert.level is Verdict.PAGE]
        is_open = incident is not None and incident.resolved_ms is None
        assert is_open == bool(paging)
        if is_open:
            assert incident.members == tuple(sorted(paging))
