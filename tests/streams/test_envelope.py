"""Framing: whatever is around them, documents come out one by one."""

import base64
import gzip
import json
import time
import zlib
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.documents import NOT_FINITE_STAND_IN
from streams.envelope import (
    MAX_DOCUMENTS,
    MAX_OUTPUT_BYTES,
    MAX_VALUES,
    TooMuchError,
    Unwrapper,
)
from tests.streams.stage import Stage, datum, firehose, lines, sns, text, zipped

A, B, C = {"a": 1}, {"b": "ü}{"}, {"c": [1, {"d": None}]}
b64 = base64.b64encode

FRAMINGS = {
    "one document": text(A),
    "with a byte order mark": b"\xef\xbb\xbf" + text(A),
    "pretty-printed": json.dumps(C, indent=2).encode(),
    "lines": lines(A, B, C),
    "lines with blanks between and after": b"\n" + lines(A, b"", B) + b"\r\n\n",
    "concatenated": text(A) + text(B) + text(C),
    "concatenated, pretty-printed": json.dumps(A, indent=1).encode() * 2,
    "an array": text([A, B, C]),
    "an array over many lines": json.dumps([A, C], indent=2).encode(),
    "lines of arrays": lines([A, B], [C]),
    "gzip": zipped(text(A)),
    "gzip in several members": zipped(lines(A, B), b"\n" + text(C)),
    "gzip, padded with zeros": zipped(text(A)) + b"\0" * 16,
    "zlib": zlib.compress(lines(A, B)),
    "base64": b64(text(A)),
    "base64 over many lines": base64.encodebytes(lines(A, B, C) * 5),
    "base64 of gzip": b64(zipped(lines(A, B))),
    "a string that holds JSON": text(json.dumps(A)),
    "a Firehose body": text(firehose(text(A), lines(B, C))),
    "a Firehose body with gzip": text(firehose(zipped(text(A)))),
    "a Firehose body, zipped": zipped(text(firehose(text(A)))),
    "a transformation event": text(
        {
            "invocationId": "i",
            "records": [{"recordId": "1", "data": b64(text(A)).decode()}],
        }
    ),
    "a Kinesis event": text(
        {
            "Records": [
                {"kinesis": {"data": b64(text(A)).decode()}},
                {"kinesis": {"data": b64(text(B)).decode()}},
            ]
        }
    ),
    "an MSK event": text(
        {
            "eventSource": "aws:kafka",
            "records": {"t-0": [{"value": b64(text(A)).decode()}]},
        }
    ),
    "CloudWatch Logs data": text({"awslogs": {"data": b64(zipped(text(A))).decode()}}),
    "an SNS envelope": text(sns(A)),
    "an SNS event": text({"Records": [{"Sns": {"Message": json.dumps(A)}}]}),
    "an SQS event around SNS": text({"Records": [{"body": json.dumps(sns(A))}]}),
}
HELD = {
    "pretty-printed": [C],
    "lines": [A, B, C],
    "lines with blanks between and after": [A, B],
    "concatenated": [A, B, C],
    "concatenated, pretty-printed": [A, A],
    "an array": [A, B, C],
    "an array over many lines": [A, C],
    "lines of arrays": [A, B, C],
    "gzip in several members": [A, B, C],
    "zlib": [A, B],
    "base64 over many lines": [A, B, {"c": [1, {"d": None}], "_": 0}],
    "base64 of gzip": [A, B],
    "a Firehose body": [A, B, C],
    "a Kinesis event": [A, B],
}


def opened(value: bytes) -> tuple[list, list[str]]:
    """The documents, decoded, and the faults."""
    found = list(Unwrapper().unwrap(value))
    good = [json.loads(one.data) for one in found if not one.fault]
    return good, [one.fault for one in found if one.fault]


@pytest.mark.parametrize("name", FRAMINGS)
def test_a_framing_is_taken_off(name):
    if name == "base64 over many lines":
        value, held = base64.encodebytes(lines(A, B, *[C] * 20)), [A, B, *[C] * 20]
    else:
        value, held = FRAMINGS[name], HELD.get(name, [A])

    assert opened(value) == (held, [])


