"""Who is known by its head is read as if all of it were read."""

import json
from collections import Counter
from unittest.mock import patch

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from slo.model import MINUTE
from streams.fold import FORGET_MS, MAX_TAG_SETS
from streams.sources import cloudwatch, heads
from streams.sources.heads import KEY_BYTES, MAX_IDENTITY, SLOT_BYTES, Heads
from tests.streams.stage import NOW, Stage, datum, text

ABOUT = [
    '"namespace":"AWS/RDS"',
    '"namespace":"AWS/DMS"',
    '"metric_name":"AuroraReplicaLag"',
    '"metric_name" : "CPUUtilization"',
    '"metric_name":"ConnectionAttempts"',
    '"dimensions":{"DBInstanceIdentifier":"orders-a"}',
    '"dimensions":{"DBInstanceIdentifier":"orders-b"}',
    '"dimensions":{"DBInstanceIdentifier":"a}b"}',
    '"dimensions":{}',
    '"dimensions":{"timestamp":"1"}',
    '"account_id":"210987654321"',
    '"region":"eu\\"west}"',
    '"another":{"with":["members",{}]}',
    '"another":"of text"',
    '"namespace":null',
    '"account_id":null',
    '"\\u0072egion":"us-east-1"',
    '"\\u006detric_name":"ConnectionAttempts"',
    '"":"}"',
    '"another":"\u00e9"',
]
SAID = [
    f'"timestamp":{NOW - MINUTE}',
    f'"timestamp":{NOW - 2 * MINUTE}',
    '"timestamp":"soon"',
    '"value":{"max":3.0,"min":1.0,"sum":4.0,"count":2.0}',
    '"value":{"max":3.0,"min":1.0,"sum":4.0,"count":2.0,"p99":{"of":"this"}}',
    '"value":{"max":3.0,"min":1.0,"sum":4.0}',
    '"unit":"Seconds"',
    '"unit":"Milliseconds"',
    '"unit":"Count"',
    '"unit":null',
    '"\\u0074imestamp":1',
    '"another":01',
    '"another":"\\q"',
]
PLAIN = [ABOUT[0], ABOUT[2], ABOUT[5], SAID[0], SAID[3], SAID[6]]
ENDS = ["", "\n", " {}", "}", ",", '{"namespace":1}']


@st.composite
def documents(draw: st.DrawFn) -> bytes:
    """Data as they should be, but for a few members, their order, or their end."""
    members = list(PLAIN)
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(members)))
        members.insert(at, draw(st.sampled_from(ABOUT + SAID)))
    if draw(st.booleans()):
        members.pop(draw(st.integers(0, len(members) - 1)))
    whole = "{" + ", ".join(members) + "}" + draw(st.sampled_from(ENDS))
    return whole.encode()[: draw(st.sampled_from([None, None, None, -1, -9, 90]))]


def told(stage: Stage, document: bytes) -> tuple[object, ...]:
    """What a stage makes of a document."""
    before = Counter(stage.results("cloudwatch"))
    handed = stage.add("cloudwatch", document).flush()
    reasons = [letter.reason for letter in handed.letters]
    tags = {route.tags for _, batch in handed.batches for route in batch.routes}
    return Counter(stage.results("cloudwatch")) - before, handed.cells, reasons, tags


def told_whole(document: bytes) -> tuple[object, ...]:
    """The same, where nothing is read but whole documents."""
    with patch.object(cloudwatch, "behind", side_effect=ValueError):
        return told(Stage(), document)


KNOWN_BY_ITS_HEAD = (
    b'{"namespace":"AWS/RDS","metric_name":"AuroraReplicaLag",'
    b'"dimensions":{"DBInstanceIdentifier":"orders-a"}'
)
PLAINLY = KNOWN_BY_ITS_HEAD + (
    b',"timestamp":%d,"value":{"max":3.0,"min":1.0,"sum":4.0,"count":2.0}'
    b',"unit":"Seconds"}' % (NOW - MINUTE)
)
UNDER_ANOTHER_NAME = PLAINLY[:-1] + b',"metric_name":"ConnectionAttempts"}'
OF_ANOTHER_ACCOUNT = PLAINLY[:-1] + b',"account_id":"111111111111"}'
OF_ANOTHER_REGION = PLAINLY[:-1] + b',"region":"us-east-1"}'
IN_ANOTHER_UNIT = PLAINLY.replace(b'"Seconds"', b'"Milliseconds"')
BEHIND_NOTHING = KNOWN_BY_ITS_HEAD + PLAINLY[len(KNOWN_BY_ITS_HEAD) + 1 :]
TWICE = PLAINLY + PLAINLY


@given(st.lists(documents(), min_size=1, max_size=6))
@example([PLAINLY, UNDER_ANOTHER_NAME, OF_ANOTHER_ACCOUNT, OF_ANOTHER_REGION, PLAINLY])
@example([PLAINLY, IN_ANOTHER_UNIT, BEHIND_NOTHING, TWICE])
def test_it_comes_to_the_same_whoever_was_met_before(several):
    met = Stage()
    for one in several:
        told(met, one)

    assert [told(met, one) for one in several] == list(map(told_whole, several))


def test_a_head_is_read_once_however_often_its_data_come():
    stage = Stage().add("cloudwatch", datum())
    known = stage.ingest._sources["cloudwatch"]._heads.lines

    stage.add("cloudwatch", *(datum(value=value, at=NOW) for value in (1.0, 2.0)))

    assert [*known] == [text(datum()).partition(b"}")[0]]
    assert stage.results("cloudwatch") == {"ok": 3}


