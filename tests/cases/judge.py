"""What a case's `expect.json` says, held against what a replay said and counted."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

Change = dict[str, Any]


class Seen(NamedTuple):
    """The changes of verdict and the ledger of one case."""

    changes: list[Change]
    ledger: list[str]


def seconds(change: Change, t0_ms: int) -> float:
    """When a change happened, in seconds after t0."""
    return datetime.fromisoformat(change["time"]).timestamp() - t0_ms / 1000


def complaints(expect: dict[str, Any], seen: Seen, twin: Seen | None) -> list[str]:
    """Every way in which a case was not what it should have been."""
    found: list[str] = []
    if "pages" in expect:
        found += _pages(expect, seen)
    for wanted in expect.get("unknown", []):
        found += _unknown(wanted, expect["t0_ms"], seen)
    for kind in ("slices", "events"):
        for key, counts in expect.get(kind, {}).items():
            found += _sums(kind, key, counts, seen)
    for key, share in expect.get("ratio_slices_bad", {}).items():
        found += _shares(key, share, seen)
    if twin is not None and twin.ledger != seen.ledger:
        found.append("the ledger differs from its twin's")
    return found


def _key(change: Change) -> str:
    return f"{change['slo']}/{change['resource']}"


def _pages(expect: dict[str, Any], seen: Seen) -> list[str]:
    t0 = expect["t0_ms"]
    opened = [c for c in seen.changes if c["to"] == "page"]
    found = []
    for wanted in expect["pages"]:
        key = f"{wanted['slo']}/{wanted['resource']}"
        mine = [c for c in opened if _key(c) == key]
        near = [
            c
            for c in mine
            if abs(seconds(c, t0) - wanted["at_s"]) <= wanted["tolerance_s"]
        ]
        times = [seconds(c, t0) for c in mine]
        if len(near) != 1:
            found.append(f"{key}: page at {wanted['at_s']} s wanted, paged at {times}")
            continue
        opened.remove(near[0])
        found += _leaves(wanted, key, near[0], seen, t0)
    found += [f"{_key(c)}: unwanted page at {seconds(c, t0)} s" for c in opened]
    return found


def _leaves(
    wanted: dict[str, Any], key: str, page: Change, seen: Seen, t0: int
) -> list[str]:
    left = [
        seconds(c, t0)
        for c in seen.changes
        if _key(c) == key and c["from"] == "page" and c["time"] > page["time"]
    ]
    earliest = wanted["resolved_after_s"] - wanted["tolerance_s"]
    if left and earliest < left[0] <= wanted["resolved_by_s"]:
        return []
    window = f"between {earliest} s and {wanted['resolved_by_s']} s"
    return [f"{key}: should leave page {window}, left at {left}"]


def _unknown(wanted: dict[str, Any], t0: int, seen: Seen) -> list[str]:
    key = f"{wanted['slo']}/{wanted['resource']}"
    begin, end = wanted["within_s"]
    mine = [(seconds(c, t0), c["to"]) for c in seen.changes if _key(c) == key]
    before = [to for at, to in mine if at <= begin]
    verdict = before[-1] if before else "unknown"
    during = [(at, to) for at, to in mine if begin < at <= end and to != "unknown"]
    if verdict == "unknown" and not during:
        return []
    return [f"{key}: unknown wanted from {begin} s to {end} s, was {verdict}, {during}"]


def rows_of(key: str, seen: Seen) -> Iterable[tuple[int, int]]:
    """The (good, total) pairs of a series."""
    for line in seen.ledger:
        series, _, good, total = line.split("\t")
        if series == key:
            yield int(good), int(total)


def _sums(kind: str, key: str, counts: dict[str, int], seen: Seen) -> list[str]:
    good = sum(g for g, _ in rows_of(key, seen))
    bad = sum(t - g for g, t in rows_of(key, seen))
    if {"good": good, "bad": bad} == counts:
        return []
    return [f"{key}: {kind} {counts} wanted, counted good {good}, bad {bad}"]


def _shares(key: str, wanted: float, seen: Seen) -> list[str]:
    share = sum((t - g) / t for g, t in rows_of(key, seen))
    if abs(share - wanted) <= 1e-5:
        return []
    return [f"{key}: bad shares add up to {share}, {wanted} wanted"]
