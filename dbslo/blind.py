"""dbslo is blind: a page about ourselves, which needs neither the store nor Kafka.

Whoever holds a partition and sees no commit of it for a minute pages: the store is
away, or the broker, or stage 1. All workers of a deployment share one key, so their
triggers join one incident. It resolves with the next commit; a worker that was killed
while it was blind leaves that to whoever commits its partition next, which the store
tells by the gap since the last commit.
"""

import logging
import socket
import threading
import time
from collections.abc import Mapping
from typing import Final

from alerts.memory import MemoryOutbox
from dbslo.engines import Engine
from dbslo.telling import Telling, real_clock
from slo.model import SECOND
from slo.notice import Action, Channel, Notice
from slo.resources import Inventory

SERVICE: Final = "dbslo"
CLUSTER: Final = "blind"

REPEAT_S: Final = 300.0
"""Who is still blind says so again: another worker may have resolved it for itself."""

LOOKS: Final = 20
"""How often a worker looks within its limit, and once a second at least."""

log = logging.getLogger("dbslo.blind")


class Sight:
    """For how long each partition was seen without a commit. Times in seconds.

    Time in which nobody looked is no blindness: a process that stood still wakes up
    with clear eyes.
    """

    def __init__(self, longest_look_s: float) -> None:
        self.waited_s: dict[int, float] = {}
        self.committed = False
        self._longest_s = longest_look_s
        self._seen: dict[int, int] = {}
        self._looked_s: float | None = None

    def look(self, checkpoints_ms: Mapping[int, int], now_s: float) -> None:
        """See when each partition was last committed."""
        last_s, self._looked_s = self._looked_s, now_s
        passed_s = 0.0 if last_s is None else min(now_s - last_s, self._longest_s)
        waited = {}
        for partition, at_ms in checkpoints_ms.items():
            before = self._seen.get(partition)
            unchanged = before == at_ms
            waited[partition] = passed_s if unchanged else 0.0
            if unchanged:
                waited[partition] += self.waited_s.get(partition, 0.0)
            self.committed |= before is not None and not unchanged
        self.waited_s, self._seen = waited, dict(checkpoints_ms)


class Blind:
    """Looks after the commits of an engine, in a thread; 0 as limit: never.

    `telling` sends from `outbox`, which the store has no part in.
    """

    def __init__(
        self,
        engine: Engine,
        inventory: Inventory,
        limit_s: int,
        outbox: MemoryOutbox,
        telling: Telling,
    ) -> None:
        self._engine = engine
        self._limit_s = limit_s
        self._outbox = outbox
        self.telling = telling
        self._env = env_of(inventory)
        period_s = min(limit_s / LOOKS, 1.0)
        self._period_s = period_s
        self._sight = Sight(2 * period_s)
        self._said_s: float | None = None  # when we last told that we are blind
        self._opened_ms = 0
        self._inherited = True  # whether a page of our predecessor may be open
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="blind", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        if self._limit_s:
            self.telling.start()
            self._thread.start()

    def stop(self) -> None:
        """Look no more; what is being told is told."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
            self.telling.stop()

    def _watch(self) -> None:
        while not self._stop.wait(self._period_s):
            self.look(time.monotonic())

    def look(self, now_s: float) -> None:
        """See whether we see; tell where that has changed."""
        sight = self._sight
        sight.look(self._engine.figures().checkpoints_ms, now_s)
        if any(waited >= self._limit_s for waited in sight.waited_s.values()):
            sight.committed = False
            self._say_blind(now_s)
        elif sight.committed:
            self._say_seeing()

    def _say_blind(self, now_s: float) -> None:
        if self._said_s is not None and now_s - self._said_s < REPEAT_S:
            return
        if self._said_s is None:
            self._opened_ms = real_clock()
        self._said_s = now_s
        longest_s = max(self._sight.waited_s.values())
        causes = "; ".join([*self._engine.ended(), *self._engine.unready()][:3])
        summary = (
            f"dbslo is blind: nothing was judged for {longest_s:.0f} s on"
            f" {socket.gethostname()}: {causes}"
        )
        log.error("%s", summary)
        self._tell(Action.TRIGGER, summary)

    def _say_seeing(self) -> None:
        """After a commit: where we have said that we are blind, or a predecessor may."""
        told = self._said_s is not None
        left_open = self._inherited and 2 * self._engine.gap_ms > self._limit_s * SECOND
        self._said_s, self._inherited = None, False
        if told or left_open:
            log.warning("dbslo sees again")
            self._tell(Action.RESOLVE, "dbslo sees again")

    def _tell(self, action: Action, summary: str) -> None:
        now_ms = real_clock()
        notice = Notice(
            key=f"dbslo/{self._env}/{SERVICE}/{CLUSTER}",
            channel=Channel.PAGE,
            action=action,
            severity="critical",
            env=self._env,
            service=SERVICE,
            cluster=CLUSTER,
            opened_ms=self._opened_ms or now_ms,
            changed_ms=now_ms,
            summary=summary,
        )
        self._outbox.want(notice, now_ms)
        self.telling.wake()


def env_of(inventory: Inventory) -> str:
    """The environment that all clusters share; "all" where they have several."""
    found = {cluster.env for cluster in inventory.clusters}
    return found.pop() or "all" if len(found) == 1 else "all"
