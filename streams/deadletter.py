"""A record, or a part of one, that could not be decoded or judged."""

from collections import Counter
from hashlib import sha256
from typing import NamedTuple

import msgspec

from streams.redaction import excerpt
from streams.slab import Slab

MAX_DETAIL = 500

MAX_EXCERPTS = 2 * 1024 * 1024
"""Characters of excerpts in one flush: a flood of refusals must not fill memory, nor
one transaction. Beyond that letters say where the record is, and show nothing of it."""

NO_ROOM = "(too many letters at once: the record itself has the rest)"


class DeadLetter(msgspec.Struct, frozen=True):
    """Where it came from and why it was refused; never the payload in the clear.

    `excerpt` is at most 16 KB, redacted. `time_ms` is the record timestamp.
    """

    topic: str
    partition: int
    offset: int
    time_ms: int
    format: str
    reason: str
    sha256: str
    excerpt: str


class Fault(NamedTuple):
    """Why a part of a record does not count, and the part."""

    reason: str
    detail: str
    data: bytes


class Faults:
    """Everything wrong in one record: the first fault, and how many there are."""

    def __init__(self) -> None:
        self.first: Fault | None = None
        self.reasons: Counter[str] = Counter()

    def add(self, fault: Fault) -> None:
        """One more."""
        self.first = self.first or fault
        self.reasons[fault.reason] += 1


class Letters(list[DeadLetter]):
    """The dead letters of one flush; what they show is bounded, all in all."""

    def __init__(self) -> None:
        super().__init__()
        self._room = MAX_EXCERPTS

    def write(self, slab: Slab, index: int, format_name: str, faults: Faults) -> None:
        """Add the letter of one record."""
        shown = self._room > 0
        self.append(dead_letter(slab, index, format_name, faults, shown=shown))
        self._room -= len(self[-1].excerpt)


def dead_letter(
    slab: Slab, index: int, format_name: str, faults: Faults, *, shown: bool = True
) -> DeadLetter:
    """The dead letter of one record, for all that is wrong in it.

    A retry reads the record again, so one letter is enough. `sha256` is that of the
    whole value. Nothing of the payload is in it unless it is to be `shown`.
    """
    reason, detail, data = faults.first or Fault("unknown", "", b"")
    more = faults.reasons.total() - 1
    return DeadLetter(
        topic=slab.topic,
        partition=slab.partition,
        offset=slab.offsets[index],
        time_ms=slab.arrivals[index],
        format=format_name,
        reason=_text(f"{reason}: {detail[:MAX_DETAIL]}")
        + (f" (and {more} more in this record)" if more > 0 else ""),
        sha256=sha256(slab.values[index] or b"").hexdigest(),
        excerpt=_text(excerpt(data, format_name)) if shown else NO_ROOM,
    )


def _text(said: str) -> str:
    """PostgreSQL keeps no NUL in a text."""
    return said.replace("\x00", "\\0")
