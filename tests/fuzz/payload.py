"""One record of a fuzz run."""

from typing import NamedTuple


class Payload(NamedTuple):
    """Where it is written to, when it arrived, key and value.

    `heavy`: it unfolds to so much that it is tried once, and not mutated again.
    """

    topic: str
    arrival_ms: int
    key: bytes | None
    value: bytes | None
    heavy: bool = False
