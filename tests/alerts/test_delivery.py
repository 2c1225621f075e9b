"""Stories of delivery: an outbox, a courier, a PagerDuty, and a clock we turn."""

import threading

import pytest

from alerts.delivery import (
    Courier,
    NotifyError,
    Outcome,
    Pace,
    Told,
    backoff_ms,
)
from alerts.memory import MemoryOutbox
from alerts.notifiers.log import Log
from alerts.notifiers.pagerduty import PagerDuty
from alerts.routing import Routes, default_routes
from alerts.runner import Runner
from alerts.testing.loopback import Reply
from alerts.testing.pagerduty import ROUTING_KEY, PagerDutyServer
from slo.model import HOUR, MINUTE, SECOND
from slo.notice import Channel
from tests.alerts.notices import KEY, NOTICE, T0, about, resolved

PAGES = Routes(page=("pagerduty",), ticket=("log",))


class Clock:
    def __init__(self) -> None:
        self.now_ms = T0

    def __call__(self) -> int:
        return self.now_ms

    def forward(self, ms: int) -> None:
        self.now_ms += ms


class Scene:
    """Everything that takes part, wired as the engine wires it."""

    def __init__(self, server: PagerDutyServer) -> None:
        self.clock = Clock()
        self.outbox = MemoryOutbox()
        self.server = server
        self.lines: list[str] = []
        self.notifiers = {
            "pagerduty": PagerDuty(ROUTING_KEY, self.clock, server.url),
            "log": Log(self.lines.append),
        }

    def courier(self, owner: str = "a", routes: Routes = PAGES) -> Courier:
        return Courier(self.outbox, self.notifiers, routes, owner, self.clock)

    def want(self, notice) -> None:
        self.outbox.want(notice, self.clock())

    @property
    def states(self) -> list[tuple[str, str, int]]:
        found = self.server.incidents
        return [(one["dedup_key"], one["status"], one["triggers"]) for one in found]


@pytest.fixture
def scene():
    with PagerDutyServer() as server:
        yield Scene(server)


def test_nothing_due_is_nothing_done(scene):
    assert scene.courier().deliver_one() is None


def test_an_incident_opens_is_repeated_and_resolves_under_one_key(scene):
    courier = scene.courier()
    for notice in (NOTICE, about(KEY, severity="error"), resolved()):
        scene.want(notice)
        assert courier.deliver_one().outcome is Outcome.SENT
    assert scene.states == [(KEY, "resolved", 2)]
    assert courier.deliver_one() is None


def test_a_throttled_page_waits_as_asked_and_is_then_told_once(scene):
    scene.server.order(Reply(429, headers={"Retry-After": "90"}))
    scene.want(NOTICE)
    courier = scene.courier()
    first = courier.deliver_one()
    assert (first.outcome, first.retry_after_ms) == (Outcome.RETRY, 90 * SECOND)
    assert first.error == f"pagerduty: {scene.server.url}: HTTP 429 Too Many Requests"
    scene.clock.forward(90 * SECOND - 1)
    assert courier.deliver_one() is None
    scene.clock.forward(1)
    assert courier.deliver_one().outcome is Outcome.SENT
    assert scene.states == [(KEY, "triggered", 1)]


def test_an_outage_of_pagerduty_is_retried_ever_slower_and_never_given_up(scene):
    scene.server.order(*[Reply(503)] * 20)
    scene.want(NOTICE)
    courier = scene.courier()
    waits = []
    for _ in range(20):
        delivery = courier.deliver_one()
        waits.append(delivery.retry_after_ms)
        assert courier.deliver_one() is None
        scene.clock.forward(delivery.retry_after_ms)
    assert courier.deliver_one().outcome is Outcome.SENT
    assert waits[0] <= 2 * SECOND
    assert all(150 * SECOND <= wait <= 5 * MINUTE for wait in waits[10:])


def test_a_resolve_does_not_wait_for_the_back_off_of_its_trigger(scene):
    scene.server.order(Reply(503, headers={"Retry-After": "3600"}))
    scene.want(NOTICE)
    courier = scene.courier()
    assert courier.deliver_one().retry_after_ms == HOUR
    scene.clock.forward(SECOND)
    scene.want(resolved())
    assert courier.deliver_one().outcome is Outcome.SENT
    assert [event["event_action"] for event in scene.server.events] == ["resolve"]
    assert scene.states == []


def test_a_refused_event_is_dead_with_pagerdutys_own_reason_and_without_the_key(scene):
    wrong = "x" * 31
    scene.notifiers["pagerduty"] = PagerDuty(wrong, scene.clock, scene.server.url)
    scene.want(NOTICE)
    delivery = scene.courier().deliver_one()
    assert delivery.outcome is Outcome.DEAD
    kept = scene.outbox.error(KEY)
    assert kept == (
        f"pagerduty: {scene.server.url}: HTTP 400 Bad Request:"
        " Length of 'routing_key' is incorrect (should be 32 characters)"
    )
    assert wrong not in kept
    scene.clock.forward(HOUR)
    assert scene.courier().deliver_one() is None


