"""How far each source partition was read: positions, and the marks made of them."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future

from confluent_kafka import KafkaException
from confluent_kafka import TopicPartition as Offset
from confluent_kafka.admin._listoffsets import ListOffsetsResultInfo

from slo.model import MINUTE
from streams.batch import Mark
from streams.runtimes.admin import Admin
from streams.runtimes.offsets import LATEST, ask, look_around
from streams.runtimes.polled import Place, Polled, beyond
from streams.slab import Slab

AHEAD_MS = MINUTE
"""A record timestamp further ahead of our clock is refused, and moves no mark."""

ASK_EVERY_S = 0.2
GIVE_UP_AFTER_S = 2.0
"""A broker's answer that takes longer is worth nothing: it is asked again."""


class _Input:
    """One source partition. Times are epoch ms, None before anything is known."""

    __slots__ = ("asked_ms", "newest_ms", "position", "reached_ms", "watermark")

    def __init__(self, position: int) -> None:
        self.position = position
        self.newest_ms: int | None = None
        self.reached_ms: int | None = None
        self.watermark: int | None = None
        self.asked_ms = 0

    def time_ms(self, clock_ms: int) -> int | None:
        """Up to when everything that came was read."""
        if self.watermark is not None and self.position >= self.watermark:
            self.reached_ms = self.asked_ms
        known = [at for at in (self.newest_ms, self.reached_ms) if at is not None]
        return min(max(known), clock_ms) if known else None


class Positions:
    """The partitions that a worker holds, and the next offset of each.

    `position`: one past the last record read, or where the end of the partition was
    met: the end passes transaction markers and aborted records, a record does not.
    """

    def __init__(self) -> None:
        self._inputs: dict[Place, _Input] = {}

    def __contains__(self, place: Place) -> bool:
        return place in self._inputs

    def __len__(self) -> int:
        return len(self._inputs)

    def places(self) -> list[Place]:
        """The held partitions, sorted."""
        return sorted(self._inputs)

    def next(self, place: Place) -> int:
        """The next offset to read of a held partition."""
        return self._inputs[place].position

    def hold(self, place: Place, position: int) -> None:
        """A partition was assigned, or goes back, to be read from a position."""
        self._inputs[place] = _Input(position)

    def drop(self, place: Place) -> None:
        """A partition went to somebody else."""
        self._inputs.pop(place, None)

    def fresh(self, found: Polled, clock_ms: int) -> list[Slab]:
        """The records that are ours and unread; the positions move past them."""
        slabs = []
        for slab in found.slabs:
            held = self._inputs.get((slab.topic, slab.partition))
            unread = beyond(slab, held.position) if held else None
            if held and unread:
                _read(held, unread, clock_ms)
                slabs.append(unread)
        for place, offset in found.ends:
            held = self._inputs.get(place)
            if held and offset > held.position:
                held.position = offset
        return slabs

    # -- marks -------------------------------------------------------------------

    def answered(self, place: Place, watermark: int, asked_ms: int) -> None:
        """A broker said where a partition's log ended, asked at a moment of our clock."""
        held = self._inputs.get(place)
        if held:
            held.watermark, held.asked_ms = watermark, asked_ms

    def marks(self, clock_ms: int) -> list[Mark]:
        """The mark of every partition of which anything is known.

        Where the position has reached the high watermark, the time is our clock when
        the broker was asked for it (a fraction of a second ago): all that had been
        written by then is read. Else it is the greatest record timestamp read, capped
        by the clock. An open transaction keeps the position below the watermark, so it
        is no silence.
        """
        return [
            Mark(*place, held.position, time_ms)
            for place, held in self._inputs.items()
            if (time_ms := held.time_ms(clock_ms)) is not None
        ]

    def lag(self) -> dict[Place, int]:
        """Messages between the position and the high watermark, where it is known."""
        return {
            place: max(held.watermark - held.position, 0)
            for place, held in self._inputs.items()
            if held.watermark is not None
        }


def _read(held: _Input, slab: Slab, clock_ms: int) -> None:
    held.position = slab.offsets[-1] + 1
    (_, newest), limit = slab.span, clock_ms + AHEAD_MS
    if newest > limit:
        newest = max((at for at in slab.arrivals if at <= limit), default=-1)
    if newest > (-1 if held.newest_ms is None else held.newest_ms):
        held.newest_ms = newest


class Watermarks:
    """Asks brokers for high watermarks, without waiting for the answers.

    `pace` gives seconds of any origin and paces the questions.
    """

    def __init__(self, admin: Admin, pace: Callable[[], float]) -> None:
        self._admin = admin
        self._pace = pace
        self._asked_ms = 0
        self._asked_at = float("-inf")
        self._failed = False
        self._awaited: dict[Offset, Future[ListOffsetsResultInfo]] = {}

    def heed(self, positions: Positions, clock_ms: int) -> dict[Place, int]:
        """Take brokers' answers in, and ask again; the lag by what is known now."""
        for place, watermark, asked_ms in self.answers():
            positions.answered(place, watermark, asked_ms)
        self.ask(positions.places(), clock_ms)
        return positions.lag()

    def ask(self, places: Iterable[Place], clock_ms: int) -> None:
        """Ask about these partitions, unless an answer is under way or just came."""
        since = self._pace() - self._asked_at
        if since < (GIVE_UP_AFTER_S if self._awaited else ASK_EVERY_S):
            return
        if self._failed:
            look_around(self._admin)
            self._failed = False
        self._asked_ms, self._asked_at = clock_ms, self._pace()
        self._awaited = ask(self._admin, places, LATEST)

    def answers(self) -> Sequence[tuple[Place, int, int]]:
        """(partition, high watermark, when it was asked by our clock) that came in."""
        came = [(at, future) for at, future in self._awaited.items() if future.done()]
        found = []
        for at, future in came:
            del self._awaited[at]
            if isinstance(future.exception(), KafkaException):
                self._failed = True
                continue
            end = future.result().offset
            found.append(((at.topic, at.partition), end, self._asked_ms))
        return found
