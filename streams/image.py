"""The image of one partition in memory: facts, ledgers, and what to recount.

It holds what the store holds, plus what the batch at hand adds. Any error between
changing it and the commit's return makes it worthless: it is thrown away and loaded
again.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import msgspec

from slo.facts import Cells, Deltas
from slo.feeds import Reading
from slo.model import HOUR, Part
from slo.plan import Plan
from slo.recount import FreshnessRecount, RowsRecount, counts_rows, rows_signal
from slo.runs import recount_all
from streams.batch import Batch, Route
from streams.factstate import FactState, take_cells
from streams.series import CountRow, Fetch, SeriesState
from streams.store import id_of

MAX_TAG_SETS = 1_000
"""Tag sets of one signal on one resource; beyond that they are refused."""

RESIDENT_HOURS = 2
"""Facts younger than this stay in memory; older pages come back from the store."""


TOO_MANY_TAG_SETS = ("observations", "too_many_tag_sets")
"""Source and reason of what was refused for that."""


class Tally(msgspec.Struct, frozen=True):
    """Statements that count otherwise than stated, and those that do not count.

    `adjusted` by reason, `refused` by (source, reason).
    """

    adjusted: dict[str, int] = {}
    refused: dict[tuple[str, str], int] = {}


class _Wanted(NamedTuple):
    """Who reads a signal: a reading at a rank of preference, or rows to be counted."""

    state: SeriesState
    reading: Reading | None
    rank: int
    tells_age: bool


class Image:
    """All series of one partition.

    `fetch_fact(route id, hour)` and `fetch_ledger(series id, page)` read pages that
    are not in memory. `unread(resource)` is called where a fact is dropped, since
    nobody reads it here.
    """

    def __init__(
        self,
        plan: Plan,
        mine: Callable[[str], bool],
        fetch_fact: Fetch,
        fetch_ledger: Fetch,
    ) -> None:
        self.series: dict[str, SeriesState] = {}
        self.by_cluster: dict[str, list[SeriesState]] = {}
        self.facts: dict[Route, FactState] = {}
        self.new_routes: list[tuple[int, Route]] = []
        self.resident_hour = 0
        self.longest_ms = plan.longest_ms
        self.refused_tag_sets = 0
        self.unread: Callable[[str], object] = str
        self._wholes: list[SeriesState] = []
        self._fetch = fetch_fact
        self._wanted: dict[tuple[str, str], list[_Wanted]] = {}
        self._tag_sets: dict[tuple[str, str], int] = {}
        self._spoke: dict[Route, int] = {}  # the newest hour of each
        self._ageing: dict[str, list[SeriesState]] = {}  # time alone changes these
        for series in plan.series:
            if mine(series.home):
                members = [SeriesState(one, fetch_ledger) for one in series.members]
                for member in members:  # before what adds them up
                    self._want(member)
                whole = SeriesState(series, fetch_ledger, members)
                self.by_cluster.setdefault(series.home, []).append(whole)
                self.series[series.key] = whole
                if members:
                    self._wholes.append(whole)
                else:
                    self._want(whole)

    def _want(self, state: SeriesState) -> None:
        series = state.series
        self.series[series.key] = state
        if isinstance(state.recount, FreshnessRecount):
            self._ageing.setdefault(series.home, []).append(state)
        resource = series.facts_key
        if counts_rows(series):
            key = (resource, rows_signal(series))
            self._wanted.setdefault(key, []).append(_Wanted(state, None, 0, False))
            return
        for feed in state.feeds:
            for reading in feed.readings:
                tells_age = reading.part.part is Part.VALUE
                for rank, metric in enumerate(reading.part.metrics):
                    key = (resource, f"{feed.feed.source}:{metric}")
                    wanted = _Wanted(state, reading, rank, tells_age)
                    self._wanted.setdefault(key, []).append(wanted)

    # -- facts -------------------------------------------------------------------

    def merge(self, batches: Iterable[Batch]) -> None:
        """Take the statements of batches in, all that were made of a route at once."""
        read = [([self.fact(route) for route in one.routes], one) for one in batches]
        take_cells([(states, batch.cells) for states, batch in read])
        for states, batch in read:
            for number, start, good, total in batch.deltas:
                state = states[number]
                if state is not None and isinstance(state.facts, Deltas):
                    state.facts.add(start, good, total)
                    state.touch([start])

    def fact(self, route: Route) -> FactState | None:
        """The facts of a route, made at its first sight; None where nobody reads it."""
        found = self.facts.get(route)
        if found is not None:
            return found
        key = (route.resource, route.signal)
        wanted = self._wanted.get(key)
        if wanted is None:
            self.unread(route.resource)
            return None
        sets = self._tag_sets.get(key, 0)
        if sets >= MAX_TAG_SETS:
            self.refused_tag_sets += 1
            return None
        self._tag_sets[key] = sets + 1
        found = self._made(route, wanted)
        self.facts[route] = found
        self._spoke[route] = self.resident_hour + RESIDENT_HOURS
        return found

    def forget_silent(self, hour: int) -> None:
        """Forget the routes that stated nothing since an hour number.

        Call it while `dirty` still says what is new. Tag sets come and go: those that
        are gone must leave room for others, as they do at a start.
        """
        for route, state in list(self.facts.items()):
            if state.facts.dirty:
                newest = max(state.facts.dirty)
                self._spoke[route] = max(newest, self._spoke[route])
            elif self._spoke[route] < hour:
                key = (route.resource, route.signal)
                self._tag_sets[key] -= 1
                for one in self._wanted[key]:
                    _detach(one, state.facts)
                del self.facts[route], self._spoke[route]

    def _made(self, route: Route, wanted: list[_Wanted]) -> FactState:
        number = id_of(msgspec.msgpack.encode(route))
        self.new_routes.append((number, route))
        fetch = partial(self._fetch, number)
        facts: Cells | Deltas
        if wanted[0].reading is None:
            facts = Deltas(fetch, self.resident_hour)
        else:
            marks = frozenset(
                sentinel.value
                for one in wanted
                if one.reading is not None
                for sentinel in one.reading.part.sentinels
            )
            facts = Cells(route.period_ms, marks, fetch, self.resident_hour)
        readers: dict[SeriesState, bool] = {}
        for one in wanted:
            _attach(one, facts)
            readers[one.state] = readers.get(one.state, False) or one.tells_age
            one.state.reshaped = True
        made = FactState(number, facts)
        for state, tells_age in readers.items():
            if isinstance(state.recount, FreshnessRecount):
                made.ages.append((state, tells_age))
            else:
                made.slots.setdefault(state.recount.step_ms, []).append(state.touched)
        return made

    def tally(self) -> Tally:
        """What was counted on the way since the image was loaded."""
        cells = (one.facts for one in self.facts.values())
        adjusted = {
            "clamped": sum(state.clamped for state in self.series.values()),
            "outweighed": sum(c.outweighed for c in cells if isinstance(c, Cells)),
        }
        sets = self.refused_tag_sets
        return Tally(adjusted, {TOO_MANY_TAG_SETS: sets} if sets else {})

    # -- time and counts ------------------------------------------------------------

    def judge(self, cluster: str, now_ms: int) -> None:
        """The now of a cluster has moved."""
        for state in self._ageing.get(cluster, ()):
            state.judge_to(now_ms)

    def settle(self) -> dict[str, list[CountRow]]:
        """Recount everything touched; the changed rows of each series."""
        states = self.series.values()
        changed = self._settled([s for s in states if s.touched and not s.members])
        wholes = [s for s in self._wholes if s.touched]  # what adds those up
        return changed | self._settled(wholes) if wholes else changed

    def turned(self, changed: Mapping[str, list[CountRow]]) -> set[str]:
        """The clusters of changed rows that hold anything bad, or were taken out."""
        return {
            self.series[key].series.home
            for key, rows in changed.items()
            if any(row[1] != row[2] or not row[2] for row in rows)
        }

    def _settled(self, states: Sequence[SeriesState]) -> dict[str, list[CountRow]]:
        resident_ms = self.resident_hour * HOUR
        tasks = [state.task() for state in states]
        for state, task in zip(states, tasks, strict=True):
            if task.slots[0] * state.recount.step_ms < resident_ms:
                self._bring_back(state, task.slots)
        return {
            state.key: rows
            for state, found in zip(states, recount_all(tasks), strict=True)
            if (rows := state.settle(*found))
        }

    def _bring_back(self, state: SeriesState, slots: Sequence[int]) -> None:
        """Evicted facts of the slots that are to be recounted come back first."""
        step, resident_ms = state.recount.step_ms, self.resident_hour * HOUR
        for slot in slots:
            if slot * step < resident_ms:
                for feed in state.feeds:
                    feed.ready(slot * step, (slot + 1) * step)


def _attach(wanted: _Wanted, facts: Cells | Deltas) -> None:
    if wanted.reading is None:
        recount = wanted.state.recount
        if isinstance(recount, RowsRecount) and isinstance(facts, Deltas):
            recount.routes.append(facts)
    elif isinstance(facts, Cells):
        wanted.reading.attach(wanted.rank, facts)


def _detach(wanted: _Wanted, facts: Cells | Deltas) -> None:
    if wanted.reading is None:
        recount = wanted.state.recount
        if isinstance(recount, RowsRecount) and isinstance(facts, Deltas):
            recount.routes.remove(facts)
    elif isinstance(facts, Cells):
        wanted.reading.detach(wanted.rank, facts)
    wanted.state.reshaped = True
