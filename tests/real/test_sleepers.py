"""Processes that stand still at the worst moment, and wake as nobody."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from alerts.delivery import Courier, Pace
from alerts.notifiers.pagerduty import PagerDuty
from alerts.routing import Routes
from alerts.testing.pagerduty import ROUTING_KEY, PagerDutyServer
from slo.model import MINUTE
from slo.notice import Action, Channel, Notice
from streams.store import Store
from streams.store.outbox import put_notices
from tests.alerts.notices import NOTICE, resolved
from tests.real.servers.process import Process
from tests.real.walk import until
from tests.streams.bench import LAG, T0, Bench, batch, cell

pytestmark = pytest.mark.real

ROOT = Path(__file__).parents[2]
PACE = Pace(attempt_ms=400, margin_ms=400, first_ms=50)
ROUTES = Routes(page=("pagerduty",), ticket=("pagerduty",))

SENDER = """
import os, signal, sys, time
from alerts.delivery import Courier
from alerts.notifiers.pagerduty import PagerDuty
from alerts.testing.pagerduty import ROUTING_KEY
from streams.store import Store
from tests.real.test_sleepers import PACE, ROUTES

store_url, server_url, when = sys.argv[1:]
clock = lambda: time.time_ns() // 1_000_000

class Sleeper(PagerDuty):
    def notify(self, notice, deadline_ms):
        if when == "before it sends":
            os.kill(os.getpid(), signal.SIGSTOP)
        super().notify(notice, deadline_ms)
        if when == "before it marks":
            os.kill(os.getpid(), signal.SIGSTOP)

sleeper = Sleeper(ROUTING_KEY, clock, server_url)
store = Store(store_url)
courier = Courier(store, {"pagerduty": sleeper}, ROUTES, "sleeper", clock, PACE)
print(courier.deliver_one().outcome, flush=True)
"""

ZOMBIE = """
import os, signal, sys
from slo.model import HOUR, MINUTE
from tests.streams.bench import LAG, T0, Bench, batch, broken, cell

bench = Bench(sys.argv[1])
broken(bench, 60, 30, 80)
os.kill(os.getpid(), signal.SIGSTOP)
well = [cell(LAG, T0 + (80 + n) * MINUTE, 0.2) for n in range(200)]
for attempt in (
    lambda: bench.evaluator.tick(10**9),
    lambda: bench.apply(batch(T0 + 6 * HOUR, well)),
):
    try:
        attempt()
        print("done", flush=True)
    except Exception as error:
        print(type(error).__name__, flush=True)
"""


def clock() -> int:
    return time.time_ns() // 1_000_000


@pytest.fixture
def url(postgres) -> str:
    return postgres.url(postgres.database())


@pytest.fixture
def pagerduty() -> Iterator[PagerDutyServer]:
    with PagerDutyServer() as made:
        yield made


@contextmanager
def asleep(program: str, log: Path, *args: str) -> Iterator[Process]:
    """A program that has stopped itself; it is woken at the block's end."""
    command = [sys.executable, "-c", program, *args]
    process = Process(command, log, env={"PYTHONPATH": str(ROOT)})
    stat = Path(f"/proc/{process.pid}/stat")

    def stopped() -> bool:
        assert process.alive, log.read_text()
        return stat.read_text().rpartition(")")[2].split()[0] == "T"

    try:
        until("it sleeps", stopped, 30)
        yield process
        os.kill(process.pid, signal.SIGCONT)
        until("it has ended", lambda: not process.alive, 30)
    finally:
        process.kill()


def want(store: Store, notice: Notice) -> None:
    with store.writing() as connection:
        put_notices(connection, [notice], clock())


@pytest.mark.parametrize(
    ("when", "says", "heard"),
    [
        ("before it sends", "retry", {"resolve"}),
        ("before it marks", "changed", {"trigger", "resolve"}),
    ],
)
def test_a_sender_that_stalls_never_opens_again_what_another_has_resolved(
    url, pagerduty, tmp_path, when, says, heard
):
    store, log = Store(url), tmp_path / "sleeper.log"
    sender = PagerDuty(ROUTING_KEY, clock, pagerduty.url)
    known = {"pagerduty": sender}
    courier = Courier(store, known, ROUTES, "awake", clock, PACE)
    want(store, NOTICE)
    with asleep(SENDER, log, url, pagerduty.url, when):
        want(store, resolved())
        until("the lease ends, and another resolves", courier.deliver_one, 10)
        assert pagerduty.events[-1]["event_action"] == "resolve"
    until(
        "all is settled",
        lambda: not courier.deliver_one() and store.oldest_unsent_ms() is None,
        10,
    )
    assert log.read_text().split() == [says]
    actions = [event["event_action"] for event in pagerduty.events]
    assert (set(actions), actions[-1]) == (heard, "resolve")
    assert [one["status"] for one in pagerduty.incidents if one["triggers"]] == [
        "resolved" for action in actions if action == "trigger"
    ]
    store.close()


def test_a_zombie_neither_ticks_nor_resolves(url, tmp_path):
    """Its successor holds the page open; the sleeper wakes and thinks that all is well."""
    Store(url).close()
    log = tmp_path / "zombie.log"
    with asleep(ZOMBIE, log, url):
        bench = Bench(url)
        at = T0 + 81 * MINUTE
        bench.apply(batch(at + MINUTE, [cell(LAG, at, -1.0)]))
        before = bench.dump(at + MINUTE)
    assert log.read_text().split() == ["FencedError", "NotAssignedError"]
    assert bench.dump(at + MINUTE) == before
    (page,) = [t for t in bench.store.letters() if t.notice.channel is Channel.PAGE]
    assert page.notice.action is Action.TRIGGER
    (incident,) = bench.store.incidents()
    assert incident.resolved_ms is None
    bench.apply(batch(at + 2 * MINUTE, []))
    bench.store.close()
