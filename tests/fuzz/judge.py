"""Whether what was counted of a payload is what the independent check finds in it."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator

from streams.batch import Batch, Route
from tests.fuzz.framing import UncheckedError, values
from tests.fuzz.statements import Alive, Cell, Row, Statement, said

NOTHING = (None, b"", b"null")
BUCKET_MS = 10_000
SLACK_MS = 1
SCALES = sorted({1.0, 1e-2, *(10.0**p * q for p in range(-9, 13, 3) for q in (1, 8))})
"""By what a value may differ where the wire names no unit, the catalogue's business."""


class Unjustified(Exception):  # noqa: N818  # a verdict, not an error
    """Something was counted that nobody said."""


def judge(
    value: bytes | None, topic: str, arrival_ms: int, batches: Iterable[Batch]
) -> bool:
    """Whether anything was counted. Raises Unjustified where it should not be.

    Raises UncheckedError where the payload is too damaged to tell.
    """
    cells = [
        (b.routes[number], start, stats)
        for b in batches
        for number, start, _, *stats in b.cells
    ]
    deltas = [
        (b.routes[number], start, good, total)
        for b in batches
        for number, start, good, total in b.deltas
    ]
    if not cells and not deltas:
        return False
    known = _Known(value, topic, arrival_ms)
    for route, start, stats in cells:
        known.justify_cell(route, start, stats)
    known.justify_rows(deltas)
    return True


class _Known:
    """What a payload says, by the independent check."""

    def __init__(self, value: bytes | None, topic: str, arrival_ms: int) -> None:
        self._arrival_ms = arrival_ms
        self._topic = topic.removeprefix("__debezium-heartbeat.")
        found = [Alive()] if _says_nothing(value) else list(_said(value, arrival_ms))
        self._alive = any(isinstance(one, Alive) for one in found)
        self._connectors = {one.name for one in found if isinstance(one, Alive)}
        self._rows = [one for one in found if isinstance(one, Row)]
        self._cells: dict[str, list[Cell]] = {}
        for one in found:
            if isinstance(one, Cell):
                self._cells.setdefault(one.metric, []).append(one)

    def justify_cell(self, route: Route, start: int, stats: list[float]) -> None:
        """A cell must be a statement of its metric, time and values."""
        source, _, metric = route.signal.partition(":")
        who = route.resource.partition(":")[2]
        if not all(map(math.isfinite, stats)):
            raise Unjustified(f"{route.signal} counted {stats}")
        if source == "cdc":
            self._justify_connector(who)
            self._justify_time(metric, stats[3])
            return
        near = [
            one
            for one in self._cells.get(metric, ())
            if abs(one.start_ms - start) <= SLACK_MS and who.lower() in one.who
        ]
        if not any(_same(one, stats, route.period_ms) for one in near):
            raise Unjustified(
                f"{route.signal} of {who} at {start} {stats}: nobody said"
            )

    def _justify_connector(self, who: str) -> None:
        """Rows are their topic's connector's, else of whom they name themselves."""
        own = self._topic == who or self._topic.startswith(f"{who}.")
        if not own and who not in self._connectors:
            raise Unjustified(f"rows of {who} in {self._topic}: nobody said it")

    def _justify_time(self, what: str, time_ms: float) -> None:
        times = {
            "alive": {self._arrival_ms} if self._alive else set(),
            "event": {row.at_ms for row in self._rows},
            "heartbeat_row": {t for r in self._rows for t in (r.at_ms, *r.beats)},
        }[what]
        if time_ms not in times:
            raise Unjustified(f"cdc:{what} at {time_ms}: nobody said it")

    def justify_rows(self, deltas: list[tuple[Route, int, int, int]]) -> None:
        """Counted rows must be rows, in their bucket; good ones must have been in time."""
        for route in {delta[0] for delta in deltas}:
            self._justify_connector(route.resource.partition(":")[2])
            limit_ms = int(route.signal.rpartition("/")[2])
            total: Counter[int] = Counter()
            good: Counter[int] = Counter()
            for row in self._rows:
                bucket = row.at_ms // BUCKET_MS * BUCKET_MS
                total[bucket] += 1
                good[bucket] += self._arrival_ms - row.at_ms <= limit_ms
            for one, bucket, counted_good, counted in deltas:
                if one == route and (
                    counted > total[bucket] or counted_good > good[bucket]
                ):
                    raise Unjustified(f"{counted_good} of {counted} rows at {bucket}")


def _says_nothing(value: bytes | None) -> bool:
    return value is None or value.strip() in NOTHING


def _said(value: bytes | None, arrival_ms: int) -> Iterator[Statement]:
    for one in values(value or b""):
        if one is None:
            yield Alive()
        yield from said(one, arrival_ms)


def _same(cell: Cell, stats: list[float], period_ms: int) -> bool:
    """Whether counted numbers are a cell's, in SI units.

    A sentinel is never scaled: -1 ms would be nearly no lag. It stands in the least or
    the greatest; what such a cell adds up to is not looked at.
    """
    if cell.stats[0] != stats[0]:
        return False
    scales = SCALES if cell.scale is None else (cell.scale,)
    per = (1.0, 1000.0 / period_ms) if period_ms else (1.0,)
    return any(
        all(
            _close(wire * scale * by, counted) or wire == counted == -1
            for wire, counted in zip(cell.stats[1:], stats[1:], strict=True)
        )
        and not any(-1 < counted < 0 for counted in stats[2:])
        for scale in scales
        for by in per
    )


def _close(wire: float, counted: float) -> bool:
    return math.isclose(wire, counted, rel_tol=1e-9, abs_tol=1e-300)


__all__ = ["UncheckedError", "Unjustified", "judge"]
