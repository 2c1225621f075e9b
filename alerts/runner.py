"""The delivery loop: a thread that lets a courier work until it is stopped."""

import threading
from collections.abc import Callable

from alerts.delivery import Courier, Delivery

Observe = Callable[[Delivery | Exception], None]
"""Told of every delivery, and of every error of the outbox; counts and logs."""


class Runner:
    """One sender in a thread of its own.

    `idle_seconds` is the longest a due notice waits where nobody calls `wake`;
    after an error of the outbox the loop waits `pause_seconds`.
    """

    def __init__(
        self,
        courier: Courier,
        observe: Observe,
        *,
        idle_seconds: float = 0.2,
        pause_seconds: float = 1.0,
    ) -> None:
        self._courier = courier
        self._observe = observe
        self._idle_seconds = idle_seconds
        self._pause_seconds = pause_seconds
        self._stopping = threading.Event()
        self._woken = threading.Event()
        self._thread = threading.Thread(
            target=self._run, name="dbslo-delivery", daemon=True
        )

    def start(self) -> None:
        """Begin to deliver."""
        self._thread.start()

    def wake(self) -> None:
        """Look now: something was written to the outbox."""
        self._woken.set()

    def stop(self, timeout_seconds: float) -> bool:
        """Finish the attempt at hand and end; False where that took too long.

        What was not sent stays in the outbox and is sent after the next start.
        """
        self._stopping.set()
        self._woken.set()
        self._thread.join(timeout_seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stopping.is_set():
            wait_seconds = self._step()
            if wait_seconds and not self._stopping.is_set():
                self._woken.wait(wait_seconds)
                self._woken.clear()

    def _step(self) -> float:
        """Deliver one; how long to wait before the next, 0 where more may be due."""
        try:
            delivery = self._courier.deliver_one()
        except Exception as error:  # noqa: BLE001 - the outbox is down; the loop must outlive it
            self._observe(error)
            return self._pause_seconds
        if delivery is None:
            return self._idle_seconds
        self._observe(delivery)
        return 0