DAMAGED = {
    "a truncated line": (lines(A, b'{"a":', B), [A, B], 1),
    "a line cut inside a string": (lines(b'{"a":"x', B), [B], 1),
    "a line that is no JSON": (lines(A, b"GET / HTTP/1.1", B), [A, B], 1),
    "a truncated array": (text([A, B])[:-3], [A], 1),
    "what is glued to an element makes it a broken one": (
        b'[Infinity{"a":1},{"c":2}]',
        [{"c": 2}],
        1,
    ),
    "what stands beside an element makes it a broken one, too": (
        b'[{"a":1}$ {"b":1},{"c":2}]',
        [A, {"c": 2}],
        1,
    ),
    "whatever blanks are between": (
        b'[{"a":1};\x0b{"b":1},{"c":2}]',
        [A, {"c": 2}],
        1,
    ),
    "a broken element of an array": (b'[{"a":1},{"b":},{"c":2}]', [A, {"c": 2}], 1),
    "two damaged lines that would balance": (
        lines(b'{"a":{', A, B, b'"c":1}}'),
        [A, B],
        2,
    ),
    "a document, then rubbish": (text(A) + b" rubbish", [A], 1),
    "the last of concatenated cut off": (text(A) + text(B) + b'{"c"', [A, B], 1),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damage_loses_only_itself(name):
    value, held, faults = DAMAGED[name]

    good, bad = opened(value)

    assert (good, len(bad)) == (held, faults)


def test_nan_and_infinity_stand_in_as_a_value_beyond_every_bound():
    value = b'[{"v":NaN,"s":"NaN, he said"},{"v":[-Infinity, Infinity ]},{"v":1}]'

    good, faults = opened(value)

    beyond = float(NOT_FINITE_STAND_IN)
    assert faults == []
    assert good == [
        {"v": beyond, "s": "NaN, he said"},
        {"v": [-beyond, beyond]},
        {"v": 1},
    ]


@pytest.mark.parametrize("word", [b"-NaN", b"+Infinity", b"nan", b"Inf", b"--Infinity"])
def test_what_no_encoder_writes_is_no_number(word):
    good, faults = opened(b'{"v":%s}' % word)
    assert (good, len(faults)) == ([], 1)


def test_whole_gzip_members_are_read_and_the_damaged_one_is_not():
    damaged = bytearray(gzip.compress(text(B)))
    damaged[-6] ^= 0xFF  # its checksum

    assert opened(zipped(text(A)) + bytes(damaged))[0] == [A]
    assert len(opened(zipped(text(A)) + bytes(damaged))[1]) == 1
    assert opened(zipped(text(A)) + gzip.compress(text(B))[:-4])[0] == [A]
    assert opened(zipped(text(A)) + b"trailing")[1] != []


@pytest.mark.parametrize("wrap", [gzip.compress, zlib.compress])
def test_a_bomb_is_refused_before_it_unfolds(wrap):
    bomb = wrap(b"\n" * (MAX_OUTPUT_BYTES + 1))

    with pytest.raises(TooMuchError, match="64 MiB"):
        list(Unwrapper().unwrap(bomb))


def test_bombs_in_one_record_add_up():
    part = gzip.compress(b"\n" * (MAX_OUTPUT_BYTES // 3))

    with pytest.raises(TooMuchError):
        list(Unwrapper().unwrap(part * 4))
    with pytest.raises(TooMuchError):
        list(Unwrapper().unwrap(text(firehose(*[part] * 4))))


def test_more_documents_than_anybody_sends_are_refused():
    with pytest.raises(TooMuchError, match="documents"):
        list(Unwrapper().unwrap(zipped(b"{}\n" * (MAX_DOCUMENTS + 1))))


def test_a_record_wrapped_too_often_is_refused():
    value = text(A)
    for _ in range(8):
        value = b64(gzip.compress(value))

    with pytest.raises(TooMuchError, match="wrapped more than 6 times"):
        list(Unwrapper().unwrap(value))


HOSTILE = {
    "nesting without end": b"[" * 300_000,
    "nesting without end, by lines": b"[\n" * 100_000,
    "objects without end": b'{"a":\n' * 50_000,
    "quotes without end": b'{"\\"' + b'\\"' * 200_000,
    "quotes by lines": b'"\n' * 100_000,
    "commas": b"[" + b"," * 300_000,
    "many empty gzip members": gzip.compress(b"") * 20_000,
    "brackets that close": b"]" * 100_000 + b"}" * 100_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_bytes_cost_no_more_than_a_few_readings(name):
    found = list(Unwrapper().unwrap(HOSTILE[name]))

    assert all(one.fault for one in found)


@pytest.mark.parametrize("each", [b"[],", b"{} ", b"[x]", b'{"a":1}'])
def test_many_documents_on_one_line_cost_each_the_same(each):
    few, many = (
        min(seconds(each * 60_000 + b"{") for _ in range(2)),
        seconds(each * 480_000 + b"{"),
    )

    assert many < 24 * max(few, 0.05)


def seconds(value: bytes) -> float:
    """CPU time of all documents in it."""
    begun = time.process_time()
    for _ in Unwrapper().unwrap(value):
        pass
    return time.process_time() - begun


@pytest.mark.parametrize("each", [b"1,", b"[] ", b"{}\n"])
def test_more_values_than_anybody_sends_are_refused(each):
    with pytest.raises(TooMuchError, match="values"):
        list(Unwrapper().unwrap(zipped(b"[" + each * (MAX_VALUES + 1))))


def test_documents_that_come_one_by_one_may_hold_more_values_together():
    datum = b'{"a":%s}\n' % b",".join([b"1"] + [b'"b":2'] * 19)
    count = MAX_VALUES // 19 + 1

    found = list(Unwrapper().unwrap(zipped(datum * count)))

    assert len(found) == count
    assert not any(one.fault for one in found)
    many = b"{%s}" % b",".join([b'"b":2'] * (MAX_VALUES + 2))
    with pytest.raises(TooMuchError, match="values"):
        list(Unwrapper().unwrap(zipped(datum + many)))


@pytest.mark.parametrize("value", [b"", b"  \n", b"null", b" null \n", b"[]", b"[ ]"])
def test_nothing_is_no_fault(value):
    assert [one for one in Unwrapper().unwrap(value) if one.fault] == []


FOREIGN = {
    "zstd": (b"\x28\xb5\x2f\xfd....", "zstd"),
    "Avro of a registry": (
        b"\x00\x00\x00\x00\x07abc",
        "is no JSON; Avro and Protobuf are not read",
    ),
    "JSON that is balanced and 5,000 deep": (
        b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
        "is nested too deeply",
    ),
    "as much over many lines": (
        b'{\n"a":' * 5_000 + b"1" + b"\n}" * 5_000,
        "is nested too deeply",
    ),
    "arrays that are balanced and 5,000 deep": (
        b"[" * 5_000 + b"]" * 5_000,
        "is nested too deeply",
    ),
    "protobuf": (b"\x0a\x10\xfe\xff", "neither JSON nor base64"),
    "a log line": (b"2026-11-24 ERROR 1213 deadlock", "neither JSON nor base64"),
    "base64 of something else": (b64(b"hello world, hi"), "neither JSON nor base64"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_foreign_bytes_are_one_fault_that_says_what_they_are(name):
    value, word = FOREIGN[name]

    (one,) = Unwrapper().unwrap(value)

    assert word in one.fault


values = st.none() | st.integers() | st.text(max_size=6) | st.lists(st.floats(0, 9))
documents = st.lists(
    st.dictionaries(st.sampled_from("abc[]{}"), values, min_size=1, max_size=3),
    min_size=1,
    max_size=5,
)


@given(
    documents, st.sampled_from(["\n", "", "\n\n", " "]), st.booleans(), st.booleans()
)
def test_documents_come_out_as_they_went_in(several, between, zip_it, indent):
    style = {"indent": 2} if indent else {}
    value = between.join(json.dumps(one, **style) for one in several).encode()

    assert opened(gzip.compress(value) if zip_it else value) == (several, [])


@given(documents, st.data())
def test_a_cut_loses_at_most_the_lines_that_it_touches(several, data):
    whole = [text(one) for one in several]
    broken = data.draw(st.integers(0, len(whole) - 1))
    cut = data.draw(st.integers(1, len(whole[broken]) - 1))
    value = lines(*whole[:broken], whole[broken][:cut], *whole[broken + 1 :])

    good, faults = opened(value)

    assert good == several[:broken] + several[broken + 1 :]
    assert len(faults) == 1


@given(st.binary(max_size=300))
def test_no_bytes_raise_anything_but_too_much(value):
    with suppress(TooMuchError):
        list(Unwrapper().unwrap(value))


@pytest.mark.parametrize("broken", [b"\xff", b"\xed\xa0\x80", b"\xc0\xaf", b"\xc3"])
def test_what_is_no_utf8_is_no_json_even_in_a_field_that_nobody_reads(broken):
    bad = text(datum()).replace(b'"stream"', b'"' + broken + b'"')
    for value in (bad, lines(bad, datum()), b"[" + bad + b"," + text(datum()) + b"]"):
        stage = Stage().add("cloudwatch", value)
        neighbours = 0 if value == bad else 1

        assert stage.results("cloudwatch") == {"malformed": 1} | (
            {"ok": 1} if neighbours else {}
        )
        assert len(stage.flush().letters) == 1


def test_the_value_of_a_damaged_key_is_no_element_of_an_array():
    found = list(Unwrapper().unwrap(b'[{"a" 1}:' + text(A) + b"]"))

    assert all(document.fault for document in found)
