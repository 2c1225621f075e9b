"""The screen of a partition: kept in step with its series, asked at every tick."""

from collections.abc import Mapping, Sequence

from slo.evaluation import BAD_ENOUGH, Judge
from slo.screen import Screen
from slo.verdict import Outcome
from streams.series import SeriesState


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

    def catch_up(self) -> None:
        """Nobody asks: take in what changed, where that is much."""
        self._screen.catch_up()

    def unsettled(
        self,
        moments: Mapping[str, tuple[int, str, bool]],
        asked: Mapping[str, Sequence[SeriesState]],
    ) -> dict[str, list[SeriesState]]:
        """Those of the series asked about that may have moved, by cluster in order.

        `moments`, by cluster: at which moment of its now, which input gave no mark,
        and whether it is asked about as a whole.
        """
        times = {
            self._clusters[name]: (at_ms, bool(stale))
            for name, (at_ms, stale, _) in moments.items()
            if name in self._clusters
        }
        found: dict[str, list[SeriesState]] = {}
        for number in self._screen.unsettled(times):
            state = self._states[number]
            found.setdefault(state.series.home, []).append(state)
        for name, (_, _, whole) in moments.items():
            if not whole and name in found:
                mine = set(asked[name])
                found[name] = [state for state in found[name] if state in mine]
        return found

    def judged(self, state: SeriesState, judge: Judge, outcome: Outcome) -> None:
        """A series was judged, and told whatever there was to tell."""
        self._tell(state)
        if outcome.verdict in BAD_ENOUGH:
            self._assure(state, judge, outcome)

    def _tell(self, state: SeriesState) -> None:
        alert = state.alert
        tier = self._tiers.get(alert.tier, -1)
        self._screen.tell(state.number, state.verdict, alert.level, tier)

    def _assure(self, state: SeriesState, judge: Judge, outcome: Outcome) -> None:
        """A tier fires: find out for how long its guards will pass."""
        known = self._screen.guarded(state.number, outcome.place)
        if known < outcome.start_ms:
            found = judge.assured(state.ledger, state.timing, outcome)
            self._screen.guard(state.number, outcome.place, found)
