"""How long each stage works at a batch: a histogram, observed once per batch."""

from bisect import bisect_left
from threading import Lock

BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the buckets, in seconds."""


class Timings:
    """Seconds per batch and stage; safe to observe in one thread and read in another."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._counts: dict[str, list[int]] = {}
        self._sums: dict[str, float] = {}

    def observe(self, stage: str, seconds: float) -> None:
        """One batch of a stage took this long."""
        with self._lock:
            counts = self._counts.setdefault(stage, [0] * (len(BOUNDS_S) + 1))
            counts[bisect_left(BOUNDS_S, seconds)] += 1
            self._sums[stage] = self._sums.get(stage, 0.0) + seconds

    def snapshot(self) -> dict[str, tuple[list[tuple[str, float]], float]]:
        """Stage to its cumulative buckets, as (upper bound, count), and its sum."""
        with self._lock:
            return {
                stage: (_cumulative(counts), self._sums[stage])
                for stage, counts in self._counts.items()
            }


def _cumulative(counts: list[int]) -> list[tuple[str, float]]:
    bounds = [*(str(bound) for bound in BOUNDS_S), "+Inf"]
    running = 0
    found: list[tuple[str, float]] = []
    for bound, count in zip(bounds, counts, strict=True):
        running += count
        found.append((bound, running))
    return found
