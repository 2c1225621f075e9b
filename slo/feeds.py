"""What a series' feeds have stated: the facts of each input, by preference."""

from collections.abc import Sequence

from slo.facts import Cell, Cells
from slo.measure import ABSURD_AMOUNT, total_amount
from slo.model import Feed, Input, Part


class Reading:
    """The facts of one input: for each metric, in order of preference, its routes.

    `only` is the one route of all, None where there are several or none.
    """

    __slots__ = ("only", "part", "routes")

    def __init__(self, part: Input) -> None:
        self.part = part
        self.routes: list[list[Cells]] = [[] for _ in part.metrics]
        self.only: Cells | None = None

    def attach(self, rank: int, facts: Cells) -> None:
        """Read a route, too; `rank` is the place of its metric in the preference."""
        self.routes[rank].append(facts)
        self._look()

    def detach(self, rank: int, facts: Cells) -> None:
        """Read a route no more."""
        self.routes[rank].remove(facts)
        self._look()

    def _look(self) -> None:
        routes = [facts for routes in self.routes for facts in routes]
        self.only = routes[0] if len(routes) == 1 else None

    def cells(self, start_ms: int, end_ms: int) -> Sequence[Cell]:
        """The cells of the first metric that has any in [start, end)."""
        for routes in self.routes:
            if len(routes) == 1:
                found = routes[0].between(start_ms, end_ms)
            else:
                found = [c for facts in routes for c in facts.between(start_ms, end_ms)]
            if found:
                return found
        return ()

    def amount(self, start_ms: int, end_ms: int) -> int | None:
        """What the first metric that says anything in [start, end) adds up to.

        None where none does, unless its absence means zero, or where one says that it
        does not know.
        """
        for routes in self.routes:
            if len(routes) == 1:  # the usual case, and the hot path
                cells = routes[0].between(start_ms, end_ms)
                if cells:
                    return total_amount(cells, self.part, routes[0].period_ms)
                continue
            total, stated = 0, False
            for facts in routes:
                cells = facts.between(start_ms, end_ms)
                if cells:
                    found = total_amount(cells, self.part, facts.period_ms)
                    if found is None:
                        return None
                    total, stated = total + found, True
            if stated:
                return total if abs(total) < ABSURD_AMOUNT else None
        return 0 if self.part.absent == "zero" else None

    def ready(self, start_ms: int, end_ms: int) -> None:
        """Bring evicted pages of [start, end) back."""
        for routes in self.routes:
            for facts in routes:
                facts.ready(start_ms, end_ms)

    @property
    def seen(self) -> bool:
        """Whether anything was ever stated."""
        return any(self.routes)


class FeedReading:
    """The facts of one feed."""

    __slots__ = ("bad", "feed", "good", "readings", "total")

    def __init__(self, feed: Feed) -> None:
        self.feed = feed
        self.readings = [Reading(part) for part in feed.inputs]
        self.good = self.of(Part.GOOD)
        self.bad = self.of(Part.BAD)
        self.total = self.of(Part.TOTAL)

    @property
    def seen(self) -> bool:
        """Whether anything was ever stated."""
        return any(reading.seen for reading in self.readings)

    def of(self, part: Part) -> Reading | None:
        """The reading that plays a part."""
        for reading in self.readings:
            if reading.part.part is part:
                return reading
        return None

    def ready(self, start_ms: int, end_ms: int) -> None:
        """Bring evicted pages of [start, end) back."""
        for reading in self.readings:
            reading.ready(start_ms, end_ms)
