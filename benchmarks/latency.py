"""From a produced event to the request at PagerDuty, at 20,000 events/s.

`dbslo ingest` and `dbslo evaluate` as processes beside a real broker. Sixty clusters
are kept one datum short of a page: two minutes of theirs are bad, and a page needs
three. A third minute that turns bad is the decisive event; the same minute restated as
good, with a greater count, lets the incident resolve, and the next turn begins.
"""

import json
import os
import random
import signal
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http import HTTPStatus
from pathlib import Path
from threading import Lock
from typing import Any

from confluent_kafka import Producer

from alerts.testing.loopback import Reply, Request
from alerts.testing.pagerduty import ROUTING_KEY, PagerDutyServer
from benchmarks.figures import FailedError, Figure, say
from benchmarks.fleet import INSTANCES, IRRELEVANT, RELEVANT, written
from benchmarks.records import MINUTE_MS, PARTITIONS, PER_MINUTE, datum
from tests.real.servers.kafka import Kafka

RATE = 20_000
TICK_S = 0.005
CLUSTERS = 60
PAGES = 240
PAGES_PER_SECOND = 4.0
SETTLE_S = 12.0
LATE_S = 30.0
ROOT = Path(__file__).parents[1]
BAD, TOTAL = 500.0, 1_000.0
AIMS = {"p50": 250.0, "p99": 750.0}


class Pager(PagerDutyServer):
    """PagerDuty, which notes when each request came; times are epoch seconds.

    `seen` has what opened an incident or ended it; `told` all that was said of a
    cluster: a trigger of an incident that is open, too.
    """

    def __init__(self) -> None:
        super().__init__()
        self._noting = Lock()
        self.seen: dict[tuple[str, str], list[float]] = defaultdict(list)
        self.told: dict[str, list[str]] = defaultdict(list)
        self.repeated = 0

    def _serve(self, request: Request) -> Reply:
        at = time.time()
        reply = super()._serve(request)
        if request.path == "/v2/enqueue" and reply.status == HTTPStatus.ACCEPTED:
            with self._noting:
                self._note(json.loads(request.body), at)
        return reply

    def _note(self, event: dict[str, Any], at: float) -> None:
        action = event["event_action"]
        cluster = event["dedup_key"].rsplit("/", 1)[-1]
        summary = event.get("payload", {}).get("summary", "")
        self.told[cluster].append(f"{at:.3f} {action} {summary}")
        opened = len(self.seen["trigger", cluster])
        is_open = opened > len(self.seen["resolve", cluster])
        if is_open is (action == "resolve"):
            self.seen[action, cluster].append(at)
        else:
            self.repeated += 1


class Background:
    """The fleet's data, a new minute every 10,000 records, made as they are sent.

    At this rate two hours of the fleet's take a minute, so they begin two hours ago and
    end now: the engine keeps two hours at hand, where live data lies, and reads what is
    older back from the store. After `seconds` the newest minute is repeated.
    """

    def __init__(self, newest_ms: int, seconds: float) -> None:
        stamp, metrics = 1_234_567_890_123, {**RELEVANT, **IRRELEVANT}
        names = [(i, m) for i in range(INSTANCES) for m in metrics]
        random.Random(1).shuffle(names)
        made = (datum(i, m, metrics[m], stamp) for i, m in names)
        self._parts = [value.split(str(stamp).encode()) for value in made]
        self._minutes = int(RATE * seconds / PER_MINUTE)
        self._start_ms = newest_ms - self._minutes * MINUTE_MS
        self._sent = 0

    def next(self) -> bytes:
        """The next record's value."""
        minute, at = divmod(self._sent, PER_MINUTE)
        self._sent += 1
        head, tail = self._parts[at]
        minute = min(minute, self._minutes)
        return head + b"%d" % (self._start_ms + minute * MINUTE_MS) + tail


