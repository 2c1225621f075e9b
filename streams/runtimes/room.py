"""Back-pressure before a broker that forgets: librdkafka's mock keeps 5 MB a partition.

A record counts as unread until what it told is saved, for after an error it is read
again.
"""

from collections import deque
from collections.abc import Mapping
from threading import Condition

from streams.runtimes.polled import Place

ROOM_BYTES = 4 * 1024 * 1024
RECORD_BYTES = 80
"""What the log adds to a record, generously."""


class EngineStoppedError(Exception):
    """Nobody reads any more: the message says why."""


class Room:
    """The bytes of each partition that were produced and not yet saved."""

    def __init__(self, limit: int = ROOM_BYTES) -> None:
        self._limit = limit
        self._changed = Condition()
        self._unread: dict[Place, int] = {}
        self._written: dict[Place, deque[tuple[int, int]]] = {}
        self._saved: dict[Place, int] = {}
        self._stopped = ""

    def take(self, place: Place, size: int, wait_s: float) -> bool:
        """Count a record of so many bytes, where it fits or comes to fit in time.

        Raises EngineStoppedError where nobody will ever read it.
        """
        with self._changed:
            if self._stopped:
                raise EngineStoppedError(self._stopped)
            if not self._fits(place, size):
                self._changed.wait(wait_s)
            if not self._fits(place, size):
                return False
            self._unread[place] = self._unread.get(place, 0) + size
            return True

    def _fits(self, place: Place, size: int) -> bool:
        unread = self._unread.get(place, 0)
        return unread == 0 or unread + size <= self._limit

    def written(self, place: Place, offset: int, size: int) -> None:
        """The broker has a record under an offset."""
        with self._changed:
            self._written.setdefault(place, deque()).append((offset, size))
            self._free(place)

    def failed(self, place: Place, size: int) -> None:
        """The broker did not take a record."""
        with self._changed:
            self._unread[place] -= size
            self._changed.notify_all()

    def saved(self, positions: Mapping[Place, int]) -> None:
        """All before these offsets is saved."""
        with self._changed:
            self._saved.update(positions)
            for place in positions:
                self._free(place)
            self._changed.notify_all()

    def stop(self, why: str) -> None:
        """Nobody reads from here on: whoever waits is told."""
        with self._changed:
            self._stopped = why
            self._changed.notify_all()

    def unread(self, place: Place) -> int:
        """Bytes of a partition that are not saved yet."""
        with self._changed:
            return self._unread.get(place, 0)

    def _free(self, place: Place) -> None:
        written, saved = self._written.get(place, deque()), self._saved.get(place, 0)
        while written and written[0][0] < saved:
            self._unread[place] -= written.popleft()[1]


RIVAL_SECONDS = 60.0
RIVAL_TIMES = 3


class Rivals:
    """Whether somebody else keeps taking our store: two would take it in turns for ever."""

    def __init__(self) -> None:
        self._taken_at: list[float] = []

    def took(self, now_s: float) -> None:
        """Somebody did; raises EngineStoppedError at the third time in a minute.

        Who came last was interrupted less often by then, and goes on alone.
        """
        recent = [at for at in self._taken_at if now_s - at < RIVAL_SECONDS]
        self._taken_at = [*recent, now_s]
        if len(self._taken_at) >= RIVAL_TIMES:
            raise EngineStoppedError(
                "another dbslo run uses this store: stop one of them, or give each a"
                " store of its own (DBSLO_STORE, --store)"
            )
