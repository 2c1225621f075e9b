"""One suite for every source: what holds for a format holds for all of them.

A new source adds a specimen. Its records say one thing each that stage 1 understands.
"""

import base64
import copy
import gzip
import itertools
import json
import random
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slo.facts import join
from slo.model import MINUTE, SECOND
from streams.sources import FORMATS
from streams.sources.sniff import sniff
from tests.streams.stage import (
    NOW,
    ROWS,
    Handed,
    Stage,
    datum,
    firehose,
    mysql_row,
    payload,
    row,
    series,
    sns,
    text,
)

SECRET = "hunter2"


class Specimen(NamedTuple):
    """`good(n)` is the n-th record: all differ, and each is one document.

    `keyed`: duplicates are told by a position, so order within a partition is given.
    """

    format: str
    topic: str
    good: Callable[[int], dict[str, Any]]
    keyed: bool = False


def vector(n: int) -> dict[str, Any]:
    return {
        "name": "commits",
        "namespace": "postgresql",
        "tags": {"host": "returns-1", "dbclusteridentifier": "returns"},
        "timestamp": f"2026-11-06T21:{n:02d}:40Z",
        "interval_ms": 20_000,
        "kind": "incremental",
        "counter": {"value": 1.0 + n},
    }


SPECIMENS = {
    "cloudwatch": Specimen(
        "cloudwatch", "cloudwatch", lambda n: datum(value=1.0 + n, at=NOW - n * MINUTE)
    ),
    "datadog": Specimen(
        "datadog",
        "datadog",
        lambda n: payload(series("postgresql.commits", (NOW - n * 20_000, 1.0 + n))),
    ),
    "vector native_json": Specimen("vector", "vector", lambda n: {"metric": vector(n)}),
    "vector json": Specimen("vector", "vector", vector),
    "debezium postgres": Specimen(
        "debezium", ROWS, lambda n: row(NOW - 2_000 + n, lsn=1_000 + n), keyed=True
    ),
    "debezium mysql": Specimen(
        "debezium",
        "orders.shop.orders",
        lambda n: mysql_row(NOW - n * SECOND, pos=400 + n),
        keyed=True,
    ),
    "debezium with schema": Specimen(
        "debezium",
        ROWS,
        lambda n: {"schema": {}, "payload": row(NOW - 2_000 + n, lsn=1_000 + n)},
        keyed=True,
    ),
}
EVERY = pytest.mark.parametrize("name", SPECIMENS)


def facts(handed: Handed) -> tuple[Any, ...]:
    """What stage 2 will know: cells joined, deltas added."""
    cells = {}
    for key, stated in handed.cells.items():
        for cell in stated:
            at = (key, cell[0])
            cells[at] = join(cells.get(at, cell), cell, frozenset())
    return cells, {key: n for key, n in handed.deltas.items() if n}


def told(specimen: Specimen, *values: Any, **more: Any) -> tuple[Any, ...]:
    return facts(Stage().add(specimen.topic, *values, **more).flush())


def test_every_format_has_a_specimen():
    assert {one.format for one in SPECIMENS.values()} == set(FORMATS)


@EVERY
def test_a_record_says_something(name):
    specimen = SPECIMENS[name]
    stage = Stage().add(specimen.topic, *map(specimen.good, range(3)))

    cells, deltas = facts(stage.flush())

    assert cells or deltas
    assert stage.results(specimen.topic) == {"ok": 3}


@EVERY
def test_the_sniffer_knows_it(name):
    specimen = SPECIMENS[name]

    assert sniff(text(specimen.good(0))) == specimen.format


WRAPPINGS = {
    "gzip": gzip.compress,
    "base64": base64.b64encode,
    "an array": lambda v: b"[" + v + b"]",
    "a Firehose body": lambda v: text(firehose(v)),
    "SNS": lambda v: text(sns(json.loads(v))),
    "spread over lines": lambda v: json.dumps(json.loads(v), indent=2).encode(),
}


@EVERY
@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_framing_changes_nothing(name, wrapping):
    specimen = SPECIMENS[name]
    values = [text(specimen.good(n)) for n in range(3)]

    wrapped = told(specimen, *map(WRAPPINGS[wrapping], values))

    assert wrapped == told(specimen, *values)


@EVERY
@pytest.mark.parametrize("between", [b"\n", b"", b"\n\n"])
def test_many_in_one_record_say_what_they_say_alone(name, between):
    specimen = SPECIMENS[name]
    values = [text(specimen.good(n)) for n in range(5)]

    assert told(specimen, between.join(values)) == told(specimen, *values)


@EVERY
@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32))
def test_duplicates_and_batches_in_any_order_say_the_same(name, seed):
    specimen = SPECIMENS[name]
    rng = random.Random(seed)
    values = [text(specimen.good(n)) for n in range(12)]
    sent = values + rng.choices(values, k=8)
    if specimen.keyed:  # Kafka keeps the order; a connector re-sends a run
        start = rng.randrange(len(values))
        sent = values[: start + 3] + values[max(0, start - 4) :]
    else:
        rng.shuffle(sent)
    stage = Stage()
    while sent:
        size = rng.randint(1, 6)
        stage.add(specimen.topic, *sent[:size])
        sent = sent[size:]

    assert facts(stage.flush()) == told(specimen, *values)