class Cluster:
    """A cluster one datum short of a page. Epoch seconds."""

    def __init__(self, name: str, decisive_ms: int) -> None:
        self.name = name
        self.crossed: list[float] = []
        self.said: list[str] = []
        self.mended = 0
        self._decisive_ms = decisive_ms
        self._count = 6.0

    def before(self) -> Iterator[bytes]:
        """Five minutes, the first two of which are bad."""
        for ago in range(2, -3, -1):
            start_ms = self._decisive_ms - ago * MINUTE_MS
            yield self._datum("ConnectionAttempts", TOTAL, start_ms)
            yield self._datum("AbortedClients", BAD if ago > 0 else 0.0, start_ms)

    def cross(self) -> bytes:
        """The decisive event."""
        self._count += 1
        self.crossed.append(time.time())
        self.said.append(f"{self.crossed[-1]:.3f} crosses")
        return self._datum("AbortedClients", BAD, self._decisive_ms)

    def mend(self) -> bytes:
        """The same minute, restated as good."""
        self._count += 1
        self.mended += 1
        self.said.append(f"{time.time():.3f} mends")
        return self._datum("AbortedClients", 0.0, self._decisive_ms)

    def _datum(self, metric: str, value: float, start_ms: int) -> bytes:
        made = datum(0, metric, "Count", start_ms, name=f"{self.name}-writer")
        one = b'{"max": %f, "min": %f, "sum": %f, "count": %f}'
        values = one % (value, value, value, self._count)
        head, rest = made.split(b'"value": ')
        return head + b'"value": ' + values + rest[rest.index(b"}") + 1 :]


class Load:
    """Produces at the rate, and lets one cluster after another cross and mend."""

    def __init__(self, bootstrap: str, topic: str, pager: Pager, pages: int) -> None:
        self._producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 2})
        self._topic = topic
        self._pager = pager
        self._pages = pages
        newest_ms = time.time_ns() // 1_000_000 // MINUTE_MS * MINUTE_MS
        self._background = Background(newest_ms, SETTLE_S + pages / PAGES_PER_SECOND)
        decisive_ms = newest_ms - 4 * MINUTE_MS
        names = [f"paged-{number:03d}" for number in range(CLUSTERS)]
        self.clusters = [Cluster(name, decisive_ms) for name in names]
        self._turn = self._sent = 0
        self._begun = 0.0
        self._chance = random.Random(2)

    def run(self) -> float:
        """Until all pages have come; the events per second that were sent.

        Raises FailedError where a page does not come.
        """
        for cluster in self.clusters:
            for value in cluster.before():
                self._send(value)
        begun = self._begun = time.time()
        next_at = begun + SETTLE_S
        while not self._over():
            self._keep_pace(begun)
            if time.time() >= next_at and self._crossed() < self._pages:
                self._cross()
                next_at += self._chance.uniform(0.5, 1.5) / PAGES_PER_SECOND
            time.sleep(TICK_S)
        self._producer.flush(30)
        return self._sent / (time.time() - begun)

    def _keep_pace(self, begun: float) -> None:
        due = int((time.time() - begun) * RATE)
        for _ in range(self._sent, due):
            self._send(self._background.next())
        self._sent = max(due, self._sent)
        self._producer.poll(0)
        for cluster in self.clusters:
            seen = self._pager.seen["trigger", cluster.name]
            if len(seen) > cluster.mended:
                self._send(cluster.mend())

    def _cross(self) -> None:
        """Let the next cluster cross whose last incident has resolved."""
        for _ in self.clusters:
            cluster = self.clusters[self._turn % CLUSTERS]
            self._turn += 1
            resolved = len(self._pager.seen["resolve", cluster.name])
            if len(cluster.crossed) == cluster.mended == resolved:
                self._send(cluster.cross())
                return

    def _crossed(self) -> int:
        return sum(len(cluster.crossed) for cluster in self.clusters)

    def _over(self) -> bool:
        late = time.time() - LATE_S
        for cluster in self.clusters:
            seen = self._pager.seen["trigger", cluster.name]
            if len(seen) > len(cluster.crossed):
                raise self._failed(cluster, "paged before its decisive event")
            if len(cluster.crossed) > len(seen) and cluster.crossed[-1] < late:
                raise self._failed(cluster, f"did not page within {LATE_S:g} s")
        mended = sum(cluster.mended for cluster in self.clusters)
        return mended >= self._pages

    def _failed(self, cluster: Cluster, what: str) -> FailedError:
        said = "; ".join([f"begun {self._begun:.3f}", *cluster.said])
        told = "; ".join(self._pager.told[cluster.name])
        return FailedError(f"{cluster.name} {what}; it said: {said}; told: {told}")

    def _send(self, value: bytes) -> None:
        self._producer.produce(self._topic, value)

    def waits_ms(self) -> list[float]:
        """How long each page took, sorted."""
        return sorted(
            (came - crossed) * 1000
            for cluster in self.clusters
            for crossed, came in zip(
                cluster.crossed,
                self._pager.seen["trigger", cluster.name],
                strict=True,
            )
        )


