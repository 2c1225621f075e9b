"""Mutations: from a payload that is right to one that should not be trusted."""

import base64
import gzip
import json
import random
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

MAX_BYTES = 16_384
"""A longer payload is not kept to be mutated again."""


class Payload(NamedTuple):
    """One record: where it is written to, when it arrived, key and value."""

    topic: str
    arrival_ms: int
    key: bytes | None
    value: bytes | None


class Raw(str):
    """Text that is written into JSON as it is: what no value can be."""

    __slots__ = ()


EXTREMES: tuple[Any, ...] = (
    Raw("NaN"),
    Raw("Infinity"),
    Raw("-Infinity"),
    Raw("1e999"),
    Raw("-1e999"),
    Raw("1e308"),
    Raw("-0"),
    Raw("-0.0"),
    Raw("1E2"),
    Raw("01"),
    Raw("0x10"),
    Raw("1_000"),
    Raw("9" * 400),
    Raw("-" + "9" * 30),
    Raw("123456789012345678901234567890.5"),
    0,
    -1,
    -1.0,
    -2,
    1e-320,
    0.1,
    2**31,
    2**53 + 1,
    2**63 - 1,
    2**63,
    -(2**63) - 1,
    2**64,
    1e18,
    1e12 + 1,
    "NaN",
    "nan",
    "Infinity",
    "-1",
    "1e999",
    "1_000",
    " 12 ",
    "\u0661\u0662",
    "0x1p3",
    "",
    "null",
    None,
    True,
    False,
    [],
    {},
    [1],
    {"double": 1},
    "mysql-bin." + "9" * 5_000,
    "3e11fa47-71ca-11e1-9e33-c80aa9429562:" + "9" * 5_000,
    "0-1-" + "9" * 25,
    '["' + "9" * 5_000 + '","-5"]',
    Raw('"\\ud800"'),
    Raw('"\\u0000"'),
    Raw('"\\ud83d\\ude00"'),
)
UNITS = [
    "Seconds",
    "Milliseconds",
    "Microseconds",
    "Nanoseconds",
    "Minutes",
    "Percent",
    "Count",
    "None",
    "Bytes",
    "Bytes/Second",
    "Count/Second",
    "seconds",
    "ms",
    "Parsecs",
    "Kilobytes",
    "Terabits/Second",
]
OPERATIONS = ["c", "u", "d", "r", "t", "m", "x", "C", "", "null", "create"]
SNAPSHOTS = ["true", "false", "last", True, False, 0, 1, "", "null", "incremental"]
TYPES = [0, 1, 2, 3, 4, -1, "gauge", "count", "rate", "set", "GAUGE", None, 2.0]
KINDS = ["absolute", "incremental", "", "Absolute", None]
CHOICES: dict[str, list[Any]] = {
    "unit": UNITS,
    "op": OPERATIONS,
    "__op": OPERATIONS,
    "snapshot": SNAPSHOTS,
    "type": TYPES,
    "kind": KINDS,
}
TIMES = (
    "timestamp",
    "ts_ms",
    "ts_us",
    "__ts_ms",
    "__source_ts_ms",
    "time",
    "updated_at",
)
SHIFTS = (1e-9, 1e-6, 1e-3, 1e3, 1e6, 1e9, -1, 0)


def mutated(payload: Payload, others: list[Payload], chosen: random.Random) -> Payload:
    """The payload, changed once or a few times."""
    value = payload.value
    for _ in range(chosen.choice((1, 1, 1, 2, 3))):
        if value is None or chosen.random() < 0.01:
            value = chosen.choice((None, b"", b"null", b" \n", b"{}", b"[]", b"\0"))
        elif chosen.random() < 0.65:
            value = _structured(value, others, chosen)
        else:
            value = chosen.choice(BYTES)(value, others, chosen)
    if value and chosen.random() < 0.2:
        value = chosen.choice(FRAMES)(value, others, chosen)
        if chosen.random() < 0.4:
            value = chosen.choice(BYTES)(value, others, chosen)
    payload = payload._replace(value=value)
    if chosen.random() < 0.03:
        payload = payload._replace(topic=chosen.choice(others).topic)
    if chosen.random() < 0.02:
        moved = (0, -1, 2**40, payload.arrival_ms + 90_000, 4_102_444_800_000)
        payload = payload._replace(arrival_ms=chosen.choice(moved))
    return payload


# -- structure ------------------------------------------------------------------------


