"""What one poll gave: records as columns, ends of partitions, errors."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import compress
from typing import Any, NamedTuple, TypeVar, cast, overload

from confluent_kafka import Message
from confluent_kafka import TopicPartition as Offset

from streams.kafka import END_OF_PARTITION, OUT_OF_RANGE, PASSING, log, refusal
from streams.slab import Slab

Place = tuple[str, int]
"""(topic, partition)."""


Item = TypeVar("Item")

_offset = cast("Callable[[Message], int]", Message.offset)
"""Of a record, which always has one."""


class Asked(Sequence[Item]):
    """A column of which few items are read: each is asked of its message when it is.

    A call for every message of the fastest stream costs stage 1 about a percent.
    """

    __slots__ = ("_of", "_run")

    def __init__(self, of: Callable[[Message], Item], run: Sequence[Message]) -> None:
        self._of = of
        self._run = run

    def __len__(self) -> int:
        return len(self._run)

    def __iter__(self) -> Iterator[Item]:
        return map(self._of, self._run)

    @overload
    def __getitem__(self, at: int) -> Item: ...
    @overload
    def __getitem__(self, at: slice) -> list[Item]: ...
    def __getitem__(self, at: int | slice) -> Item | list[Item]:
        if isinstance(at, slice):
            return list(map(self._of, self._run[at]))
        return self._of(self._run[at])


class Polled(NamedTuple):
    """The records of a poll by partition, and what stood between them.

    `ends`: where a partition's end was reached; that offset passes transaction
    markers. `expired`: partitions whose next record is no longer there.
    """

    slabs: list[Slab]
    ends: list[tuple[Place, int]]
    expired: list[Place]


def polled(messages: Sequence[Message]) -> Polled:
    """Records as columns, a few calls per record.

    Raises WorkerStoppedError for an error that the client does not mend itself.
    """
    ends: list[tuple[Place, int]] = []
    expired: list[Place] = []
    if any(map(Message.error, messages)):
        errors = list(map(Message.error, messages))
        for message in compress(messages, errors):
            _event(message, ends, expired)
        messages = [m for m, e in zip(messages, errors, strict=True) if not e]
    return Polled(_slabs(messages), ends, expired)


def _slabs(messages: Sequence[Message]) -> list[Slab]:
    """A slab for each partition; most polls give records of one alone."""
    topics = _column(Message.topic, messages)
    numbers = _column(Message.partition, messages)
    size = len(messages)
    if size and size == topics.count(topics[0]) == numbers.count(numbers[0]):
        return [_slab(topics[0], numbers[0], messages)]
    runs: dict[Place, list[Message]] = defaultdict(list)
    for topic, number, message in zip(topics, numbers, messages, strict=True):
        runs[topic, number].append(message)
    return [_slab(*place, run) for place, run in runs.items()]


def _column(of: Callable[[Message], Any], messages: Sequence[Message]) -> list[Any]:
    return list(map(of, messages))


def _slab(topic: str, partition: int, run: Sequence[Message]) -> Slab:
    arrivals = [arrival for _, arrival in map(Message.timestamp, run)]
    return Slab(
        topic,
        partition,
        Asked(_offset, run),
        arrivals,
        Asked(Message.key, run),
        list(map(Message.value, run)),
        (min(arrivals), max(arrivals)),
    )


def _event(
    message: Message, ends: list[tuple[Place, int]], expired: list[Place]
) -> None:
    error, place = message.error(), (message.topic() or "", message.partition() or 0)
    code = error.code() if error else None
    if code == END_OF_PARTITION:
        ends.append((place, message.offset() or 0))
    elif code == OUT_OF_RANGE:
        expired.append(place)
    elif error and code not in PASSING and not error.retriable():
        raise refusal(error)
    else:
        log.warning("between records: %s", error)


def places_of(offsets: Iterable[Offset]) -> list[Place]:
    """The partitions that offsets belong to."""
    return [(offset.topic, offset.partition) for offset in offsets]


def beyond(slab: Slab, offset: int) -> Slab | None:
    """The records of a slab from an offset on, None where there are none."""
    if offset <= slab.offsets[0]:
        return slab
    first = bisect_left(slab.offsets, offset)
    return slab.since(first) if first < len(slab.offsets) else None
