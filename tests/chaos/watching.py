"""Watching the store from outside: how far everything has got, ten times a second.

The watermark is the least mark of any input in any partition of the store: all that
was written to Kafka by then is counted. So the stall that a fault causes is the time
from the fault to the first look at which the watermark has passed its moment.
"""

import threading
import time
from typing import Any, NamedTuple

import msgspec
import psycopg

from tests.chaos import fleet

LOOK_S = 0.1
NOWHERE = -1


class Seen(NamedTuple):
    """A look: at `at_ms` by the clock, all that came by `mark_ms` was counted."""

    at_ms: int
    mark_ms: int


def clock() -> int:
    """Epoch ms."""
    return time.time_ns() // 1_000_000


def until(what: str, holds: Any, seconds: float) -> None:
    """Return when a condition holds; raise with its name when it does not in time."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError(f"not within {seconds:g} s: {what}")
        time.sleep(0.05)


class Watch:
    """Looks at the store in a thread of its own, past the wire."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._seen: list[Seen] = []
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._inputs = len(fleet.cdc_topics()) * (fleet.RAW_PARTITIONS + 1)
        self._inputs += len(fleet.FORMATS) * fleet.RAW_PARTITIONS

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    @property
    def mark_ms(self) -> int:
        """Up to when everything is counted."""
        with self._lock:
            return self._seen[-1].mark_ms if self._seen else NOWHERE

    def seen(self) -> list[Seen]:
        """Every look so far."""
        with self._lock:
            return list(self._seen)

    def passed_at(self, moment_ms: int) -> int | None:
        """When it was first seen that all until a moment was counted."""
        return next((s.at_ms for s in self.seen() if s.mark_ms >= moment_ms), None)

    def passes(self, moment_ms: int, seconds: float) -> int:
        """Wait until everything until a moment is counted; how long that took, ms."""
        until(
            f"what came by {moment_ms} is counted",
            lambda: self.mark_ms >= moment_ms,
            seconds,
        )
        return (self.passed_at(moment_ms) or clock()) - moment_ms

    def _run(self) -> None:
        connection = None
        while not self._stop.wait(LOOK_S):
            try:
                if connection is None:
                    connection = psycopg.connect(self._dsn, autocommit=True)
                rows = connection.execute("SELECT partition, frontier FROM progress")
                found = rows.fetchall()
            except psycopg.Error:
                connection = None
                continue
            mark = self._mark([bytes(frontier) for _, frontier in found])
            with self._lock:
                self._seen.append(Seen(clock(), mark))
        if connection is not None:
            connection.close()

    def _mark(self, frontiers: list[bytes]) -> int:
        if len(frontiers) < fleet.PARTITIONS or not all(frontiers):
            return NOWHERE
        least = []
        for data in frontiers:
            marks = msgspec.msgpack.decode(data)[0]
            if len(marks) < self._inputs:
                return NOWHERE
            least.append(min(at for _, _, at in marks))
        return min(least)
