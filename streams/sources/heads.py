"""What a datum of a metric stream looks like, and its head, which is read once.

A datum begins with whom it is about, and its dimensions close first: all before the
first `}` is its *head*, the same bytes minute after minute. Who is known by its head
needs no more than what comes behind it, which is decoded in half of the time.

It comes to the same as reading all of it. A head is kept only where `head}}` is an
object that names whom it is about, and neither time, value nor unit: so whatever comes
behind `head}` stands where it would behind the first member of any object, and is read
as such. What says anew whom it is about (the last one holds in JSON) is not read there.
"""

from typing import Annotated, Final, Generic, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from streams.sources.source import KEY_BYTES, MAX_IDENTITY, room

CLOSE: Final = b"}"

BEHIND: Final = b'{"":""'
"""The beginning of an object, as far as a document is behind its head's brace."""

MAX_COUNT: Final = 1e12
MAX_BYTES: Final = 64 * 1024 * 1024
"""With what they take besides their text: some 100,000 heads, or more of a large plan."""

SLOT_BYTES: Final = 150
"""What a head takes besides itself whose line is shared, as nobody's is."""


class Values(msgspec.Struct, gc=False):
    """The numbers of a period, in the wire's unit."""

    max: float
    min: float
    sum: float
    count: Annotated[float, msgspec.Meta(ge=0, le=MAX_COUNT)]


class Whom(msgspec.Struct, gc=False, kw_only=True):
    """Whom a datum is about, but for its unit."""

    namespace: str
    metric_name: str
    dimensions: dict[str, str]
    account_id: str = ""
    region: str = ""


class Datum(Whom, gc=False, kw_only=True):
    """All that an SLI needs; `timestamp` is the start of the period, epoch ms."""

    timestamp: int
    value: Values
    unit: str = ""


class Head(Whom, gc=False):
    """What may stand in a head."""

    timestamp: UnsetType = UNSET
    value: UnsetType = UNSET
    unit: UnsetType = UNSET


class Behind(msgspec.Struct, gc=False):
    """What may stand behind a head."""

    timestamp: int
    value: Values
    unit: str = ""
    namespace: UnsetType = UNSET
    metric_name: UnsetType = UNSET
    dimensions: UnsetType = UNSET
    account_id: UnsetType = UNSET
    region: UnsetType = UNSET


_head = msgspec.json.Decoder(Head).decode
behind = msgspec.json.Decoder(Behind).decode
whole = msgspec.json.Decoder(Datum).decode

Line = TypeVar("Line")


def whom(head: bytes) -> Whom:
    """Whom a head names. Raises one of UNDECODABLE where it is none."""
    return _head(head + b"}}")


class Heads(Generic[Line]):
    """What is known by its head: so many bytes at most, then it begins anew.

    What nobody asks for is kept while that leaves half of the room: a flood of it must
    not push out what is asked for.
    """

    def __init__(self, wants: int = 0) -> None:
        """`wants`: so many metrics of resources are asked for."""
        self.lines: dict[bytes, Line] = {}
        self._bytes = 0
        self._most = room(wants, MAX_BYTES)

    def keep(
        self, head: bytes, line: Line, *, asked_for: bool, shared: bool = False
    ) -> None:
        """Remember a head, if it is no giant; `shared`: its line is that of others."""
        size = len(head) + (SLOT_BYTES if shared else KEY_BYTES)
        if len(head) > MAX_IDENTITY:
            return
        if self._bytes + size > (self._most if asked_for else self._most // 2):
            if not asked_for:
                return
            self.forget()
        self._bytes += size
        self.lines[head] = line

    def follow(self, head: bytes, line: Line) -> None:
        """Who is known by a head goes on otherwise, in another unit."""
        if head in self.lines:
            self.lines[head] = line

    def forget(self) -> None:
        """Know nobody."""
        self.lines.clear()
        self._bytes = 0
