"""A record, or a part of one, that could not be decoded or judged."""

import msgspec


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
