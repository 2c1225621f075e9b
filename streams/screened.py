"""The screen of a partition: kept in step with its series, asked at every tick."""

from collections.abc import Iterable, Mapping, Sequence

from slo.evaluation import BAD_ENOUGH, Judge
from slo.screen import Screen
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
        for number, state in enumerate(self._states):
            state.number, state.moves = number, self._screen.moves
            state.tell_span()
            self._tell(state)
        self._screen.fill([state.ledger for state in self._states])

    def judged(self, state: SeriesState, judge: Judge, outcome: Outcome) -> None:
        """A series was judged, and told whatever there was to tell."""
        self._tell(state)
        if outcome.verdict in BAD_ENOUGH:
            self._assure(state, judge, outcome)

    def _tell(self, state: SeriesState) -> None:
        alert = state.alert
        tier = self._tiers.get(alert.tier, -1)
        self._screen.tell(state.number, state.verdict, alert.level, tier)

    def due(
        self,
        moments: Mapping[str, tuple[int, str]],
        due: Mapping[str, Sequence[SeriesState]],
    ) -> Iterable[tuple[str, Sequence[SeriesState]]]:
        """Those of some series that may have moved, by cluster in their order."""
        if sum(map(len, due.values())) <= FEW:
            self._screen.catch_up()
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

    def _assure(self, state: SeriesState, judge: Judge, outcome: Outcome) -> None:
        """A tier fires: find out for how long its guards will pass."""
        known = self._screen.guarded(state.number, outcome.place)
        if known < outcome.start_ms:
            found = judge.assured(state.ledger, state.timing, outcome)
            self._screen.guard(state.number, outcome.place, found)
