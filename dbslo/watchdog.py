"""A worker that stands still: noticed, told with every thread's stack, and ended.

A worker that waits for a store or a broker that is away is not one of them: starting it
again would mend nothing.
"""

import faulthandler
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple, NoReturn, Protocol

log = logging.getLogger("dbslo.watchdog")

STUCK: Final = 3
"""The exit code of a process that gave itself up."""

ANSWER_SECONDS: Final = 5.0
"""A neighbour that says nothing for so long is what we wait for."""

LOOKS: Final = 20
"""How often the watchdog looks within its limit."""


class Beat(NamedTuple):
    """When a worker last went round its loop, by the monotonic clock."""

    name: str
    at_s: float


class Beating(Protocol):
    """Whoever has workers that go round and round."""

    def beats(self) -> list[Beat]:
        """Those that are at work now."""


class Pulse(threading.Event):
    """A worker's stop event. It is asked once a round, so it knows of every round."""

    def __init__(self) -> None:
        super().__init__()
        self.at_s = time.monotonic()
        self.rounds = 0

    def is_set(self) -> bool:
        """As Event.is_set; the worker is alive."""
        self.at_s = time.monotonic()
        self.rounds += 1
        return super().is_set()


Neighbour = Callable[[], object]
"""Asks a neighbour anything; raises where it does not answer."""


class Watchdog:
    """Looks after workers, in a thread of its own.

    A worker is stuck where its last round is `limit_s` old, and no neighbour was away
    meanwhile. `end` is called once, with what stands still.
    """

    def __init__(
        self,
        workers: Beating,
        neighbours: Mapping[str, Neighbour],
        limit_s: float,
        end: Callable[[Sequence[str]], object],
        answer_s: float = ANSWER_SECONDS,
    ) -> None:
        self._workers = workers
        self._neighbours = {name: Asked(ask) for name, ask in neighbours.items()}
        self._limit_s = limit_s
        self._answer_s = answer_s
        self._end = end
        self._excused_s = float("-inf")
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=self._watch, name="watchdog", daemon=True
        )
        self.stuck: list[str] = []
        self.waits_for: list[str] = []

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more; nobody waits for a look that is under way."""
        self._stop.set()

    def _watch(self) -> None:
        while not self._stop.wait(self._limit_s / LOOKS):
            self.look(time.monotonic())
            if self.stuck and not self._stop.is_set():
                self._end(self.stuck)
                return

    def look(self, now_s: float) -> None:
        """See who stands still: `stuck`, and the neighbours that are waited for."""
        slow = [
            b
            for b in self._workers.beats()
            if self._still_s(b, now_s) * 2 > self._limit_s
        ]
        self.waits_for = self._away() if slow else []
        if self.waits_for:
            self._excused_s = time.monotonic()
        self.stuck = [
            f"{beat.name} has stood still for {self._still_s(beat, now_s):.0f} s"
            for beat in slow
            if self._still_s(beat, now_s) > self._limit_s
        ]

    def _still_s(self, beat: Beat, now_s: float) -> float:
        return now_s - max(beat.at_s, self._excused_s)

    def _away(self) -> list[str]:
        return [
            f"{name} does not answer"
            for name, asked in self._neighbours.items()
            if not asked.answers(self._answer_s)
        ]


class Asked:
    """A neighbour, asked in a thread that may hang without harm."""

    def __init__(self, ask: Neighbour) -> None:
        self._ask = ask
        self._under_way: threading.Thread | None = None
        self._answered = False

    def answers(self, timeout_s: float) -> bool:
        """Whether it does in time; the last question is waited for before a new one."""
        if self._under_way is None:
            self._answered = False
            self._under_way = threading.Thread(
                target=self._work, name="watchdog-asks", daemon=True
            )
            self._under_way.start()
        self._under_way.join(timeout_s)
        if self._under_way.is_alive():
            return False
        self._under_way = None
        return self._answered

    def _work(self) -> None:
        try:
            self._ask()
        except Exception:  # noqa: BLE001 - whatever it was, it was no answer
            return
        self._answered = True


def give_up(reasons: Sequence[str]) -> NoReturn:
    """Say why, show where every thread stands, and end without waiting for any.

    Nothing is lost: store and Kafka hold what was committed, and our successor, in
    the same slot, settles the rest.
    """
    for reason in reasons:
        log.error("%s: the process ends, to be started again", reason)
    sys.stderr.flush()
    faulthandler.dump_traceback(file=sys.stderr, all_threads=True)
    os._exit(STUCK)


def ends_within(seconds: float) -> threading.Timer:
    """A timer that gives up where ending takes longer; cancel it at the end."""
    reason = f"told to stop, it has not ended within {seconds:g} s"
    timer = threading.Timer(seconds, give_up, [[reason]])
    timer.daemon = True
    timer.start()
    return timer
