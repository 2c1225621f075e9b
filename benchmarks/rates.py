"""Rates beside the limit and beside the peers: medians of alternating runs."""

import statistics
from collections.abc import Callable, Collection

from benchmarks.course import Course, Found
from benchmarks.figures import Figure, say
from tests.ground.cache import Missing

TITLES = {
    "limit": "limit: consume, decode the whole of each datum, count",
    "stage1": "stage 1: to the committed transaction",
    "walk": "whole walk: to the committed ledger (SQLite)",
    "faust": "plain Faust agent, the same work per event",
    "quix": "Quix Streams dataframe, the same work per event",
}
BESIDE = (
    ("stage1", "limit", 0.6),
    ("walk", "limit", 0.35),
    ("stage1", "faust", 30.0),
    ("stage1", "quix", 10.0),
)
Rates = dict[str, dict[str, float]]


def figures(course: Course, chosen: Collection[str], runs: int) -> list[Figure]:
    """The chosen contenders beside each other; the limit is always one."""
    rates = _measured(course, ["limit", *(n for n in TITLES if n in chosen)], runs)
    found = []
    for name, one in rates.items():
        per_record = f"{TITLES[name]}: CPU a record"
        found.append(Figure(TITLES[name], round(one["wall"]), "records/s"))
        found.append(Figure(per_record, round(1e6 / one["cpu"], 3), "µs"))
    for name, beside, aim in BESIDE:
        if name in rates and beside in rates:
            found += _compared(rates, name, beside, aim)
    return found


def _compared(rates: Rates, name: str, beside: str, aim: float) -> list[Figure]:
    return [
        Figure(
            f"{name} beside {beside}, by {kind}",
            round(rates[name][kind]),
            unit,
            round(rates[name][kind] / rates[beside][kind], 3),
            f"{beside} ({kind})",
            f"at least {aim:g}" if kind == "wall" else "",
        )
        for kind, unit in (("wall", "records/s"), ("cpu", "records per CPU second"))
    ]


def _measured(course: Course, names: Collection[str], runs: int) -> Rates:
    """The median rate per second of wall and of CPU, without who cannot be had."""
    contenders: dict[str, Callable[[], Found]] = {n: getattr(course, n) for n in names}
    rates: dict[str, dict[str, list[float]]] = {}
    for run in range(runs):
        for name in list(dict.fromkeys(contenders)):
            try:
                found = contenders[name]()
            except Missing as missing:
                say(f"{name} is skipped: {missing}")
                del contenders[name]
                continue
            one = rates.setdefault(name, {"wall": [], "cpu": []})
            one["wall"].append(found["records"] / found["wall_s"])
            one["cpu"].append(found["records"] / found["cpu_s"])
            cpu = 1e6 / one["cpu"][-1]
            second = found.get("second_cpu_s", 0.0) / found["records"] * 1e6
            more = f" ({second:.2f} of stage 2)" if second else ""
            say(
                f"run {run + 1}: {name:7} {one['wall'][-1]:10,.0f} records/s,"
                f" {cpu:6.2f} µs CPU a record{more}"
            )
    return {
        name: {kind: statistics.median(all_) for kind, all_ in one.items()}
        for name, one in rates.items()
    }
