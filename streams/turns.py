"""A lock whose holders take turns: who asks again and again lets others in between.

A plain lock goes to whoever is running when it is given back. Who walks through
everything in short pieces would take it anew each time, and a commit would wait for the
whole walk.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from time import monotonic


class Turns:
    """Whoever waits holds the gate, so nobody overtakes; not to be taken twice."""

    def __init__(self) -> None:
        self._due_s = 0.0
        self._gate = Lock()
        self._lock = Lock()

    def __enter__(self) -> None:
        with self._gate:
            self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    @contextmanager
    def within(self, seconds: float) -> Iterator[bool]:
        """Hold it if it is to be had within a time; whether it is held."""
        asked = monotonic()
        until = asked + seconds
        held = self._gate.acquire(timeout=seconds)
        if held:
            held = self._lock.acquire(timeout=max(until - monotonic(), 0.0))
            self._gate.release()
        if held:
            self._due_s = 2 * monotonic() - asked
        try:
            yield held
        finally:
            if held:
                self._lock.release()

    @property
    def due(self) -> bool:
        """Whether who holds it by `within` has held it for as long as it waited.

        Who gives it back before that, and asks again, waits without end for others that
        take long each time.
        """
        return monotonic() >= self._due_s
