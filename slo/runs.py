"""Many slots of many series recounted at once, by columns.

The recounts of single slots in `slo.recount` are the reference. Here is what most
series look like: one feed that speaks, each input of it one route, each slot one cell.
Series of one SLO then go through together. Whatever looks otherwise is left to the
reference, and a law compares the two.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import repeat
from operator import add, sub
from typing import NamedTuple

from slo.feeds import Reading
from slo.ledger import Row
from slo.measure import Measured, Single, budgeted, single_amounts, singles_within
from slo.model import SLO, Budgeting, Part
from slo.recount import AnyRecount, RatioRecount, ThresholdRecount

Rows = tuple[list[Row], int]
"""Rows by start, total 0 where nothing is known; and how many had to be clamped."""

Amounts = list[int | None]


class Shape(NamedTuple):
    """A simple series: the readings of its only feed, with one route each.

    Series with equal keys are recounted together.
    """

    key: tuple[int, ...]
    readings: tuple[Reading, ...]


class Task(NamedTuple):
    """What is to be recounted: slots in ascending order, with the moment of judgement."""

    recount: AnyRecount
    shape: Shape | None
    slots: list[int]
    judged_ms: int


def shape_of(recount: AnyRecount) -> Shape | None:
    """What a series looks like, None where it is not simple.

    It holds until another route is read.
    """
    if not isinstance(recount, RatioRecount | ThresholdRecount):
        return None
    speaking = [feed for feed in recount.feeds if feed.seen]
    readings = speaking[0].readings if speaking else ()
    routes = [one.only for one in readings if one.only is not None]
    if len(speaking) != 1 or len(routes) != len(readings):
        return None
    parts = {reading.part.part for reading in readings}
    value = Part.VALUE in parts
    if len(parts) != len(readings) or len(parts) > (1 if value else 2):
        return None
    if value is not isinstance(recount, ThresholdRecount):
        return None
    # Identity stands for equality: who shares them is of one SLO and one source.
    of = (recount.slo, *(reading.part for reading in readings))
    key = (*(id(one) for one in of), *(route.period_ms for route in routes))
    return Shape(key, tuple(readings))


def recount_all(tasks: Sequence[Task]) -> list[Rows]:
    """What the slots of each task add to the ledger."""
    groups: dict[tuple[int, ...], _Group] = {}
    found: list[Rows | None] = [None] * len(tasks)
    for number, task in enumerate(tasks):
        held = _held(task)
        if task.shape is None or held is None:
            found[number] = one_by_one(task)
            continue
        group = groups.get(task.shape.key)
        if group is None:
            group = groups[task.shape.key] = _Group(task.recount, task.shape)
        group.add(number, task.slots, held)
    for group in groups.values():
        for number, rows in group.recounted():
            found[number] = rows
    return [rows for rows in found if rows is not None]


def one_by_one(task: Task) -> Rows:
    """The reference: slot by slot."""
    step, clamped = task.recount.step_ms, 0
    rows: list[Row] = []
    for slot in task.slots:
        found = task.recount.recount(slot, task.judged_ms)
        if found is None:
            rows.append((slot * step, 0, 0, 0, 0))
            continue
        clamped += found.clamped
        counts, events = found.counts, found.events
        rows.append((slot * step, counts.good, counts.total, events.good, events.total))
    return rows, clamped


def _held(task: Task) -> list[list[Single]] | None:
    """What each slot holds, by reading; None where one may hold several cells."""
    if task.shape is None:
        return None
    held = []
    for reading in task.shape.readings:
        only = reading.only
        cells = only.singles(task.slots, task.recount.step_ms) if only else None
        if cells is None:
            return None
        held.append(cells)
    return held


class _Group:
    """The tasks of one shape, their slots in one column, and what those hold."""

    __slots__ = ("_ends", "_held", "_numbers", "_recount", "_shape", "_slots")

    def __init__(self, recount: AnyRecount, shape: Shape) -> None:
        self._recount = recount
        self._shape = shape
        self._numbers: list[int] = []
        self._ends: list[int] = []
        self._slots: list[int] = []
        self._held: list[list[Single]] = [[] for _ in shape.readings]

    def add(self, number: int, slots: list[int], held: list[list[Single]]) -> None:
        """Another task, by its number."""
        self._slots += slots
        self._numbers.append(number)
        self._ends.append(len(self._slots))
        for column, cells in zip(self._held, held, strict=True):
            column.extend(cells)

    def recounted(self) -> Iterator[tuple[int, Rows]]:
        """The rows of each task, by its number."""
        rows: list[Row] = []
        clamped: list[int] = []
        if isinstance(self._recount, RatioRecount):
            rows, clamped = self._ratios(self._recount)
        elif isinstance(self._recount, ThresholdRecount):
            rows = self._thresholds(self._recount)
        clamps = Counter(bisect_right(self._ends, place) for place in clamped)
        begin = 0
        for place, (number, end) in enumerate(
            zip(self._numbers, self._ends, strict=True)
        ):
            yield number, (rows[begin:end], clamps[place])
            begin = end

    def _starts(self) -> list[int]:
        step = self._recount.step_ms
        return [slot * step for slot in self._slots]

    # -- values against a limit --------------------------------------------------

    def _thresholds(self, recount: ThresholdRecount) -> list[Row]:
        part = self._shape.readings[0].part
        within = singles_within(self._held[0], part, recount.limit)
        good, total = _bad_and_good(recount.slo)
        return [
            (start, 0, 0, 0, 0)
            if one is None
            else (start, good[one], total, good[one], total)
            for start, one in zip(self._starts(), within, strict=True)
        ]

    # -- good of total -----------------------------------------------------------

    def _ratios(self, recount: RatioRecount) -> tuple[list[Row], list[int]]:
        """The rows, and which of them had to be clamped."""
        said: dict[Part, Amounts] = {}
        for reading, held in zip(self._shape.readings, self._held, strict=True):
            part, only = reading.part, reading.only
            absent = 0 if part.absent == "zero" else None
            period_ms = only.period_ms if only else 0
            said[part.part] = single_amounts(held, part, period_ms, absent)
        good, total = _good_and_total(said)
        return _ratio_rows(recount.slo, self._starts(), good, total)


def _bad_and_good(slo: SLO) -> tuple[tuple[int, int], int]:
    """What a bad and a good slot add to the ledger's good, and both to its total."""
    bad, good = (budgeted(Measured(held, 1), slo) for held in (0, 1))
    return (bad.good, good.good), good.total