def test_a_crash_between_send_and_mark_repeats_the_key_and_opens_nothing_new(scene):
    scene.want(NOTICE)
    crashed = scene.courier("a")
    claim = scene.outbox.claim("a", scene.clock(), crashed.lease_ms)
    scene.notifiers["pagerduty"].notify(claim.notice, scene.clock() + SECOND)
    successor = scene.courier("b")
    assert successor.deliver_one() is None
    scene.clock.forward(crashed.lease_ms)
    assert successor.deliver_one().outcome is Outcome.SENT
    assert scene.states == [(KEY, "triggered", 2)]


class Meanwhile:
    """A notifier during whose attempt something else happens."""

    def __init__(self, inner, happens) -> None:
        self.inner = inner
        self.happens = happens

    def notify(self, notice, deadline_ms) -> None:
        self.happens()
        self.inner.notify(notice, deadline_ms)


def test_a_state_that_changes_during_the_attempt_is_told_right_after(scene):
    inner = scene.notifiers["pagerduty"]
    happening = Meanwhile(inner, lambda: scene.want(resolved()))
    scene.notifiers["pagerduty"] = happening
    scene.want(NOTICE)
    courier = scene.courier()
    assert courier.deliver_one().outcome is Outcome.CHANGED
    happening.happens = lambda: None
    assert courier.deliver_one().outcome is Outcome.SENT
    assert scene.states == [(KEY, "resolved", 1)]


def test_a_sender_that_stalls_past_its_lease_says_nothing_any_more(scene):
    def stall() -> None:
        scene.clock.forward(HOUR)
        scene.want(resolved())
        assert scene.courier("b").deliver_one().outcome is Outcome.SENT

    inner = scene.notifiers["pagerduty"]
    stalled = scene.courier("a")
    scene.notifiers["pagerduty"] = _first(Meanwhile(inner, stall), inner)
    scene.want(NOTICE)
    assert stalled.deliver_one().outcome is Outcome.RETRY
    assert [event["event_action"] for event in scene.server.events] == ["resolve"]
    assert scene.courier("b").deliver_one().outcome is Outcome.SENT  # said once more
    assert scene.states == []


class _first:  # noqa: N801
    """The first call goes to one notifier, later ones to another."""

    def __init__(self, first, later) -> None:
        self.queue = [first]
        self.later = later

    def notify(self, notice, deadline_ms) -> None:
        notifier = self.queue.pop() if self.queue else self.later
        notifier.notify(notice, deadline_ms)


class Deadlines:
    def __init__(self, clock, takes_ms: int) -> None:
        self.clock = clock
        self.takes_ms = takes_ms
        self.left_ms: list[int] = []

    def notify(self, _notice, deadline_ms) -> None:
        self.left_ms.append(deadline_ms - self.clock())
        self.clock.forward(self.takes_ms)


@pytest.mark.parametrize("takes_ms", [0, 9_999, 10_000, 25_000])
def test_every_deadline_ends_before_the_lease_does(takes_ms):
    clock, outbox = Clock(), MemoryOutbox()
    slow = Deadlines(clock, takes_ms)
    pace = Pace(attempt_ms=10_000, margin_ms=5_000)
    routes = Routes(page=("x", "y", "z"), ticket=())
    courier = Courier(outbox, dict.fromkeys("xyz", slow), routes, "a", clock, pace)
    outbox.want(NOTICE, T0)
    courier.deliver_one()
    assert courier.lease_ms == 35_000
    assert len(slow.left_ms) == 3
    assert all(left <= 10_000 for left in slow.left_ms)
    ends = [n * takes_ms + left for n, left in enumerate(slow.left_ms)]
    assert all(end <= courier.lease_ms - 5_000 for end in ends)


class Failing:
    def __init__(self, error: Exception) -> None:
        self.error: Exception | None = error
        self.calls = 0

    def notify(self, _notice, _deadline_ms) -> None:
        self.calls += 1
        if self.error is not None:
            raise self.error


def test_who_was_told_is_not_told_again_for_each_retry_of_another(scene):
    scene.notifiers["webhook"] = Failing(NotifyError("HTTP 502", retry=True))
    courier = scene.courier(routes=Routes(page=("pagerduty", "webhook"), ticket=()))
    scene.want(NOTICE)
    for _ in range(5):
        delivery = courier.deliver_one()
        assert delivery.told == (
            Told("pagerduty", Outcome.SENT),
            Told("webhook", Outcome.RETRY, "HTTP 502"),
        )
        scene.clock.forward(HOUR)
    assert scene.states == [(KEY, "triggered", 1)]
    scene.notifiers["webhook"].error = None
    assert courier.deliver_one().outcome is Outcome.SENT
    assert scene.states == [(KEY, "triggered", 1)]
    scene.want(resolved())
    assert courier.deliver_one().outcome is Outcome.SENT
    assert scene.states == [(KEY, "resolved", 1)]