@contextmanager
def _dbslo(
    command: str, env: dict[str, str], log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "dbslo", command, "--json"],
            cwd=ROOT,
            env=env,
            stdout=out,
            stderr=out,
        )
    try:
        try:
            yield process
        except FailedError as error:
            raise _with_log(error, command, process.poll(), log) from None
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    finally:
        process.kill()
        process.wait()


def _with_log(
    error: FailedError, command: str, code: int | None, log: Path
) -> FailedError:
    """Where a process has ended, that is why; its last words say more."""
    if code is None:
        return error
    words = log.read_text(errors="replace").splitlines()[-20:]
    return FailedError("\n".join([f"{error}", f"{command} ended with {code}:", *words]))


def measured(kafka: Kafka, folder: Path, store: str, pages: int = PAGES) -> list[float]:
    """How long each page took, ms, sorted; with the rate said on stderr."""
    topic = kafka.topic("cloudwatch", PARTITIONS)
    specs, inventory = written(folder, paged=CLUSTERS)
    kept = {k: v for k, v in os.environ.items() if not k.startswith("DBSLO_")}
    with ExitStack() as stack:
        pager = stack.enter_context(Pager())
        env = kept | {
            "DBSLO_KAFKA": kafka.bootstrap,
            "DBSLO_STORE": store,
            "DBSLO_SPECS": str(specs),
            "DBSLO_INVENTORY": str(inventory),
            "DBSLO_TOPICS": f"{topic}=cloudwatch",
            "DBSLO_PAGERDUTY_URL": pager.url,
            "DBSLO_PAGERDUTY_KEY": ROUTING_KEY,
            "DBSLO_METRICS_LISTEN": "127.0.0.1:0",
        }
        for command in ("ingest", "evaluate"):
            log = folder / f"{command}-{store.partition(':')[0]}.log"
            stack.enter_context(_dbslo(command, env, log))
        load = Load(kafka.bootstrap, topic, pager, pages)
        rate = load.run()
    say(f"{rate:,.0f} events/s were produced; {pager.repeated} events told nothing new")
    return load.waits_ms()


def shares(waits_ms: list[float]) -> dict[str, float]:
    """Median and 99th percentile, ms."""
    hundredths = statistics.quantiles(waits_ms, n=100)
    return {"p50": hundredths[49], "p99": hundredths[98]}


def figures(folder: Path, stores: dict[str, str]) -> list[Figure]:
    """The figures of each store, by name and URL.

    Each has a broker of its own: a new store reads what the observations topic holds
    from its beginning, and would page for the row before.

    Raises FailedError, with the figures of the others, where one has none.
    """
    found: list[Figure] = []
    failed: list[str] = []
    for name, url in stores.items():
        say(f"{PAGES} pages at {RATE:,} events/s, {name}")
        try:
            with Kafka.running() as kafka:
                waits = measured(kafka, folder, url)
        except FailedError as error:
            failed.append(f"{name}: {error}")
            continue
        found += [
            Figure(
                f"{share} of {len(waits)} pages, {name}",
                round(value, 1),
                "ms",
                aim=f"at most {AIMS[share]:g} ms",
            )
            for share, value in shares(waits).items()
        ]
    if failed:
        raise FailedError("\n".join(failed), found)
    return found
