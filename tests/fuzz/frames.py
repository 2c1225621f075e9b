"""Changes of bytes, and what may be written around a payload."""

import base64
import gzip
import json
import random
import zlib
from collections.abc import Callable
from typing import Any

from tests.fuzz.payload import Payload

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


def timeless(value: bytes, level: int = 9) -> bytes:
    """gzip that does not hold the moment: a seed gives the same payloads at any time."""
    return gzip.compress(value, level, mtime=0)


def _zipped(value: bytes, others: list[Payload], chosen: random.Random) -> bytes:
    pack = chosen.choice((timeless, zlib.compress, _named, _raw))
    other = chosen.choice(others).value or b""
    return chosen.choice(
        (
            pack(value),
            pack(value) + pack(other),
            pack(value) + other,
            pack(value) + b"\0" * 9,
            pack(pack(value)),
            pack(b"") + pack(value),
            pack(value)[:-8] + pack(other)[-8:],  # another's checksum and size
        )
    )


def _named(value: bytes) -> bytes:
    """gzip with a file's name in its header."""
    plain = timeless(value)
    return plain[:3] + b"\x08" + plain[4:10] + b"name\0" + plain[10:]


def _raw(value: bytes) -> bytes:
    """deflate without any header."""
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(value) + packer.flush()


def _bomb(value: bytes, others: list[Payload], chosen: random.Random) -> bytes:
    """Small outside, larger inside."""
    return _blown(value, 1 << 13, chosen)


def heavy(value: bytes, chosen: random.Random) -> bytes:
    """A bomb: a megabyte inside, or more than may be."""
    return _blown(value, chosen.choice((*[1 << 20] * 3, 8 << 20, 70 << 20)), chosen)


FILLINGS = (
    b"[] ",
    b"1,",
    b"[x]",
    b'"a" ',
    b"null\n",
    b"]",
    b'{"a":"',
    b"\xf0\x9f\x98\x80",
)


def _blown(value: bytes, size: int, chosen: random.Random) -> bytes:
    filling = chosen.choice(
        (b" ", b"[", b"\0", b"\n", b"{}\n", b'{"a":', b"[],", b'"', b"{", *FILLINGS)
    )
    return timeless(value + filling * (size // len(filling)), 1)


def _coded(value: bytes, others: list[Payload], chosen: random.Random) -> bytes:
    inner = chosen.choice((value, timeless(value, 1)))
    packed = chosen.choice(ENCODINGS)(inner)
    return chosen.choice((packed, b'"' + packed + b'"', packed[:-3], packed + b"="))


ENCODINGS: tuple[Callable[[bytes], bytes], ...] = (
    base64.b64encode,
    base64.b64encode,
    base64.urlsafe_b64encode,
    base64.encodebytes,
    lambda value: value.hex().encode(),
)


def _text_of_text(value: bytes, others: list[Payload], chosen: random.Random) -> bytes:
    """JSON text in a JSON string, once or twice."""
    text = value.decode(errors="replace")
    for _ in range(chosen.choice((1, 1, 2, 8))):
        text = json.dumps(text, ensure_ascii=chosen.random() < 0.5)
        if len(text) > 100_000:
            break
    return text.encode(errors="surrogatepass")


def _recoded(value: bytes, others: list[Payload], chosen: random.Random) -> bytes:
    """In another encoding than UTF-8, or marked as UTF-8 once too often."""
    text = value.decode(errors="replace")
    encoding = chosen.choice(
        ("utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-7", "latin-1")
    )
    found = text.encode(encoding, errors="replace")
    return chosen.choice((found, b"\xef\xbb\xbf" + found, found + b"\xef\xbb\xbf"))


def _firehose(value: bytes, others: list[Payload], chosen: random.Random) -> bytes:
    data = [
        base64.b64encode(one).decode()
        for one in (value, chosen.choice(others).value or b"")
    ]
    if chosen.random() < 0.3:
        data[0] = data[0][:-1] + chosen.choice("=~ \n")
    records: list[Any] = [{"data": one} for one in data]
    if chosen.random() < 0.2:
        records.append(chosen.choice((None, {}, [], 1, "x", {"data": None})))
    body = {"requestId": "r", "timestamp": 1, "records": records}
    text = json.dumps(body, indent=chosen.choice((None, 2)))
    return (text * chosen.choice((1, 1, 2))).encode()


def _sns(value: bytes, others: list[Payload], chosen: random.Random) -> bytes:
    text = value.decode(errors="replace")
    kind = chosen.choice(("Notification", "Notification", "SubscriptionConfirmation"))
    message = json.dumps({"Type": kind, "Message": text})
    if chosen.random() < 0.3:  # through a queue
        message = json.dumps({"Records": [{"body": message}]})
    return message.encode()


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


BETWEEN = (
    b"\n",
    b"\n",
    b"",
    b"\r\n",
    b"\r",
    b" , ",
    b"\n\n",
    b"\xe2\x80\xa8",  # what Unicode calls a line's end, JSON does not
    b"\n\xef\xbb\xbf",
    b"\x1e",
    b";\n",
    b"\0",
    b" $ ",
)
"""What stands between documents, or may be taken for it."""


def _lines(value: bytes, others: list[Payload], chosen: random.Random) -> bytes:
    parts = [value, chosen.choice(others).value or b"", value[: len(value) // 2]]
    chosen.shuffle(parts)
    return chosen.choice(BETWEEN).join(parts)


def _array(value: bytes, others: list[Payload], chosen: random.Random) -> bytes:
    other = chosen.choice(others).value or b"null"
    between = chosen.choice((b",", b",", b"$", b"$ ", b";\n", b"x ,", b' "x" ', b":"))
    return b"[" + value + between + other + chosen.choice((b"]", b",]", b"", b"]]"))


def _framed(value: bytes, others: list[Payload], chosen: random.Random) -> bytes:
    """As formats begin that are not read, or as text never does."""
    head = (b"\0\0\0\0\x07", b"\x28\xb5\x2f\xfd", b"PAR1", b"Obj\x01", b"\x1e", b"//\n")
    tail = (b"", b"", b"\0", b"\n#", b"\x1a", b";")
    return chosen.choice(head) + value + chosen.choice(tail)


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
    _array,
    _text_of_text,
    _recoded,
    _framed,
)