def test_a_refusal_by_one_keeps_no_other_from_being_told_and_is_kept(scene):
    refusing = Failing(NotifyError("HTTP 410 Gone", retry=False))
    scene.notifiers["webhook"] = refusing
    scene.server.order(Reply(503))
    courier = scene.courier(routes=Routes(page=("webhook", "pagerduty"), ticket=()))
    scene.want(NOTICE)
    assert courier.deliver_one().outcome is Outcome.RETRY
    scene.clock.forward(HOUR)
    assert courier.deliver_one().outcome is Outcome.DEAD
    assert refusing.calls == 1
    assert scene.outbox.error(KEY) == "webhook: HTTP 410 Gone"
    assert scene.states == [(KEY, "triggered", 1)]


def test_a_notifiers_bug_is_retried_and_its_text_not_shown(scene):
    scene.notifiers["pagerduty"] = Failing(KeyError("s3cret"))
    scene.want(NOTICE)
    delivery = scene.courier().deliver_one()
    assert delivery.outcome is Outcome.RETRY
    assert delivery.error == "pagerduty: failed: KeyError"


def test_tickets_never_reach_pagerduty_by_default(scene):
    courier = scene.courier(routes=default_routes(scene.notifiers))
    scene.want(about("dbslo/prod/payments/orders/lag/b", channel=Channel.TICKET))
    assert courier.deliver_one().outcome is Outcome.SENT
    assert scene.server.requests == ()
    assert len(scene.lines) == 1


# -- back-off -----------------------------------------------------------------------


def test_back_off_doubles_to_minutes_with_half_of_it_jitter():
    pace = Pace(first_ms=2_000, longest_ms=300_000)
    for attempts in range(60):
        longest = min(2_000 * 2**attempts, 300_000)
        for n in range(50):
            assert longest // 2 <= backoff_ms(f"k{n}", attempts, pace) <= longest


def test_back_off_is_the_same_in_every_run_and_differs_between_keys():
    pace = Pace()
    waits = [backoff_ms(f"k{n}", 6, pace) for n in range(200)]
    assert waits == [backoff_ms(f"k{n}", 6, pace) for n in range(200)]
    assert len(set(waits)) > 190
    assert max(waits) - min(waits) > pace.longest_ms / 8


# -- the loop ------------------------------------------------------------------------


class Observed:
    """What the loop reported; waits for a condition on it."""

    def __init__(self) -> None:
        self.seen: list = []
        self.changed = threading.Condition()

    def __call__(self, what) -> None:
        with self.changed:
            self.seen.append(what)
            self.changed.notify_all()

    def wait(self, count: int) -> list:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.seen) >= count, 10)
            return list(self.seen)


def test_the_loop_delivers_what_it_is_woken_for_and_stops_when_told(scene):
    observed = Observed()
    runner = Runner(scene.courier(), observed, idle_seconds=60)
    runner.start()
    for n in range(3):
        scene.want(about(f"x/{n}"))
    runner.wake()
    assert [d.outcome for d in observed.wait(3)] == [Outcome.SENT] * 3
    assert runner.stop(10)
    scene.want(about("x/3"))
    assert len(scene.states) == 3


def test_the_loop_finds_work_without_being_woken(scene):
    observed = Observed()
    runner = Runner(scene.courier(), observed, idle_seconds=0.01)
    runner.start()
    scene.want(NOTICE)
    assert observed.wait(1)[0].outcome is Outcome.SENT
    assert runner.stop(10)


class Broken(MemoryOutbox):
    """An outbox whose database is away for the first two calls."""

    failures = 2

    def claim(self, owner, now_ms, lease_ms):
        if self.failures:
            self.failures -= 1
            raise ConnectionError("the database is away")
        return super().claim(owner, now_ms, lease_ms)


def test_the_loop_outlives_an_outbox_that_is_away(scene):
    scene.outbox = Broken()
    scene.want(NOTICE)
    observed = Observed()
    runner = Runner(scene.courier(), observed, idle_seconds=0.01, pause_seconds=0.01)
    runner.start()
    first, second, third = observed.wait(3)[:3]
    assert runner.stop(10)
    assert isinstance(first, ConnectionError)
    assert isinstance(second, ConnectionError)
    assert third.outcome is Outcome.SENT


def test_a_stop_waits_for_the_attempt_at_hand(scene):
    scene.server.order(Reply(202, hold=True))
    scene.want(NOTICE)
    observed = Observed()
    runner = Runner(scene.courier(), observed)
    runner.start()
    while not scene.server.requests:
        threading.Event().wait(0.005)
    assert not runner.stop(0.01)
    scene.server.release()
    assert runner.stop(10)
    assert observed.wait(1)[0].outcome is Outcome.SENT
