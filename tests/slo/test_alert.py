"""The life of an alert, step by step."""

import pytest
from msgspec.structs import replace

from slo.alert import Step, step
from slo.ledger import SeriesLedger
from slo.verdict import Alert, Status, Verdict
from tests.slo.made import T0, series_of, status_at

OK, WATCH, TICKET = Verdict.OK, Verdict.WATCH, Verdict.TICKET
PAGE, UNKNOWN = Verdict.PAGE, Verdict.UNKNOWN
TIERS = {PAGE: "page-fast", TICKET: "ticket-slow"}
BLANK = status_at(series_of(), SeriesLedger(), T0)


def status(verdict: Verdict, tier: str = "", at_ms: int = T0) -> Status:
    tier = tier or TIERS.get(verdict, "")
    return replace(BLANK, verdict=verdict, tier=tier, reason=str(verdict), at_ms=at_ms)


def alert(level: Verdict) -> Alert:
    return Alert("x/a", level, T0 - 1, TIERS.get(level, ""), f"was {level}")


@pytest.mark.parametrize(
    ("before", "verdict", "what", "level"),
    [
        (OK, OK, Step.NONE, OK),
        (OK, WATCH, Step.NONE, OK),
        (OK, UNKNOWN, Step.NONE, OK),
        (OK, TICKET, Step.OPEN, TICKET),
        (OK, PAGE, Step.OPEN, PAGE),
        (TICKET, OK, Step.RESOLVE, OK),
        (TICKET, WATCH, Step.RESOLVE, OK),
        (TICKET, UNKNOWN, Step.NONE, TICKET),
        (TICKET, TICKET, Step.NONE, TICKET),
        (TICKET, PAGE, Step.ESCALATE, PAGE),
        (PAGE, OK, Step.RESOLVE, OK),
        (PAGE, WATCH, Step.RESOLVE, OK),
        (PAGE, UNKNOWN, Step.NONE, PAGE),
        (PAGE, TICKET, Step.DEESCALATE, TICKET),
        (PAGE, PAGE, Step.NONE, PAGE),
    ],
)
def test_what_a_verdict_does_to_an_alert(before, verdict, what, level):
    after, did = step(alert(before), status(verdict))
    assert (did, after.level) == (what, level)
    if did is Step.NONE:
        assert after == alert(before)
    else:
        tier = TIERS.get(level, "")
        assert after == Alert("x/a", level, T0, tier, str(verdict))


def test_a_page_ends_where_only_a_ticket_is_unknown():
    unsure = replace(status(UNKNOWN, "ticket-slow"), might_page=False)
    after, did = step(alert(PAGE), unsure)
    assert (did, after.level, after.tier) == (Step.DEESCALATE, TICKET, "ticket-slow")
    assert step(alert(TICKET), unsure) == (alert(TICKET), Step.NONE)


def test_another_tier_of_one_level_moves_the_alert_and_keeps_its_beginning():
    after, did = step(alert(PAGE), status(PAGE, "page-slow"))
    assert did is Step.MOVE
    assert after == Alert("x/a", PAGE, T0 - 1, "page-slow", "page")


def test_a_night_through_all_levels_tells_each_step_once():
    night = [OK, TICKET, TICKET, PAGE, UNKNOWN, PAGE, TICKET, UNKNOWN, WATCH, OK, PAGE]
    told, current = [], Alert("x/a")
    for number, verdict in enumerate(night):
        current, did = step(current, status(verdict, at_ms=T0 + number))
        if did is not Step.NONE:
            told.append((number, did))
    assert told == [
        (1, Step.OPEN),
        (3, Step.ESCALATE),
        (6, Step.DEESCALATE),
        (8, Step.RESOLVE),
        (10, Step.OPEN),
    ]
    assert current.since_ms == T0 + 10
