"""The faults: what is done to whom, and what must be seen before the next."""

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import psycopg
from confluent_kafka import IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from slo.names import OBSERVATIONS_TOPIC
from tests.chaos import fleet
from tests.chaos.sleeper import Sleeper
from tests.chaos.stage import Slot, Stage
from tests.chaos.watching import Watch, clock, until

SETTLED_S = 60
CHECKPOINT_AGE = "dbslo_checkpoint_age_seconds"
AWAY_S = 75.0
"""Longer than the minute after which dbslo says that it is blind."""

AWAKE_S = 120.0
ASLEEP_S = 14.0
"""Longer than a session (6 s) and a transaction (10 s) may last."""

CUT_S = 10.0
LOOKED_MS = 210
"""How long a transaction is looked at before it counts as left open."""


class Happened(NamedTuple):
    """A fault that was done: how long until all that came before it was counted."""

    what: str
    at_ms: int
    stall_ms: int
    kills: int = 0
    inside: int = 0
    alone: bool = True  # nothing else happened meanwhile


class Faults:
    """Does faults, one after the other."""

    def __init__(
        self,
        stage: Stage,
        watch: Watch,
        chosen: random.Random,
        say: Callable[[str], None],
    ) -> None:
        self.happened: list[Happened] = []
        self.paused_s = 0.0
        self.back_ms = 0
        self.caught_up_ms = 0
        self._stage = stage
        self._watch = watch
        self._chosen = chosen
        self._say = say
        self._admin = self._asker()
        self._extra = 2
        self._sleeper: Sleeper | None = None

    def _asker(self) -> AdminClient:
        bootstrap = self._stage.kafka.bootstrap
        return AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})

    # -- workers that are killed -------------------------------------------------------

    def kill(self, *stages: str) -> None:
        """SIGKILL a worker of each stage at the same moment."""
        slots = [self._victim(stage) for stage in stages]
        at_ms = clock()
        for slot in slots:
            slot.signal(signal.SIGKILL)
        inside = int("ingest" in stages and self.in_transaction())
        names = " and ".join(slot.name for slot in slots)
        self._settled(f"SIGKILL of {names}", at_ms, kills=len(slots), inside=inside)

    def kill_inside(self, *others: str) -> None:
        """SIGKILL a stage 1 worker while its transaction is open, and others with it.

        It is stopped at random moments until one is found to be open: nobody else's
        stays open for so long.
        """
        slot = self._victim("ingest")
        inside = self._stop_inside(slot)
        at_ms = clock() - (LOOKED_MS if inside else 0)
        slots = [slot, *map(self._victim, others)]
        for one in slots:
            one.signal(signal.SIGKILL)
        names = " and ".join(one.name for one in slots)
        self._settled(
            f"SIGKILL of {names}", at_ms, kills=len(slots), inside=int(inside)
        )

    def _victim(self, stage: str) -> Slot:
        return self._chosen.choice(self._awake(stage))

    def _awake(self, stage: str) -> list[Slot]:
        slots = [s for s in self._stage.supervisor.of(stage) if s.alive]
        asleep = self._sleeper.pid if self._sleeper else 0
        return [s for s in slots if s.process.pid != asleep]

    def _stop_inside(self, slot: Slot, tries: int = 100) -> bool:
        for _ in range(tries):
            slot.signal(signal.SIGSTOP)
            if self.in_transaction():
                return True
            slot.signal(signal.SIGCONT)
            time.sleep(0.03 + 0.1 * self._chosen.random())
        slot.signal(signal.SIGSTOP)
        return False

    def in_transaction(self) -> bool:
        """Whether a transaction stays open: the same last stable offset for 0.2 s."""
        first = self._open()
        for _ in range(3):
            if not first:
                return False
            time.sleep(LOOKED_MS / 3_000)
            first &= self._open()
        return bool(first)

    def _open(self) -> set[tuple[int, int]]:
        """(partition, last stable offset) where that is below the high watermark."""
        try:
            stable = self._ends(IsolationLevel.READ_COMMITTED)
            ends = self._ends(IsolationLevel.READ_UNCOMMITTED)
        except (KafkaException, TimeoutError):
            self._admin = self._asker()
            return set()
        return {(n, at) for n, at in stable.items() if at < ends[n]}

    def _ends(self, level: IsolationLevel) -> dict[int, int]:
        wanted = {
            TopicPartition(OBSERVATIONS_TOPIC, n): OffsetSpec.latest()
            for n in range(fleet.PARTITIONS)
        }
        asked = self._admin.list_offsets(wanted, isolation_level=level)
        return {tp.partition: found.result(10).offset for tp, found in asked.items()}

    # -- workers that stand still --------------------------------------------------------

    def zombie(self, stage: str) -> None:
        """A worker sleeps for longer than its session, and wakes among its successors.

        One of stage 1 falls asleep inside a transaction. Never the last one that is
        awake: nobody would take over.
        """
        until("another stays awake", lambda: len(self._awake(stage)) > 1, AWAKE_S)
        slot = self._victim(stage)
        inside = stage == "ingest" and self._stop_inside(slot)
        at_ms = clock()
        slot.signal(signal.SIGSTOP)
        self._watch.passes(at_ms, SETTLED_S)
        time.sleep(max(0.0, ASLEEP_S - (clock() - at_ms) / 1_000))
        taken_ms = self._watch.passed_at(at_ms)
        slot.signal(signal.SIGCONT)
        where = " inside a transaction" if inside else ""
        self._say(f"{slot.name} was taken over after {(taken_ms or 0) - at_ms} ms")
        self._settled(f"{slot.name} slept{where} and woke", clock())

    def sleeping_sender(self, key: str) -> Sleeper:
        """A sender stands still between the next trigger of a key and its mark."""
        self._sleeper = Sleeper(self._stage, key, self._say)
        self._sleeper.start()
        return self._sleeper

    # -- servers and wires ---------------------------------------------------------------

    def broker_restart(self) -> None:
        """The broker shuts down in good order and comes back on the same data."""
        at_ms = clock()
        self._stage.kafka.stop()
        down_ms = clock()
        self._stage.kafka.start()
        self._say(f"the broker was away from {down_ms - at_ms} to {clock() - at_ms} ms")
        self._settled("broker restart", at_ms)

    def postgres_restart(self) -> None:
        """PostgreSQL stops at once, as by `pg_ctl -m immediate`, and recovers."""
        at_ms = clock()
        process = self._stage.postgres._process
        assert process is not None
        process.stop(signal.SIGQUIT)
        self._stage.postgres.start()
        self._settled("PostgreSQL restart (immediate)", at_ms)

    def paged(self) -> None:
        """Wait until somebody was paged, so that what follows hits an open incident."""
        until("an incident is open", lambda: self._stage.pager.incidents, 60)

    def store_away(self, seconds: float) -> None:
        """PostgreSQL is shut down for longer than anybody waits in silence.

        `paused_s` is then what a worker's /metrics said of it shortly before it ended.
        """
        at_ms = clock()
        self._stage.postgres.stop()
        time.sleep(max(0.0, seconds - (clock() - at_ms) / 1_000))
        self.paused_s = max(
            (
                slot.metric(CHECKPOINT_AGE)
                for slot in self._stage.supervisor.of("evaluate")
            ),
            default=0.0,
        )
        self._say(f"the metrics say that nothing was saved for {self.paused_s:.0f} s")
        self.back_ms = clock()
        self._stage.postgres.start()
        self._settled(f"the store was away for {seconds:g} s", at_ms)
        self.caught_up_ms = self._watch.passes(self.back_ms, SETTLED_S)
        self._say(f"caught up {self.caught_up_ms} ms after it was started again")

    def backend_kill(self) -> None:
        """SIGKILL of one backend: PostgreSQL ends all of them and recovers."""
        dsn = self._stage.postgres.dsn(self._stage.database)
        with psycopg.connect(dsn) as connection:
            rows = connection.execute(
                "SELECT pid FROM pg_stat_activity WHERE datname = %s"
                " AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
                " ORDER BY pid",
                (self._stage.database,),
            ).fetchall()
        at_ms = clock()
        os.kill(self._chosen.choice(rows)[0], signal.SIGKILL)
        self._settled("SIGKILL of a PostgreSQL backend", at_ms)

    def kafka_cut(self) -> None:
        """Nothing passes between the workers and the broker for longer than a session."""
        at_ms = clock()
        with self._stage.kafka_wire.cut():
            time.sleep(CUT_S)
        self._settled("network pause before Kafka", at_ms)

    def sql_cut(self) -> None:
        """Nothing passes between the workers and PostgreSQL for a while."""
        at_ms = clock()
        with self._stage.sql_wire.cut():
            time.sleep(CUT_S)
        self._settled("network pause before PostgreSQL", at_ms)

    # -- rebalances ----------------------------------------------------------------------

    def rebalance(self, *stages: str) -> None:
        """A third worker of each stage joins, works, and leaves in good order."""
        at_ms, number = clock(), self._extra
        joined = [self._stage.slot(stage, number) for stage in stages]
        self._extra += 1
        for stage in stages:
            until(
                f"the third {stage} holds partitions",
                lambda s=stage: self._holds(s, number),
                60,
            )
        self._stage.supervisor.retire(*joined)
        self._settled(f"rebalance: a third {' and '.join(stages)} came and went", at_ms)

    def shared(self, stage: str, wanted: int) -> bool:
        """Whether so many workers of a stage hold partitions."""
        return len(self._holders(stage)) >= wanted

    def _holds(self, stage: str, number: int) -> bool:
        """Whether this very worker does: one that was killed is a member for a while."""
        return f"dbslo-{stage}-{number}" in self._holders(stage)

    def _holders(self, stage: str) -> list[str]:
        """The client ids of the members of a stage's group that hold partitions."""
        group = f"dbslo-{stage}"
        try:
            asked = self._admin.describe_consumer_groups([group])
            members = asked[group].result(5).members
        except (KafkaException, TimeoutError):
            self._admin = self._asker()  # after a restart the old one waits for long
            return []
        every = stage == "evaluate" and self._stage.runtime == "faust"
        return [m.client_id for m in members if every or m.assignment.topic_partitions]

    # -- after each ------------------------------------------------------------------------

    def _settled(
        self, what: str, at_ms: int, *, kills: int = 0, inside: int = 0
    ) -> None:
        """Wait until all that came before the fault is counted, and all is alive."""
        try:
            stall_ms = self._watch.passes(at_ms, SETTLED_S)
        except TimeoutError:
            stall_ms = clock() - at_ms
            self._say(f"{what}: STILL NOT COUNTED after {stall_ms} ms")
        alone = not (self._sleeper and self._sleeper.slept(at_ms, at_ms + stall_ms))
        self._note(Happened(what, at_ms, stall_ms, kills, inside, alone))
        alive = self._stage.supervisor.slots
        until("every worker is alive", lambda: all(s.alive for s in alive), 30)
        time.sleep(0.3 + 0.9 * self._chosen.random())

    def _note(self, happened: Happened) -> None:
        self.happened.append(happened)
        more = ", inside a transaction" if happened.inside else ""
        more += "" if happened.alone else ", while a sender slept"
        self._say(f"{happened.what}: {happened.stall_ms} ms{more}")


