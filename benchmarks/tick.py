"""The evaluation tick: every series of a partition judged, at 1k, 10k and 100k of them.

`python -m benchmarks.tick --series 1000,10000,100000`. Each series has 30 days of
minutes behind it, and gets another once a minute; seven windows of the policy and the
budget's own of 30 days. A tick is what an evaluator does between two batches: time
moves on, and every series is judged. CPU time, one core. Beside it a real Prometheus,
asked for the same windows over raw counters.
"""

import argparse
import copy
import gc
import json
import random
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.prometheus import WINDOWS, milliseconds_a_series
from dbslo.load import catalogue
from dbslo.memory import collect_seldom
from slo.ledger import FINE_MS, PAGE_MS, SeriesLedger
from slo.model import (
    BUCKET_MS,
    DAY,
    HOUR,
    MILLIONTHS,
    MINUTE,
    SLO,
    Budgeting,
    Counts,
    Feed,
    Series,
    Urgency,
)
from slo.names import duration
from slo.plan import Plan
from slo.policy import DEFAULT
from slo.resources import Cluster, Engine, Inventory
from slo.stretch import grain_ms
from streams.image import Image
from streams.series import SeriesState
from streams.watch import Moment, Told, Watch

SERIES = (1_000, 10_000, 100_000)
SLIS = (
    "aurora.replica_lag",
    "deadlock_ratio",
    "locks.blocked_transactions",
    "connect.success_ratio",
)
INSTANCES = 10  # in a cluster
T0 = 1_794_000_000_000 // HOUR * HOUR
DAYS = 30
VARIANTS = 12
MINUTES = 3  # of ticks
AIM = "at most 250 ms"
AIMED = (("worst tick", max(SERIES)), ("tick after data for all", max(SERIES)))
EVENTS = 1_000  # in a minute
SOURCE = "cloudwatch"
FIRST = "first tick of all, in which all turn"


class Scene(NamedTuple):
    """What share of the series is in an outage that began two hours ago."""

    name: str
    burning: float


SCENES = (
    Scene("all well, errors now and then", 0.0),
    Scene("1 % burn", 0.01),
    Scene("all burn", 1.0),
)


# -- the fleet ---------------------------------------------------------------------


