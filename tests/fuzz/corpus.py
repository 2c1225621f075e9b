"""What a search remembers: bounded in bytes, so that memory tells of the walk alone."""

import random
from zlib import crc32

from tests.fuzz.payload import Payload

MAX_KEPT = 8_192
"""A longer payload is not kept to be mutated again."""

MAX_CORPUS_BYTES = 4 * 1024 * 1024
EACH = 300
"""What a payload takes besides its bytes."""

SEEN_BITS = 2**22


class Seen:
    """Kinds of outcome that were seen, as bits: rarely two of them pass for one."""

    def __init__(self) -> None:
        self._bits = bytearray(SEEN_BITS // 8)
        self.count = 0

    def add(self, outcome: object) -> bool:
        """Whether it is new. Its `repr` must be the same in every process."""
        place, bit = divmod(crc32(repr(outcome).encode()) % SEEN_BITS, 8)
        new = not self._bits[place] >> bit & 1
        self._bits[place] |= 1 << bit
        self.count += new
        return new


class Corpus:
    """Payloads that showed something new; beyond the bound others make room."""

    def __init__(self, chosen: random.Random) -> None:
        self._chosen = chosen
        self._kept: list[Payload] = []
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def any(self, seeds: list[Payload]) -> Payload:
        """A seed or a payload that was kept, half of the time each."""
        kept = self._kept and self._chosen.random() < 0.5
        return self._chosen.choice(self._kept if kept else seeds)

    def keep(self, payload: Payload) -> None:
        """Keep it, unless it is long, or costs more than it tells."""
        if payload.heavy or not payload.value or len(payload.value) > MAX_KEPT:
            return
        size = _size(payload)
        while self._kept and self.bytes + size > MAX_CORPUS_BYTES:
            at = self._chosen.randrange(len(self._kept))
            self._kept[at], self._kept[-1] = self._kept[-1], self._kept[at]
            self.bytes -= _size(self._kept.pop())
        self._kept.append(payload)
        self.bytes += size


def _size(payload: Payload) -> int:
    return len(payload.value or b"") + len(payload.key or b"") + EACH
