"""The screen of a partition: kept in step with its series, asked at every tick."""

from collections.abc import Iterable, Mapping, Sequence

from slo.evaluation import BAD_ENOUGH, Judge
from slo.screen import Known, Screen
from slo.verdict import Outcome
from streams.series import SeriesState

FEW = 64
"""As many series are judged at once, without asking the screen."""


class Screened:
    """The series of a partition in the order of their clusters' names."""

    def __init__(
        self,
        by_cluster: Mapping[str, Sequence[SeriesState]],
        judges: Mapping[str, Judge],
    ) -> None:
        self._clusters = {name: place for place, name in enumerate(sorted(by_cluster))}
        self._states = [s for name in self._clusters for s in by_cluster[name]]
        terms = [judges[state.series.key].terms for state in self._states]
        homes = [self._clusters[state.series.home] for state in self._states]
        self._screen = Screen(terms, homes)
        self._tiers = {rule.tier.name: n for n, rule in enumerate(terms[0].rules)}
        self._moved: dict[int, SeriesState] = {}
        for number, state in enumerate(self._states):
            state.number, state.moved = number, self._moved
            self.know(state)
            self._screen.fill(number, state.ledger.since)

    def know(self, state: SeriesState) -> None:
        """Where the data of a series stands now, and what was told of it."""
        known = Known(
            state.ledger.first,
            state.ledger.last,
            state.timing.arrival_lag_ms,
            state.verdict,
            state.alert.level,
            self._tiers.get(state.alert.tier, -1),
        )
        self._screen.know(state.number, known)

    def due(
        self,
        moments: Mapping[str, tuple[int, str]],
        due: Mapping[str, Sequence[SeriesState]],
    ) -> Iterable[tuple[str, Sequence[SeriesState]]]:
        """Those of some series that may have moved, by cluster in their order."""
        for state in self._moved.values():
            self.know(state)
            self._screen.move(state.number, state.moves)
            state.moves.clear()
        self._moved.clear()
        if sum(map(len, due.values())) <= FEW:
            return due.items()
        asked = {
            self._clusters[name]: (at_ms, bool(stale))
            for name, (at_ms, stale) in moments.items()
            if name in self._clusters
        }
        found: dict[str, list[SeriesState]] = {}
        for number in self._screen.unsettled(asked):
            state = self._states[number]
            found.setdefault(state.series.home, []).append(state)
        return found.items()

    def assure(self, state: SeriesState, judge: Judge, outcome: Outcome) -> None:
        """A tier fires on: find out for how long its guards will pass."""
        if outcome.verdict not in BAD_ENOUGH:
            return
        known = self._screen.guarded(state.number, outcome.place)
        if known < outcome.start_ms:
            found = judge.assured(state.ledger, state.timing, outcome)
            self._screen.guard(state.number, outcome.place, found)