def _good_and_total(said: dict[Part, Amounts]) -> tuple[Amounts, Amounts]:
    """From two of good, bad and total, or from one."""
    good, bad, total = (said.get(p) for p in (Part.GOOD, Part.BAD, Part.TOTAL))
    none: Iterable[int] = repeat(0)
    if total is None:
        total = _each(add, none if good is None else good, none if bad is None else bad)
    if good is None:
        good = _each(sub, total, none if bad is None else bad)
    return good, total


def _each(
    how: Callable[[int, int], int],
    some: Iterable[int | None],
    other: Iterable[int | None],
) -> Amounts:
    return [
        None if one is None or two is None else how(one, two)
        for one, two in zip(some, other, strict=False)  # one of them may be endless
    ]


def _ratio_rows(
    slo: SLO, starts: Sequence[int], goods: Amounts, totals: Amounts
) -> tuple[list[Row], list[int]]:
    rows: list[Row] = []
    clamped: list[int] = []
    plain = slo.budgeting is Budgeting.OCCURRENCES
    for start, good, total in zip(starts, goods, totals, strict=True):
        if good is None or total is None or total <= 0:
            rows.append((start, 0, 0, 0, 0))
            continue
        kept = good
        if not 0 <= good <= total:
            kept = min(max(good, 0), total)
            clamped.append(len(rows))
        if plain:
            rows.append((start, kept, total, kept, total))
        else:
            counts = budgeted(Measured(kept, total), slo)
            rows.append((start, counts.good, counts.total, kept, total))
    return rows, clamped
