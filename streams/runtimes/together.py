"""Records of one fetch and partition, to be applied in one transaction."""

from collections.abc import Sequence
from typing import Any, Final

from streams.kafka import log
from streams.runtimes.batches import BatchReader
from streams.runtimes.partitions import Due, Partitions, ReloadedError
from streams.runtimes.patience import StoreAwayError

MOST: Final = 200
"""So many batches go into one transaction at most, whatever the runtime."""


def together(fetched: Sequence[Any], offset: int, most: int = MOST) -> list[Any]:
    """The records of a fetch from an offset on: none is left out between them."""
    return [one for one in fetched if one.offset >= offset][:most]


def take(partitions: Partitions, reader: BatchReader, message: Any) -> bool:
    """Apply a batch, if the store waits for it, with what was fetched behind it.

    What was applied is passed over at its turn. False where the reader must go back to
    the store's offset: the message's predecessor never came, or the store did not take
    it.
    """
    place = (message.topic, message.partition)
    due = partitions.due(message.partition, message.offset, message.after)
    if due is Due.SKIP:
        return True
    if due is Due.MISSED:
        log.warning("a record before %s at %d is missing", place, message.offset)
        return False
    run = together(message.fetched, message.offset)
    batches = reader.batches(place, [(one.offset, one.value) for one in run])
    try:
        partitions.apply(message.partition, batches, run[-1].offset + 1)
    except (ReloadedError, StoreAwayError):
        return False
    return True