@EVERY
@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_truncated_record_loses_itself_alone(name, data):
    specimen = SPECIMENS[name]
    whole = text(specimen.good(1))
    cut = whole[: data.draw(st.integers(1, len(whole) - 1))]
    stage = Stage().add(specimen.topic, text(specimen.good(0)), cut)

    seen = stage.flush()

    assert facts(seen) == told(specimen, specimen.good(0))
    assert stage.results(specimen.topic) == {"ok": 1, "malformed": 1}
    assert len(seen.letters) == 1


WRONG = [None, "x", "", -1, 0, 1e300, -1e300, 2**70, True, [], {}, [None], {"a": 1}]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of everything inside a document."""
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    found = []
    for key, item in inner:
        found.append((*path, key))
        if isinstance(item, dict | list):
            found.extend(places(item, (*path, key)))
    return found


def changed(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    """The document with one thing replaced, or without it."""
    made = copy.deepcopy(document)
    inner = made
    for key in path[:-1]:
        inner = inner[key]
    if value is Ellipsis:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return made


@EVERY
def test_any_wrong_type_anywhere_is_accounted_for_and_harms_nobody(name):
    specimen = SPECIMENS[name]
    neighbour, document = specimen.good(0), specimen.good(1)
    alone = told(specimen, neighbour)
    for path, wrong in itertools.product(places(document), [*WRONG, ...]):
        stage = Stage()
        stage.add(specimen.topic, neighbour, changed(document, path, wrong))

        seen = stage.flush()

        results = stage.results(specimen.topic)
        assert sum(results.values()) >= 2, (path, wrong)
        cells, deltas = facts(seen)
        assert alone[0].keys() <= cells.keys(), (path, wrong)
        assert all(deltas[key] >= n for key, n in alone[1].items()), (path, wrong)
        if results.get("ok", 0) < 2:
            refused = sum(stage.ingest.refused.values())
            assert bool(refused) == bool(seen.letters), (path, wrong)
        assert all(abs(n) <= 1e18 for cell in cells.values() for n in cell)


@EVERY
@pytest.mark.parametrize(
    "literal", ["NaN", "Infinity", "-Infinity", "1e999", "+1", "01"]
)
def test_numbers_that_json_does_not_know_are_never_counted(name, literal):
    specimen = SPECIMENS[name]
    good = specimen.good(1)
    numbers = [p for p in places(good) if isinstance(at(good, p), int | float)]
    for path in numbers:
        marked = text(changed(good, path, "@@"))
        broken = marked.replace(b'"@@"', literal.encode())
        stage = Stage().add(specimen.topic, specimen.good(0), broken)

        seen = stage.flush()

        ok = stage.results(specimen.topic).get("ok", 0)
        assert ok in (1, 2), (path, literal)
        if ok == 1:
            assert len(seen.letters) == 1, (path, literal)
        cells, _ = facts(seen)
        assert all(abs(n) <= 1e18 for cell in cells.values() for n in cell)


def at(document: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        document = document[key]
    return document


@EVERY
@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_crash_or_harm_their_neighbours(name, value):
    specimen = SPECIMENS[name]
    stage = Stage().add(specimen.topic, specimen.good(0), value, specimen.good(1))

    assert facts(stage.flush()) == told(specimen, specimen.good(0), specimen.good(1))


@EVERY
@settings(max_examples=60, deadline=None)
@given(st.data())
def test_mutated_bytes_crash_nothing(name, data):
    specimen = SPECIMENS[name]
    value = bytearray(text(specimen.good(1)))
    for _ in range(data.draw(st.integers(1, 4))):
        where = data.draw(st.integers(0, len(value) - 1))
        value[where] = data.draw(st.integers(0, 255))
    stage = Stage().add(specimen.topic, bytes(value), specimen.good(0))

    seen = stage.flush()

    assert sum(stage.results(specimen.topic).values()) >= 2
    assert told(specimen, specimen.good(0))[0].keys() <= facts(seen)[0].keys()


@EVERY
@pytest.mark.parametrize("value", [None, b"", b"null", b"\n"])
def test_nothing_is_a_tombstone_of_a_row_and_else_empty(name, value):
    specimen = SPECIMENS[name]
    stage = Stage().add(specimen.topic, value)

    assert stage.flush().letters == []
    result = "tombstone" if name.startswith("debezium") else "empty"
    assert stage.results(specimen.topic) == {result: 1}


@EVERY
def test_a_record_from_our_future_is_refused(name):
    specimen = SPECIMENS[name]
    stage = Stage()
    stage.add(specimen.topic, specimen.good(0), at=NOW, clock_ms=NOW - MINUTE - 1)

    seen = stage.flush()

    assert facts(seen) == ({}, {})
    assert stage.results(specimen.topic) == {"refused": 1}
    assert [letter.reason[:21] for letter in seen.letters] == ["arrival_in_the_future"]


@EVERY
def test_a_record_that_comes_a_week_late_is_late(name):
    specimen = SPECIMENS[name]
    stage = Stage().add(specimen.topic, specimen.good(0), at=NOW + 7 * 86_400_000)

    seen = stage.flush()

    assert {key for key in seen.cells if key[1] != "cdc:alive"} == set()
    assert stage.results(specimen.topic) == {"late": 1}
    assert len(seen.letters) == 1


@EVERY
def test_no_letter_shows_what_nobody_named(name):
    specimen = SPECIMENS[name]
    hidden = {**specimen.good(0), "password": SECRET, "comment": SECRET}
    for broken in (text(hidden)[:-1], text({"comment": SECRET}), text([hidden, 5])):
        stage = Stage().add(specimen.topic, broken)

        letters = stage.flush().letters

        assert letters
        assert SECRET not in repr(letters)
