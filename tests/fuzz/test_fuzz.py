"""The fuzz run in small, and its check: what it must never miss, it does not miss."""

import json
import random
import time

import pytest

from streams.batch import SCHEMA_VERSION, Batch, Route
from streams.evaluate import Evaluator
from streams.store import Store
from tests.fuzz.__main__ import told
from tests.fuzz.corpus import MAX_CORPUS_BYTES, MAX_KEPT, Corpus, Seen
from tests.fuzz.judge import Unjustified, judge
from tests.fuzz.memory import MAX_GROWTH_MB, growth
from tests.fuzz.payload import Payload
from tests.fuzz.search import Report, Search
from tests.fuzz.seeds import plan_for, seeds_of
from tests.fuzz.walk import Outcome, SilentError, Walk
from tests.streams.stage import NOW, SHARED, datum, payload, row, series, text

PAYLOADS = 20_000
NOTHING = Outcome([], [], ())


def test_nothing_that_is_wrong_is_counted_and_nothing_breaks(samples, tmp_path):
    store = Store(f"sqlite:///{tmp_path}/store.db")
    walk = Walk(plan_for(samples), SHARED, store)
    told: list[str] = []

    report = Search(walk.take, seeds_of(samples), 7, told.append).run(PAYLOADS)

    assert report.failures == []
    assert report.counted > PAYLOADS / 10
    assert report.unchecked < PAYLOADS / 100
    assert report.signatures > 500
    store.close()


# -- the search finds what is wrong -----------------------------------------------------


def searched(take) -> Report:
    seed = Payload("cloudwatch", NOW, None, text(datum()))
    return Search(take, [seed], 1, print, hang_s=0.05).run(3)


def counts_everything(one: Payload) -> Outcome:
    return Outcome([counted("cloudwatch:AuroraReplicaLag", NOW - 60_000)], [], ())


def crashes(one: Payload) -> Outcome:
    raise OverflowError("int too large")


def hangs(one: Payload) -> Outcome:
    until = time.process_time() + 5
    while time.process_time() < until:
        pass
    return NOTHING


def vanishes(one: Payload) -> Outcome:
    raise SilentError


FAULTY = {
    counts_everything: "Unjustified",
    crashes: "OverflowError",
    hangs: "HangError",
    vanishes: "SilentError",
}


@pytest.mark.parametrize("take", FAULTY)
def test_a_walk_that_does_wrong_is_found_out(take):
    kinds = {one.what.partition(":")[0] for one in searched(take).failures}

    assert kinds == {FAULTY[take]}


def test_what_ends_stage_2_is_named_and_counts_once(samples, tmp_path, monkeypatch):
    seeds = [
        Payload("cloudwatch", NOW, None, text(datum(at=NOW - number * 60_000)))
        for number in range(1, 61)
    ]
    bad_ms = NOW - 10 * 60_000
    sound = Evaluator.apply

    def apply(evaluator, batches, *rest):
        if any(cell[1] == bad_ms for batch in batches for cell in batch.cells):
            evaluator._image = None
            raise OverflowError("cannot convert float infinity to integer")
        sound(evaluator, batches, *rest)

    monkeypatch.setattr(Evaluator, "apply", apply)
    store = Store(f"sqlite:///{tmp_path}/store.db")
    walk = Walk(plan_for(samples), SHARED, store, several=25)

    report = Search(walk.take, seeds, 7, print).run(len(seeds))

    assert [one.payload for one in report.failures] == [seeds[9]]
    assert report.results["failed"] == 1
    store.close()


