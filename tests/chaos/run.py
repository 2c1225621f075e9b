"""One run: the stage, the load, the faults, the judge."""

import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from confluent_kafka import Producer

from tests.chaos import faults, judge
from tests.chaos.generator import Made, Outage, Script, records
from tests.chaos.judge import Check
from tests.chaos.sleeper import Sleeper
from tests.chaos.stage import Stage
from tests.chaos.watching import Watch, clock, until

SECOND = 1_000
CAUGHT_UP_S = 180
RESOLVED_S = 240


class Size(NamedTuple):
    """How large a run is; `outages` as (cluster, begin, end) in seconds of the load.

    `before_s` seconds of it lie in the past when it begins: a backlog.
    """

    name: str
    seconds: float
    before_s: int
    divisor: int
    outages: tuple[tuple[str, float, float], ...]
    plan: Callable[[random.Random], Any]
    kills: int
    inside: int
    longest_ms: int


FULL = Size(
    name="faults",
    seconds=400,
    before_s=10,
    divisor=60,
    outages=(("shop", 35, 90), ("orders", 115, 170), ("returns", 190, 260)),
    plan=faults.full,
    kills=20,
    inside=3,
    longest_ms=12_000,
)
AWAY = Size(
    name="store-away",
    seconds=130,
    before_s=10,
    divisor=30,
    outages=(),
    plan=faults.away,
    kills=0,
    inside=0,
    longest_ms=12_000,
)
"""The store away for more than a minute under load."""

BRIEF = Size(
    name="brief",
    seconds=94,
    before_s=60,
    divisor=120,
    outages=(("shop", 2, 60),),
    plan=faults.brief,
    kills=2,
    inside=1,
    longest_ms=30_000,
)
"""An outage in the backlog pages at once, and resolves while workers are killed.

Its bound on stalls tells a hang from a busy machine; the full run states the promise.
"""


class Load:
    """The producer: every record at its moment, in a thread of its own."""

    def __init__(self, script: Script, bootstrap: str) -> None:
        self.sent: list[Made] = []
        self.ended_ms = 0
        self._script = script
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "enable.idempotence": True,
                "linger.ms": 5,
                "delivery.timeout.ms": 600_000,
                "queue.buffering.max.messages": 2_000_000,
                "queue.buffering.max.kbytes": 2_000_000,
                "log_level": 0,
            }
        )
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether records still come."""
        return self._thread.is_alive()

    def join(self) -> None:
        """Wait for the last record."""
        self._thread.join()

    def _run(self) -> None:
        for made in records(self._script):
            while made.arrival_ms > clock():
                self._producer.poll(0)
                time.sleep(0.005)
            self._producer.produce(
                made.topic,
                made.value,
                made.key,
                made.partition,
                timestamp=made.arrival_ms,
            )
            self.sent.append(made)
        while self._producer.flush(10):
            pass
        self.ended_ms = clock()


AGAIN = 1.1
"""Of so many records more than a tenth are sent again: the load lasts as planned."""


class Run:
    """A run of the chaos suite."""

    def __init__(
        self, folder: Path, runtime: str, seed: int, events: int, size: Size
    ) -> None:
        self.runtime = runtime
        self.size = size
        self.seed = seed
        self.events = events
        self.checks: list[Check] = []
        self.figures: dict[str, Any] = {}
        self._begun = time.monotonic()
        self.stage = Stage(folder, runtime, size.divisor)
        self.watch = Watch(self.stage.postgres.dsn(self.stage.database))

    def say(self, text: str) -> None:
        """A line of progress."""
        print(
            f"{self.runtime} {time.monotonic() - self._begun:6.1f} s  {text}",
            flush=True,
        )

    def go(self) -> list[Check]:
        """All of it; the checks."""
        try:
            self._play()
        finally:
            self.watch.stop()
            self.stage.close()
        self.checks += judge.exits(self.stage)
        return self.checks

    def _script(self) -> Script:
        start_ms = clock() // (10 * SECOND) * 10 * SECOND - self.size.before_s * SECOND
        outages = tuple(
            Outage(cluster, start_ms + int(a * SECOND), start_ms + int(b * SECOND))
            for cluster, a, b in self.size.outages
        )
        return Script(
            self.seed, self.events, start_ms, self.size.seconds * AGAIN, outages
        )

    def _play(self) -> None:
        stage, chosen = self.stage, random.Random(self.seed)
        for stage_name in ("ingest", "evaluate"):
            for number in range(2):
                stage.slot(stage_name, number)
        done = faults.Faults(stage, self.watch, chosen, self.say)
        for name in ("ingest", "evaluate"):
            until(f"two {name} share", lambda n=name: done.shared(n, 2), 90)
        script = self._script()
        self.say(f"seed {self.seed}, {self.events:,} events from {script.start_ms} on")
        load = Load(script, stage.kafka.bootstrap)
        load.start()
        self.watch.start()
        sleepers = self._sleepers(done)
        self.watch.passes(script.start_ms, 60)
        for step in self.size.plan(chosen):
            step(done)
        self.say("all faults are done" + (", under load" if load.running else ""))
        load.join()
        last_ms = load.sent[-1].arrival_ms
        self.say(f"{len(load.sent):,} records were sent")
        stall = self.watch.passes(last_ms + 1, CAUGHT_UP_S)
        self.say(f"all is counted {stall} ms after the last record")
        self._await_pages()
        for sleeper in sleepers:
            sleeper.join()
        self._judge(load, done, last_ms)
        self.checks += [judge.slept(one.told) for one in sleepers]

    def _sleepers(self, done: faults.Faults) -> list[Sleeper]:
        if self.size is not FULL:
            return []
        return [done.sleeping_sender(judge.fleet.key_of("orders"))]

    def _await_pages(self) -> None:
        wanted = {judge.fleet.key_of(cluster) for cluster, _, _ in self.size.outages}

        def settled() -> bool:
            found = self.stage.pager.incidents
            keys = {one["dedup_key"] for one in found}
            return wanted <= keys and all(one["status"] == "resolved" for one in found)

        with suppress(TimeoutError):  # the judge says so
            until("every incident is resolved", settled, RESOLVED_S)
        self.say("the incidents are settled")

    def _judge(self, load: Load, done: faults.Faults, last_ms: int) -> None:
        size, stage = self.size, self.stage
        placed = judge.placed(load.sent)
        load.sent = []
        wanted = judge.answer(placed, stage.folder, size.divisor)
        self.say(f"counted again: {len(wanted.lines):,} lines")
        clusters = [cluster for cluster, _, _ in size.outages]
        self.checks += [
            judge.written(stage, placed),
            *judge.ledgers(stage, wanted, last_ms),
            judge.dead_letters(stage, wanted),
            *judge.pages(stage, wanted, clusters),
            *self._asked(done, load.ended_ms),
        ]
        self.figures = {
            "faults": [one._asdict() for one in done.happened],
            "usual_lag_ms": self._usual(),
        }

    def _asked(self, done: faults.Faults, on_ms: int) -> list[Check]:
        blind = judge.blind(self.stage, wanted=self.size is AWAY)
        if self.size is AWAY:
            told = (done.paused_s, faults.AWAY_S, done.caught_up_ms)
            return [blind, *judge.pause(*told)]
        return [blind, *judge.faults(done.happened, self.size, on_ms)]

    def _usual(self) -> int:
        """The median of how far the watermark is behind the clock."""
        behind = sorted(s.at_ms - s.mark_ms for s in self.watch.seen() if s.mark_ms > 0)
        return behind[len(behind) // 2] if behind else 0
