"""The facts of one route, who reads them, and how cells are taken into them."""

from collections.abc import Sequence

from slo.facts import Cells, Deltas, Stated
from streams.packed import FEW, Cell, Columns, Ordered, Run, columns_of
from streams.series import SeriesState


class FactState:
    """The facts of one route, and the series that read them.

    `slots` is what readers have to recount, by its width in ms; `ages` the readers that
    measure freshness, and whether it tells the age itself.
    """

    __slots__ = ("ages", "facts", "id", "slots")

    def __init__(self, number: int, facts: Cells | Deltas) -> None:
        self.id = number
        self.facts = facts
        self.slots: dict[int, list[set[int]]] = {}
        self.ages: list[tuple[SeriesState, bool]] = []

    def take(self, facts: Cells, ordered: Ordered, run: Run) -> None:
        """Join in what was stated of the route's cells, which are `facts`."""
        place, begin, end = run
        held, buckets = ordered.held[begin:end], ordered.buckets[begin:end]
        if not facts.take_first(buckets, held, even=place not in ordered.uneven):
            self.touch([cell[0] for (cell,) in held if facts.merge(cell)])
            return
        for step_ms, readers in self.slots.items():
            slots = ordered.slots(step_ms)[begin:end]
            for touched in readers:
                touched.update(slots)
        if self.ages:
            self._age([cell[0] for (cell,) in held])

    def touch(self, starts: Sequence[int]) -> None:
        """Facts at some moments changed: whoever reads them recounts.

        A cell counts whole at its period's start, a row in its own bucket.
        """
        for step_ms, readers in self.slots.items():
            slots = {start // step_ms for start in starts}
            for touched in readers:
                touched.update(slots)
        self._age(starts)

    def _age(self, starts: Sequence[int]) -> None:
        for reader, tells_age in self.ages:
            for start in starts:
                reader.touch_from(start, tells_age=tells_age)


Read = tuple[Sequence[FactState | None], Sequence[Cell]]
"""The cells of a batch, and what is known of its routes; None where nobody reads it."""


def take_cells(several: Sequence[Read]) -> None:
    """Join the cells of batches in; whoever reads what changed is to recount it."""
    columns = [columns_of(cells) for _, cells in several]
    parts = [one for one in columns if one is not None]
    if len(parts) == len(columns) and sum(len(one.start) for one in parts) > FEW:
        _in_order([states for states, _ in several], parts)
        return
    for states, cells in several:
        _one_by_one(states, cells)


def _in_order(
    states: Sequence[Sequence[FactState | None]], parts: Sequence[Columns]
) -> None:
    """Take cells in by columns; `states` are those of each part's routes."""
    known = {
        one: one.facts
        for some in states
        for one in some
        if one is not None and isinstance(one.facts, Cells)
    }
    place: dict[FactState | None, int] = {one: n for n, one in enumerate(known)}
    places = [[place.get(one, -1) for one in some] for some in states]
    ordered = Ordered(parts, places, [facts.period_ms for facts in known.values()])
    taken = list(known.items())
    for run in ordered.runs:
        state, facts = taken[run[0]]
        state.take(facts, ordered, run)


def _one_by_one(states: Sequence[FactState | None], cells: Sequence[Stated]) -> None:
    """Take the cells of a batch in without columns: they are few, or odd."""
    runs: list[list[Stated]] = [[] for _ in states]
    for cell in cells:
        runs[cell[0]].append(cell)
    for state, run in zip(states, runs, strict=True):
        if run and state is not None and isinstance(state.facts, Cells):
            state.touch(state.facts.take(run))
