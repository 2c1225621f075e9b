"""Waiting for a store that does not answer: seldom enough, and told of in the log."""

import time
from collections.abc import Callable
from typing import Final

from streams.kafka import WorkerStoppedError, log
from streams.store import UNAVAILABLE

FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 2.0
"""A store that does not answer is asked again after 0.1, 0.2, ... 2 seconds."""

PATIENCE_S: Final = 600.0
SAY_EVERY_S: Final = 10.0


class StoreAwayError(Exception):
    """The store does not answer: wait, take the partition again, seek to its offset."""


class Patience:
    """Since when a store does not answer, and when it is to be asked again."""

    def __init__(self) -> None:
        self._since_s: float | None = None
        self._pause_s = FIRST_PAUSE_S
        self._due_s = 0.0
        self._said_s = float("-inf")

    @property
    def away_ms(self) -> int:
        """For how long the store has not answered, ms; 0 where it does."""
        since_s = self._since_s
        return 0 if since_s is None else int((time.monotonic() - since_s) * 1000) + 1

    @property
    def wait_s(self) -> float:
        """How long to wait until it should be asked again; 0 where it is due."""
        return max(self._due_s - time.monotonic(), 0.0) if self.away_ms else 0.0

    def failed(self, error: Exception) -> None:
        """It did not answer."""
        now_s = time.monotonic()
        if self._since_s is None:
            self._since_s, self._pause_s = now_s, FIRST_PAUSE_S
        if now_s - self._said_s >= SAY_EVERY_S:
            self._said_s = now_s
            log.warning("the store does not answer; it is asked again: %s", error)
        self._due_s = now_s + self._pause_s
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)

    def answered(self) -> None:
        """It did."""
        if self._since_s is not None:
            log.warning("the store answers again, after %d ms", self.away_ms)
        self._since_s, self._said_s = None, float("-inf")


def patiently(take: Callable[[], int]) -> int:
    """Ask a store until it answers; its other errors go through.

    For a worker that has nothing else to keep alive meanwhile. Raises
    WorkerStoppedError where it does not for ten minutes.
    """
    patience = Patience()
    while patience.away_ms < PATIENCE_S * 1000:
        time.sleep(patience.wait_s)
        try:
            found = take()
        except UNAVAILABLE as error:
            patience.failed(error)
        else:
            patience.answered()
            return found
    raise WorkerStoppedError("the store does not answer: see the warnings before")
