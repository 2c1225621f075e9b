"""A sender that stands still after PagerDuty has heard it, and before it may mark."""

import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress

import psycopg

from tests.chaos.stage import Stage
from tests.chaos.watching import clock, until

LONGEST_S = 90.0
"""Several leases long: another sender takes over, tells again, and resolves."""


class Sleeper:
    """Stops the process that sends the next trigger of a key, until others resolved it.

    `pid` is the process that sleeps now, 0 where none does; `told` what happened.
    """

    def __init__(self, stage: Stage, key: str, say: Callable[[str], None]) -> None:
        self.pid = 0
        self.slept_at_ms = 0
        self.woke_at_ms = 0
        self.told = ""
        self._stage = stage
        self._key = key
        self._say = say
        self._thread = threading.Thread(target=self._wake, daemon=True)

    def start(self) -> None:
        """Wait for the trigger."""
        self._stage.pager.heard = self._heard
        self._thread.start()

    def slept(self, from_ms: int, to_ms: int) -> bool:
        """Whether it slept at some moment between two."""
        woke_at_ms = self.woke_at_ms or to_ms
        return (
            bool(self.slept_at_ms) and self.slept_at_ms < to_ms and from_ms < woke_at_ms
        )

    def join(self) -> None:
        """Wait until it is over."""
        self._thread.join(10)

    def _heard(self, _: object) -> None:
        """PagerDuty has the event, and has not answered yet."""
        event = self._stage.pager.events[-1]
        wanted = event["dedup_key"] == self._key and event["event_action"] == "trigger"
        if wanted and not self.slept_at_ms and (pid := self._owner()):
            self.pid = pid
            os.kill(pid, signal.SIGSTOP)
            self.slept_at_ms = clock()

    def _wake(self) -> None:
        try:
            until("a sender has triggered", lambda: self.slept_at_ms, 600)
        except TimeoutError:
            return
        self._say(f"a sender ({self.pid}) stands still after its trigger")
        try:
            until("another sender has resolved", self._resolved, LONGEST_S)
            by_others = "others had resolved"
        except TimeoutError:
            by_others = "nobody had resolved"
        with suppress(ProcessLookupError):  # the run has failed, and ended it
            os.kill(self.pid, signal.SIGCONT)
        self.woke_at_ms = clock()
        slept_s = (self.woke_at_ms - self.slept_at_ms) / 1_000
        self.pid = 0
        self.told = f"slept {slept_s:.0f} s, {by_others} when it woke"
        self._say(f"the sender {self.told}")

    def _resolved(self) -> bool:
        found = [i for i in self._stage.pager.incidents if i["dedup_key"] == self._key]
        return any(i["status"] == "resolved" for i in found)

    def _owner(self) -> int:
        """The process that holds the lease of the key; 0 where nobody does any more."""
        dsn = self._stage.postgres.dsn(self._stage.database)
        wanted = "SELECT owner FROM outbox WHERE key = %s"
        try:
            with psycopg.connect(dsn) as connection:
                row = connection.execute(wanted, (self._key,)).fetchone()
        except psycopg.Error:
            return 0
        pid = int(row[0].rpartition("-")[2] or 0) if row and row[0] else 0
        pids = [s.process.pid for s in self._stage.supervisor.of("evaluate")]
        return pid if pid in pids else 0