class Leaking:
    """A walk that keeps something of every payload."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._kept: list[bytes] = []

    def take(self, one: Payload) -> Outcome:
        self._kept.append(bytes(range(256)) * (self._size // 256))
        return NOTHING


def looked_at(take) -> Report:
    seed = Payload("cloudwatch", NOW, None, text(datum()))
    return Search(take, [seed], 1, print, look_every=500).run(10_000)


def test_a_walk_whose_memory_grows_is_found_out(tmp_path, capfd):
    sound, leaking = looked_at(lambda _: NOTHING), looked_at(Leaking(6 * 1024).take)

    assert [told([one], tmp_path, 1.0) for one in (sound, leaking)] == [0, 1]
    flat, steep = (growth(one.memory) for one in (sound, leaking))
    assert flat.late - flat.early < MAX_GROWTH_MB / 4
    assert steep.late - steep.early > 2 * MAX_GROWTH_MB
    assert "FAILED: process 0: memory" in capfd.readouterr().out


def test_the_warm_up_does_not_count_as_growth():
    filled = [(number * 2_000, min(50.0 + number, 70.0)) for number in range(101)]

    assert growth(filled) == (70.0, 70.0, 108_000)
    assert growth(filled[:4]) is None


def test_what_a_search_remembers_is_bounded():
    corpus = Corpus(random.Random(1))
    for number in range(3_000):
        corpus.keep(Payload("any", NOW, None, b"%d" % number * 600))
    corpus.keep(Payload("any", NOW, None, b"x" * (MAX_KEPT + 1)))
    corpus.keep(Payload("any", NOW, None, b"x", heavy=True))
    corpus.keep(Payload("any", NOW, None, None))

    assert MAX_CORPUS_BYTES * 0.99 < corpus.bytes <= MAX_CORPUS_BYTES
    seen = Seen()
    assert [seen.add(one) for one in (("a",), ("b",), ("a",))] == [True, True, False]
    assert seen.count == 2


def test_a_search_is_the_same_again(samples, tmp_path):
    found = []
    for number in range(3):  # the first fills caches, whose lines the others skip
        store = Store(f"sqlite:///{tmp_path}/{number}.db")
        walk = Walk(plan_for(samples), SHARED, store)
        found.append(Search(walk.take, seeds_of(samples), 3, print).run(1_000))
        store.close()

    assert found[1][:6] == found[2][:6]
    assert found[1].results == found[2].results


def test_a_search_that_is_over_ends_no_process_later(monkeypatch):
    armed: list[bool] = []
    monkeypatch.setattr(
        "faulthandler.dump_traceback_later", lambda *_, **__: armed.append(True)
    )
    monkeypatch.setattr(
        "faulthandler.cancel_dump_traceback_later", lambda: armed.append(False)
    )
    searched(lambda _: NOTHING)
    assert armed[0]
    assert not armed[-1]


# -- the check knows right from wrong ---------------------------------------------------


def counted(
    signal: str, start: int, *stats: float, period: int = 60_000, who: str = ""
) -> Batch:
    known = "returns-1" if signal.startswith("datadog") else "orders-a"
    route = Route(f"instance:{who or known}", signal, "", period)
    values = stats or (2.0, 0.04, 0.02, 0.02)
    return Batch(
        SCHEMA_VERSION, "w", 0, [], {}, [route], [(0, start, NOW, *values)], []
    )


def rows(good: int, total: int, who: str = "returns") -> Batch:
    route = Route(f"cdc:{who}", "cdc:rows/30000", "", 0)
    return Batch(
        SCHEMA_VERSION, "w", 0, [], {}, [route], [], [(0, NOW - 10_000, good, total)]
    )


def changed(**fields) -> bytes:
    return json.dumps(datum() | fields).encode()


LAG = "cloudwatch:AuroraReplicaLag"
COMMITS = "datadog:postgresql.commits"
AT = NOW - 60_000
RIGHT = {
    "a datum in milliseconds": (text(datum()), counted(LAG, AT)),
    "an idle catalogue unit": (text(datum(unit="None")), counted(LAG, AT)),
    "a sentinel": (
        changed(value={"max": -1, "min": -1, "sum": -1, "count": 2}),
        counted(LAG, AT, 2.0, -1.0, -1.0, -1.0),
    ),
    "a sentinel that adds up to little": (
        changed(value={"max": -1, "min": -1, "sum": -0.1, "count": 1}, unit="Seconds"),
        counted("cloudwatch:AuroraReplicaLag", AT, 1.0, -0.1, -1.0, -1.0),
    ),
    "a point": (
        text(payload(series("postgresql.commits", (AT, 3.0)))),
        counted(COMMITS, AT, 0.0, 3.0, 3.0, 3.0),
    ),
    "a row in time": (text(row()), rows(1, 1)),
}


@pytest.mark.parametrize("name", RIGHT)
def test_what_was_said_may_be_counted(name):
    value, batch = RIGHT[name]

    assert judge(value, "any", NOW, [batch])


CUT = text(datum())[:-20]
NAN = text(datum()).replace(b'"max": 20.0', b'"max": NaN')
LATE = text(row(NOW - 40_000))
WRONG = {
    "a datum cut off": (CUT, counted(LAG, AT)),
    "a datum that is no UTF-8": (
        text(datum()).replace(b"stream", b"\xff", 1),
        counted(LAG, AT),
    ),
    "NaN": (NAN, counted(LAG, AT)),
    "true for a number": (
        changed(value={"max": True, "min": 1, "sum": 2, "count": 2}),
        counted(LAG, AT, 2.0, 0.002, 0.001, 0.001),
    ),
    "a unit that nobody knows": (changed(unit="Parsecs"), counted(LAG, AT)),
    "a sentinel made small": (
        text(datum(value=-1.0)),
        counted(LAG, AT, 2.0, -0.002, -0.001, -0.001),
    ),
    "another instance": (text(datum()), counted(LAG, AT, who="orders-b")),
    "another host": (
        text(payload(series("postgresql.commits", (AT, 3.0)))),
        counted(COMMITS, AT, 0.0, 3.0, 3.0, 3.0, who="returns-2"),
    ),
    "another connector": (text(row()), rows(1, 1, "orders")),
    "another time": (text(datum()), counted(LAG, AT - 60_000)),
    "another value": (text(datum()), counted(LAG, AT, 2.0, 0.04, 0.02, 0.01)),
    "another metric": (text(datum()), counted("cloudwatch:ReplicaLag", AT)),
    "a time in seconds": (changed(timestamp=AT // 1000), counted(LAG, AT // 1000)),
    "next year": (changed(timestamp=AT + 10**10), counted(LAG, AT + 10**10)),
    "no samples": (
        changed(value={"max": 0, "min": 0, "sum": 0, "count": 0}),
        counted(LAG, AT, 0.0, 0.0, 0.0, 0.0),
    ),
    "nothing": (b"{}", counted(LAG, AT)),
    "digits that are not ours": (
        text(payload(series("postgresql.commits", (AT, "\u0663")))),
        counted(COMMITS, AT, 0.0, 3.0, 3.0, 3.0),
    ),
    "a late row as good": (LATE, rows(1, 1)),
    "a row twice": (text(row()), rows(2, 2)),
    "a snapshot as a row": (text(row(op="r")), rows(1, 1)),
    "an operation that nobody knows": (text(row(op="x")), rows(1, 1)),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_nobody_said_may_not_be_counted(name):
    value, batch = WRONG[name]

    with pytest.raises(Unjustified):
        judge(value, "any", NOW, [batch])
