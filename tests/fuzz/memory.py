"""Whether a walk holds more and more: resident memory after a warm-up, and at the end.

What the search itself remembers is bounded, and its bounds are reached early: what
grows after that is what is under test.
"""

import ctypes
import resource
from pathlib import Path
from typing import NamedTuple

MAX_GROWTH_MB = 16.0
"""By so much may the last third after the warm-up exceed the first, on average."""

WARM_UP = 5
"""The first of so many parts of a run does not count: caches and corpus fill up."""

FEWEST = 6
"""With fewer samples after the warm-up nothing can be said."""

PAGE = resource.getpagesize()

Samples = list[tuple[int, float]]
"""(payloads, resident MB)."""


class Growth(NamedTuple):
    """Resident MB, on average, of the first and last third after the warm-up."""

    early: float
    late: float
    payloads: int  # between the middles of the two

    @property
    def flat(self) -> bool:
        """Whether it is within the bound."""
        return self.late - self.early <= MAX_GROWTH_MB

    @property
    def slope(self) -> float:
        """MB per 100,000 payloads."""
        return (self.late - self.early) / max(self.payloads, 1) * 100_000


def resident_mb() -> float:
    """Resident memory of this process, in MB, without what the C library keeps free.

    glibc returns the top of its heap only beyond twice the largest block that it ever
    freed: one record that unpacks to 30 MB would look like a leak of as much.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE / 2**20


def growth(memory: Samples) -> Growth | None:
    """How memory grew; None where there are too few samples to say."""
    if not memory:
        return None
    warm = memory[-1][0] / WARM_UP
    late = [one for one in memory if one[0] >= warm]
    third = len(late) // 3
    if len(late) < FEWEST:
        return None
    (begun, early), (ended, grown) = _middle(late[:third]), _middle(late[-third:])
    return Growth(early, grown, round(ended - begun))


def _middle(some: Samples) -> tuple[float, float]:
    payloads, resident = zip(*some, strict=True)
    return sum(payloads) / len(some), sum(resident) / len(some)