Step = Callable[[Faults], None]


def full(chosen: random.Random) -> Iterator[Step]:
    """At least 22 kills and everything else, shuffled by the seed.

    A worker of stage 2 stands still last: earlier, the other may be the sender that
    does, and nobody would be awake to take over.
    """
    steps: list[Step] = []
    steps += [lambda f: f.kill_inside()] * 4
    steps += [lambda f: f.kill("ingest", "evaluate")] * 6
    steps += [lambda f: f.kill("evaluate")] * 4
    steps += [lambda f: f.kill("ingest")] * 2
    steps += [
        lambda f: f.broker_restart(),
        lambda f: f.postgres_restart(),
        lambda f: f.backend_kill(),
        lambda f: f.kafka_cut(),
        lambda f: f.sql_cut(),
        lambda f: f.zombie("ingest"),
        lambda f: f.rebalance("ingest"),
        lambda f: f.rebalance("evaluate"),
        lambda f: f.rebalance("ingest", "evaluate"),
    ]
    chosen.shuffle(steps)
    yield from steps
    yield lambda f: f.zombie("evaluate")


def brief(chosen: random.Random) -> Iterator[Step]:
    """A handful for every day: both stages are killed, one inside a transaction."""
    steps: list[Step] = [
        lambda f: f.kill_inside("evaluate"),
        lambda f: f.backend_kill(),
    ]
    chosen.shuffle(steps)
    yield lambda f: f.paged()
    yield from steps


def away(chosen: random.Random) -> Iterator[Step]:
    """The store alone, for longer than a minute."""
    yield lambda _: time.sleep(10)
    yield lambda f: f.store_away(AWAY_S)