NAMESPACE, METRIC, DIMENSIONS, TIME, VALUE, UNIT = PLAIN
NO_HEADS = {
    "its metric stands behind": [NAMESPACE, DIMENSIONS, METRIC, TIME, VALUE, UNIT],
    "its time stands before": [TIME, NAMESPACE, METRIC, DIMENSIONS, VALUE, UNIT],
    "its unit stands before": [UNIT, NAMESPACE, METRIC, DIMENSIONS, VALUE, TIME],
    "its value closes first": [VALUE, NAMESPACE, METRIC, DIMENSIONS, TIME, UNIT],
    "a stranger closes first": ['"of":{}', NAMESPACE, METRIC, DIMENSIONS, *PLAIN[3:]],
    "a brace stands in a text": ['"of":"}"', NAMESPACE, METRIC, DIMENSIONS, *PLAIN[3:]],
}


@pytest.mark.parametrize("said", NO_HEADS)
def test_what_does_not_say_whom_it_is_about_before_its_first_brace_is_no_head(said):
    document = "{" + ",".join(NO_HEADS[said]) + "}"
    stage = Stage().add("cloudwatch", document.encode(), document.encode())

    assert stage.ingest._sources["cloudwatch"]._heads.lines == {}
    assert stage.results("cloudwatch") == {"ok": 2}


SORTED = [
    json.dumps(datum(who=who), sort_keys=True).encode()
    for who in ("orders-a", "orders-b")
]


def test_data_without_heads_are_read_whole_and_whom_nobody_asks_for_is_not_kept():
    stage = Stage()
    nobodys = datum("CPUUtilization"), datum(dimensions={"DatabaseClass": "large"})
    several = [json.dumps(one, sort_keys=True).encode() for one in nobodys]

    with patch.object(cloudwatch, "behind", side_effect=AssertionError):
        stage.add("cloudwatch", *SORTED, *several, *SORTED)

    source = stage.ingest._sources["cloudwatch"]
    assert (len(source._known), source._heads.lines) == (2, {})
    assert stage.results("cloudwatch") == {"ok": 4, "irrelevant": 2}


def test_a_broken_datum_among_others_breaks_none_of_them():
    stage = Stage()
    stage.add("cloudwatch", datum(), b'{"cut', SORTED[1], datum(at=NOW))

    assert stage.results("cloudwatch") == {"ok": 3, "malformed": 1}


def test_a_head_goes_on_in_the_unit_that_it_came_to():
    stage = Stage().add("cloudwatch", datum(unit="Seconds", value=0.02))
    stage.add("cloudwatch", datum(at=NOW))

    with patch.object(cloudwatch, "whole", side_effect=AssertionError):
        stage.add("cloudwatch", datum(at=NOW + MINUTE), at=NOW + MINUTE)

    cells = stage.flush().of("instance:orders-a", "cloudwatch:AuroraReplicaLag")
    assert [cell[4] for cell in cells] == [0.02] * 3


def test_who_was_refused_is_heard_once_silent_ones_are_forgotten():
    def of_account(number: int, at: int) -> dict[str, object]:
        return datum(account_id=str(number), at=at - MINUTE)

    stage = Stage()
    stage.add("cloudwatch", *(of_account(n, NOW) for n in range(MAX_TAG_SETS + 1)))
    assert stage.results("cloudwatch") == {"ok": MAX_TAG_SETS, "refused": 1}

    later = NOW + 2 * FORGET_MS
    for clock_ms in (NOW, NOW + FORGET_MS, later):
        stage.ingest.flush([], {}, clock_ms)
    stage.add("cloudwatch", of_account(MAX_TAG_SETS, later), at=later)

    assert stage.results("cloudwatch") == {"ok": MAX_TAG_SETS + 1, "refused": 1}


def test_what_nobody_asks_for_takes_half_of_the_room_and_pushes_nobody_out(monkeypatch):
    monkeypatch.setattr(heads, "MAX_BYTES", 10 * (KEY_BYTES + 2))
    known: Heads[str] = Heads()
    for number in range(20):
        known.keep(
            b"%02d" % number, "wanted" if number < 2 else "", asked_for=number < 2
        )

    assert [*known.lines] == [b"%02d" % number for number in range(5)]


def test_heads_that_share_a_line_take_less(monkeypatch):
    monkeypatch.setattr(heads, "MAX_BYTES", 2 * 5 * (SLOT_BYTES + 2))
    known: Heads[str] = Heads()
    for number in range(20):
        known.keep(b"%02d" % number, "", asked_for=False, shared=True)

    assert len(known.lines) == 5


def test_beyond_the_room_it_begins_anew(monkeypatch):
    monkeypatch.setattr(heads, "MAX_BYTES", 10 * (KEY_BYTES + 2))
    known: Heads[str] = Heads()
    for number in range(25):
        known.keep(b"%02d" % number, "wanted", asked_for=True)

    assert [*known.lines] == [b"20", b"21", b"22", b"23", b"24"]


def test_a_giant_is_not_kept():
    known: Heads[str] = Heads()
    known.keep(b"x" * (MAX_IDENTITY + 1), "wanted", asked_for=True)

    assert known.lines == {}
