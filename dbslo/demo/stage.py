"""The demo's stage: broker, engine, store, delivery, /metrics and a PagerDuty, set up and down."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib.resources import as_file
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import msgspec

from alerts.delivery import Pace as Retries
from alerts.testing.pagerduty import ROUTING_KEY, PagerDutyServer
from dbslo.demo import fleet
from dbslo.demo.narrator import Narrator
from dbslo.demo.play import Clock, Heard, Player, plot
from dbslo.demo.trace import Trace
from dbslo.demo.verdict import Happened, Judged, judge
from dbslo.engines import EmbeddedEngine
from dbslo.given import Given, policy_of
from dbslo.load import load
from dbslo.settings import Settings
from dbslo.telling import real_clock
from dbslo.wiring import beside, opened, running
from slo.model import SECOND
from streams.runtimes.embedded import Pace
from streams.store import Store
from streams.timing import Timings
from streams.topics import DEFAULT_SHARED

RETRIES = Retries(
    attempt_ms=5 * SECOND, margin_ms=SECOND, first_ms=500, longest_ms=2 * SECOND
)
PACE = Pace(flush_ms=20, idle_ms=20)
ANYWHERE = ("127.0.0.1", 0)

Addresses = Sequence[tuple[str, str]]


class Stage(NamedTuple):
    """Everything that is up while an outage is played."""

    have: Given
    store: Store
    engine: EmbeddedEngine
    server: PagerDutyServer | None
    addresses: Addresses


def play(
    chosen: Trace,
    read: Settings,
    stop: threading.Event,
    *,
    as_json: bool,
    linger: Callable[[], None] = lambda: None,
) -> Judged:
    """Play an outage on a stage of its own; what came of it.

    `linger` is called at the end, while everything is still up. Raises StoppedError
    where `stop` was set.
    """
    plotted = plot(chosen, real_clock())
    clock, heard = Clock(plotted.span.start_ms), Heard()
    narrator = Narrator(plotted.main, plotted.others, as_json=as_json)
    with staged(read, clock, heard) as stage:
        have, store, engine, server, addresses = stage
        narrator.open(have.plan, addresses)
        player = Player(plotted, clock, engine, store, heard, narrator)
        player.play(have.plan.inventory, stop)
        captured = None if server is None else server.incidents
        happened = Happened(
            store.incidents(), heard.deliveries, heard.changes, captured
        )
        found = judge(chosen, happened)
        narrator.close(found, list(engine.views()), addresses)
        linger()
    return found


@contextmanager
def staged(read: Settings, clock: Clock, heard: Heard) -> Iterator[Stage]:
    """Store, engine, delivery, /metrics and, unless one is named, a PagerDuty."""
    with ExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory(prefix="dbslo-demo-"))
        server = None
        if "DBSLO_PAGERDUTY_URL" not in read.given:
            server = stack.enter_context(PagerDutyServer())
        have = given(read, f"sqlite:///{folder}/demo.sqlite", server)
        store = stack.enter_context(opened(have.settings.store))
        timings, told = Timings(), heard.changes.extend
        engine = EmbeddedEngine(have, store, timings, clock, told, PACE)
        stack.enter_context(running(engine))
        around = stack.enter_context(
            beside(
                engine,
                store,
                have,
                timings,
                clock=clock,
                told=heard.delivered,
                pace=RETRIES,
            )
        )
        addresses = [
            ("kafka", f"{engine.embedded.bootstrap} (in this process)"),
            ("metrics", f"{around.listener.url}/metrics"),
            ("pagerduty", pages_of(have.settings, server)),
        ]
        yield Stage(have, store, engine, server, addresses)


def given(read: Settings, store: str, server: PagerDutyServer | None) -> Given:
    """The demo's plan and settings: whom to tell and where to serve may be chosen."""
    listen = read.metrics_listen if "DBSLO_METRICS_LISTEN" in read.given else ANYWHERE
    settings = msgspec.structs.replace(
        read,
        store=store,
        metrics_listen=listen,
        pagerduty_url=read.pagerduty_url if server is None else server.url,
        pagerduty_key=read.pagerduty_key or ROUTING_KEY,
        policy_divisor=1,
        topics=dict(DEFAULT_SHARED),
        webhook_url="",
    )
    with as_file(fleet.FLEET) as folder:
        specs, inventory = Path(folder, "slos.yaml"), Path(folder, "inventory.yaml")
        loaded = load([specs], inventory, policy_of(settings))
    return Given(settings, loaded.plan, loaded.warnings)


def pages_of(settings: Settings, server: PagerDutyServer | None) -> str:
    """Where pages go, for people."""
    if server is None:
        return f"{settings.pagerduty_url} (DBSLO_PAGERDUTY_URL)"
    return f"{server.url}/events (captured)"
