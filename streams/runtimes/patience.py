"""Waiting for a store that does not answer, for a while."""

import time
from collections.abc import Callable
from typing import Final

from streams.kafka import WorkerStoppedError, log
from streams.store import UNAVAILABLE

RETRIES: Final = 8
FIRST_PAUSE_S: Final = 0.1
"""A store that does not answer is asked again after 0.1, 0.2, ... 12.8 seconds."""


def patiently(take: Callable[[], int]) -> int:
    """Ask a store until it answers; its other errors go through.

    Raises WorkerStoppedError where it does not for half a minute.
    """
    for attempt in range(RETRIES):
        try:
            return take()
        except UNAVAILABLE as error:
            pause = FIRST_PAUSE_S * 2**attempt
            log.warning("the store does not answer, again in %g s: %s", pause, error)
            time.sleep(pause)
    raise WorkerStoppedError("the store does not answer: see the warnings before")