def _structured(value: bytes, others: list[Payload], chosen: random.Random) -> bytes:
    """Change one place of the JSON; where there is no JSON, one byte."""
    lines = value.split(b"\n")
    at = chosen.randrange(len(lines)) if len(lines) > 1 else 0
    whole = len(lines) == 1 or chosen.random() < 0.3
    try:
        tree = json.loads(value if whole else lines[at])
    except (ValueError, RecursionError):
        return flipped(value, others, chosen)
    places: list[tuple[Any, Any]] = []
    _walk(tree, places)
    if not places:
        return flipped(value, others, chosen)
    _change(*chosen.choice(places), places, chosen)
    try:
        text = _text(tree).encode(errors="surrogatepass")
    except (ValueError, RecursionError):
        return flipped(value, others, chosen)
    if whole:
        return text
    return b"\n".join([*lines[:at], text, *lines[at + 1 :]])


def _walk(tree: Any, places: list[tuple[Any, Any]]) -> None:
    """Every (container, key) of a tree, without recursion."""
    waiting = [tree] if isinstance(tree, dict | list) else []
    while waiting and len(places) < 2_000:
        one = waiting.pop()
        keys = one if isinstance(one, dict) else range(len(one))
        for key in keys:
            places.append((one, key))
            if isinstance(one[key], dict | list):
                waiting.append(one[key])


def _change(
    holder: Any, key: Any, places: list[tuple[Any, Any]], chosen: random.Random
) -> None:
    held = holder[key]
    roll = chosen.random()
    if roll < 0.12:
        del holder[key]
    elif roll < 0.2 and isinstance(holder, dict):
        holder[f"\0{key}"] = chosen.choice((held, *EXTREMES))  # the key twice
    elif roll < 0.3:
        other, where = chosen.choice(places)
        holder[key] = other.get(where) if isinstance(other, dict) else None
    elif key in CHOICES and roll < 0.8:
        holder[key] = chosen.choice(CHOICES[key])
    elif key in TIMES and isinstance(held, int | float) and roll < 0.8:
        holder[key] = _shifted(held, chosen)
    elif roll < 0.4:
        holder[key] = _large(held, chosen)
    else:
        holder[key] = chosen.choice(EXTREMES)


def _large(held: Any, chosen: random.Random) -> Any:
    """Deep, long, or many."""
    deep = chosen.choice((5, 300, 2_000))
    size = chosen.choice((300, 5_000, 20_000))
    return chosen.choice(
        (
            Raw("[" * deep + "]" * deep),
            chosen.choice("xé\0,:") * size,
            [held] * chosen.choice((1, 3, 50)),
        )
    )


def _shifted(held: float, chosen: random.Random) -> float:
    if chosen.random() < 0.5 or abs(held) > 10**300:
        return held + chosen.choice((-1, 1)) * chosen.choice(
            (1, 1_000, 61_000, 86_400_000, 10**12)
        )
    found = held * chosen.choice(SHIFTS)
    return int(found) if abs(found) < 1e30 and chosen.random() < 0.7 else found


def _text(tree: Any) -> str:
    """JSON, with raw pieces as they are and keys marked by NUL written once more."""
    if isinstance(tree, Raw):
        return str(tree)
    if isinstance(tree, dict):
        return "{{{}}}".format(
            ",".join(
                f"{json.dumps(key.lstrip(chr(0)))}:{_text(one)}"
                for key, one in tree.items()
            )
        )
    if isinstance(tree, list):
        return "[{}]".format(",".join(map(_text, tree)))
    return json.dumps(tree, ensure_ascii=False)


# -- bytes -----------------------------------------------------------------------------

Change = Callable[[bytes, list[Payload], random.Random], bytes]
TOKENS = (
    b"\xff\xfe",
    b"\xed\xa0\x80",
    b"\xc0\xaf",
    b"\xef\xbb\xbf",
    b"\0",
    b"\x1f\x8b",
    b"NaN",
    b"Infinity",
    b"1e999",
    b'"',
    b"\\",
    b"\\ud800",
    b"\\u0000",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\n",
    b"null",
    b"-",
    b"\x00\x00\x00\x00\x05",
    b"//",
)


def flipped(value: bytes, others: list[Payload], chosen: random.Random) -> bytes:
    """One bit is another."""
    if not value:
        return b"\x80"
    at = chosen.randrange(len(value))
    return value[:at] + bytes([value[at] ^ 1 << chosen.randrange(8)]) + value[at + 1 :]