def plan_of(count: int) -> Plan:
    """`count` series: every SLI of the bench on as many instances as it takes."""
    entries = [catalogue()[sli] for sli in SLIS]
    slos = [
        SLO(
            entry.id,
            "databases",
            entry,
            Fraction(entry.objective),
            entry.budgeting,
            Urgency.PAGE,
            min_total=entry.min_total,
            min_bad=entry.min_bad,
        )
        for entry in entries
    ]
    clusters = tuple(
        Cluster(
            f"c{number:04}",
            Engine.AURORA_MYSQL,
            {"env": "prod"},
            tuple(f"c{number:04}-{n}" for n in range(INSTANCES)),
        )
        for number in range(-(-count // (INSTANCES * len(slos))))
    )
    series = [
        Series(slo, resource, cluster, feeds)
        for cluster in clusters
        for resource in cluster.resources
        for slo in slos
        if (feeds := _feeds(slo, cluster, resource.kind))
    ]
    return Plan(Inventory(clusters), tuple(slos), tuple(series[:count]))


def _feeds(slo: SLO, cluster: Cluster, kind: Any) -> tuple[Feed, ...]:
    return tuple(
        feed
        for feed in slo.indicator.feeds
        if feed.source == SOURCE
        and cluster.engine in feed.engines
        and feed.resource is kind
    )


def row_of(slo: SLO, bad: int) -> tuple[Counts, Counts]:
    """A minute in which so many of a thousand events were bad."""
    events = Counts(EVENTS - bad, EVENTS)
    match slo.budgeting:
        case Budgeting.OCCURRENCES:
            return events, events
        case Budgeting.RATIO_TIMESLICES:
            return Counts(events.good * MILLIONTHS // EVENTS, MILLIONTHS), events
        case Budgeting.TIMESLICES:
            slice_ = Counts(int(bad <= EVENTS // 2), 1)
            return slice_, slice_


def history(slo: SLO, seed: int, *, burning: bool) -> SeriesLedger:
    """30 days of minutes: a fifth of the budget is spent by errors now and then."""
    chance = random.Random(seed)
    saved: dict[int, bytes] = {}
    ledger = SeriesLedger(saved.get)
    share = float(1 - slo.target) / 5
    for start in range(T0, T0 + DAYS * DAY, MINUTE):
        bad = EVENTS if slo.budgeting is Budgeting.TIMESLICES else 1
        odds = share if slo.budgeting is Budgeting.TIMESLICES else share * EVENTS
        bad = bad if chance.random() < odds else 0
        if burning and start >= T0 + DAYS * DAY - 2 * HOUR:
            bad = EVENTS
        ledger.put(start, *row_of(slo, bad))
        if start % DAY == 0:
            saved |= {page: ledger.page(page) for page in ledger.dirty}
            ledger.dirty.clear()
            ledger.evict((start - FINE_MS) // PAGE_MS)
    saved |= {page: ledger.page(page) for page in ledger.dirty}
    ledger.dirty.clear()
    ledger.evict((T0 + DAYS * DAY - FINE_MS) // PAGE_MS)
    return ledger


def burns(number: int, scene: Scene) -> bool:
    """Whether a series is one of those that burn."""
    return number % 100 < scene.burning * 100


# -- what happens ------------------------------------------------------------------


class Partition:
    """All series of one partition in memory, with a month behind them."""

    def __init__(self, plan: Plan, scene: Scene) -> None:
        self._image = Image(plan, lambda _: True, _nothing, _nothing)
        self.states = list(self._image.series.values())
        _remember(self.states, scene)
        self._said: list[tuple[int, int, int, int]] = []
        for number, state in enumerate(self.states):
            bad = EVENTS if burns(number, scene) else 0
            counts, events = row_of(state.series.slo, bad)
            self._said.append((counts.good, counts.total, events.good, events.total))
        self._watch = Watch(plan.series, plan.policy)
        self._watch.begin(self._image.by_cluster, [])

    def hear(self, start_ms: int) -> None:
        """A minute of data for every series."""
        for state, said in zip(self.states, self._said, strict=True):
            state.settle([(start_ms, *said)], 0)

    def restart(self) -> None:
        """Watch anew, with what was told known, as after a restart from the store."""
        self._watch.begin(self._image.by_cluster, self._watch.incidents.values())

    def tick(self, now_ms: int) -> float:
        """CPU seconds: time moves on, and everybody is judged."""
        told = Told()
        begun = time.process_time()
        moments = {}
        for cluster in self._image.by_cluster:
            self._image.judge(cluster, now_ms)
            moments[cluster] = Moment(now_ms)
        self._image.settle()
        self._watch.evaluate(moments, told)
        return time.process_time() - begun

    def one_by_one(self, count: int, now_ms: int) -> float:
        """CPU seconds a series takes with all its windows and words."""
        states = self.states[:count]
        begun = time.process_time()
        for state in states:
            self._watch.status(state, now_ms)
        return (time.process_time() - begun) / len(states)


def _nothing(number: int, page: int) -> None:
    """Nothing is in the store."""
    del number, page


def measured(count: int, scene: Scene) -> Mapping[str, float]:
    """The ticks of some minutes, in ms.

    A first tick fills the screen. That of a new deployment judges all, for nothing was told
    of anybody; where all burn, all page in it. After a restart it is known what was.
    """
    collect_seldom()  # as every engine does
    partition = Partition(plan_of(count), scene)
    gc.collect()
    gc.freeze()
    now = T0 + DAYS * DAY + 3 * MINUTE
    first = partition.tick(now)
    ticks: list[float] = []
    for tick in range(1, 6 * MINUTES + 1):
        now += BUCKET_MS
        if tick % 6 == 0:
            partition.hear(now // MINUTE * MINUTE - 4 * MINUTE)
        ticks.append(partition.tick(now))
    after_data = ticks[5::6]
    plain = partition.one_by_one(min(count, 2_000), now)
    partition.restart()
    again = partition.tick(now + BUCKET_MS)
    gc.unfreeze()
    return {
        "tick": statistics.median(ticks) * 1e3,
        "tick after data for all": statistics.median(after_data) * 1e3,
        "worst tick": max(ticks) * 1e3,
        FIRST: first * 1e3,
        "first tick after a restart": again * 1e3,
        "judging one by one": plain * count * 1e3,
    }


def _remember(states: Sequence[SeriesState], scene: Scene) -> None:
    """Give every series a history of its own."""
    made: dict[tuple[str, int, bool], SeriesLedger] = {}
    for number, state in enumerate(states):
        variant, burning = number // len(SLIS) % VARIANTS, burns(number, scene)
        key = (state.series.slo.name, variant, burning)
        if key not in made:
            made[key] = history(state.series.slo, variant, burning=burning)
        state.ledger = copy.deepcopy(made[key])


# -- figures -----------------------------------------------------------------------


def figures(counts: Sequence[int] = SERIES) -> list[dict[str, Any]]:
    """`{name, value, unit, ratio, ratio_to}` of every scene and size, and Prometheus."""
    beside = milliseconds_a_series()
    asked = f"Prometheus, {len(WINDOWS)} windows over raw counters"
    found = [_figure(asked, beside, "ms/series"), *_edges()]
    for scene in SCENES:
        least = None
        for count in counts:
            took = measured(count, scene)
            _say(count, scene, took)
            a_series = took["tick"] / count
            least = least or a_series
            name = f"{count:,} series, {scene.name}"
            found += [
                _figure(f"{name}: tick", took["tick"], "ms", beside / a_series, asked)
                | {"aim": AIM if count == max(SERIES) else ""},
                _figure(
                    f"{name}: tick, a series",
                    a_series * 1e3,
                    "us",
                    a_series / least,
                    f"{counts[0]:,} series",
                ),
            ]
            found += [
                _figure(f"{name}: {what}", ms, "ms", ms / took["tick"], "tick")
                | {"aim": AIM if (what, count) in AIMED else ""}
                for what, ms in took.items()
                if what != "tick"
            ]
    return found


def _edges() -> list[dict[str, Any]]:
    """The resolution of each window's edge, for slices of a minute."""
    slo = plan_of(1).slos[0]
    windows = (*DEFAULT.windows_ms, slo.period_ms)
    edges = {window: grain_ms(slo, window) for window in windows}
    return [
        _figure(
            f"edge of the {duration(window)} window",
            edge / MINUTE,
            "min",
            edge / window,
            "the window",
        )
        for window, edge in edges.items()
    ]


def _figure(
    name: str,
    value: float,
    unit: str,
    ratio: float | None = None,
    to: str | None = None,
) -> dict[str, Any]:
    rounded = None if ratio is None else float(f"{ratio:.3g}")
    return {
        "name": name,
        "value": float(f"{value:.3g}"),
        "unit": unit,
        "ratio": rounded,
        "ratio_to": to,
    }


def _say(count: int, scene: Scene, took: Mapping[str, float]) -> None:
    said = ", ".join(f"{what} {value:.4g}" for what, value in took.items())
    print(f"{count:>9,} series, {scene.name}: {said}", file=sys.stderr, flush=True)


def main() -> None:
    """Run, print, and write the figures where asked."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.tick")
    options.add_argument("--series", default=",".join(map(str, SERIES)))
    options.add_argument("--out", type=Path, help="write the figures as JSON")
    chosen = options.parse_args()
    found = figures([int(count) for count in chosen.series.split(",")])
    for one in found:
        ratio = (
            "" if one["ratio"] is None else f"  {one['ratio']:g} x {one['ratio_to']}"
        )
        print(f"  {one['name']:66} {one['value']:>10g} {one['unit']}{ratio}")
    if chosen.out:
        chosen.out.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