def _cut(value: bytes, others: list[Payload], chosen: random.Random) -> bytes:
    at = chosen.randrange(len(value) + 1)
    return value[:at] if chosen.random() < 0.8 else value[at:]


def _without(value: bytes, others: list[Payload], chosen: random.Random) -> bytes:
    at, size = chosen.randrange(len(value) + 1), chosen.choice((1, 2, 8, 64))
    return value[:at] + value[at + size :]


def _inserted(value: bytes, others: list[Payload], chosen: random.Random) -> bytes:
    at = chosen.randrange(len(value) + 1)
    return value[:at] + chosen.choice(TOKENS) + value[at:]


def _spliced(value: bytes, others: list[Payload], chosen: random.Random) -> bytes:
    other = chosen.choice(others).value or b""
    return (
        value[: chosen.randrange(len(value) + 1)]
        + other[chosen.randrange(len(other) + 1) :]
    )


def _doubled(value: bytes, others: list[Payload], chosen: random.Random) -> bytes:
    at, size = chosen.randrange(len(value) + 1), chosen.choice((1, 16, 200))
    return value[: at + size] + value[at:]


BYTES: tuple[Change, ...] = (flipped, _cut, _without, _inserted, _spliced, _doubled)


# -- frames ----------------------------------------------------------------------------


def _zipped(value: bytes, others: list[Payload], chosen: random.Random) -> bytes:
    pack = chosen.choice((gzip.compress, zlib.compress))
    other = chosen.choice(others).value or b""
    return chosen.choice((pack(value), pack(value) + pack(other), pack(pack(value))))


def _bomb(value: bytes, others: list[Payload], chosen: random.Random) -> bytes:
    """Small outside, large inside; the largest are rare, for they take a second."""
    roll = chosen.random()
    size = 70 << 20 if roll < 0.0005 else 1 << 20 if roll < 0.004 else 1 << 13
    filling = chosen.choice((b" ", b"[", b"\0", b"\n", b"{}\n", b'{"a":'))
    return gzip.compress(value + filling * (size // len(filling)), 1)


def _coded(value: bytes, others: list[Payload], chosen: random.Random) -> bytes:
    packed = base64.b64encode(chosen.choice((value, gzip.compress(value, 1))))
    return chosen.choice((packed, b'"' + packed + b'"', packed[:-3], packed + b"="))


def _firehose(value: bytes, others: list[Payload], chosen: random.Random) -> bytes:
    data = [
        base64.b64encode(one).decode()
        for one in (value, chosen.choice(others).value or b"")
    ]
    if chosen.random() < 0.3:
        data[0] = data[0][:-1] + chosen.choice("=~ \n")
    body = {"requestId": "r", "timestamp": 1, "records": [{"data": d} for d in data]}
    return json.dumps(body).encode()


def _sns(value: bytes, others: list[Payload], chosen: random.Random) -> bytes:
    text = value.decode(errors="replace")
    kind = chosen.choice(("Notification", "Notification", "SubscriptionConfirmation"))
    return json.dumps({"Type": kind, "Message": text}).encode()


def _lambda(value: bytes, others: list[Payload], chosen: random.Random) -> bytes:
    data = base64.b64encode(value).decode()
    return json.dumps(
        chosen.choice(
            (
                {"awslogs": {"data": data}},
                {"records": {"t-0": [{"value": data}]}},
                {"Records": [{"kinesis": {"data": data}}]},
                {"Records": [{"body": value.decode(errors="replace")}]},
                {"Records": [{"Sns": {"Message": value.decode(errors="replace")}}]},
            )
        )
    ).encode()


def _lines(value: bytes, others: list[Payload], chosen: random.Random) -> bytes:
    parts = [value, chosen.choice(others).value or b"", value[: len(value) // 2]]
    chosen.shuffle(parts)
    return chosen.choice((b"\n", b"", b"\r\n", b" , ", b"\n\n")).join(parts)


def _array(value: bytes, others: list[Payload], chosen: random.Random) -> bytes:
    other = chosen.choice(others).value or b"null"
    return b"[" + value + b"," + other + chosen.choice((b"]", b",]", b"", b"]]"))


FRAMES: tuple[Change, ...] = (
    _zipped,
    _bomb,
    _coded,
    _firehose,
    _sns,
    _lambda,
    _lines,
    _lines,
    _array,
)
