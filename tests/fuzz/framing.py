"""The independent check, part one: which JSON values may be read out of some bytes.

Written from the description of the wire formats and the standard library alone, not
from `streams`: where the two disagree, one of them is wrong. It errs on the side of
finding a value: whatever it does not find, nobody may count.
"""

import base64
import binascii
import json
import re
import zlib
from collections.abc import Iterable, Iterator
from typing import Any

MAX_DEPTH = 6
PACKED = (b"\x1f\x8b", b"x\x01", b"x\x9c", b"x\xda")
MAX_BYTES = 64 * 1024 * 1024
MAX_STARTS = 400
"""Places in damaged text where nothing begins; beyond that nothing is claimed."""

TOO_DEEP = 500
"""Brackets at the start of what nests too deep to be read: none begins a document."""


class UncheckedError(Exception):
    """Too damaged to be checked in reasonable time."""


class NotANumber:
    """NaN or Infinity: no value, but the document around it can be read."""


NOT_A_NUMBER = NotANumber()

_decoder = json.JSONDecoder(parse_constant=lambda _: NOT_A_NUMBER)
_start = re.compile(r"(?:^|[\n,\[\]}])[\s,]*+")
_base64 = re.compile(rb"[A-Za-z0-9+/\s]+(?:=\s*){0,2}")


def values(payload: bytes, depth: int = 0) -> Iterator[Any]:
    """Every JSON value that somebody may rightly see in a payload."""
    if depth > MAX_DEPTH:
        return
    if payload[:2] in PACKED:
        yield from _inside([b"".join(members(payload))], depth)
        return
    bare = payload.removeprefix(b"\xef\xbb\xbf").strip()
    yield from _inside([unpacked(bare)], depth)
    for value in _texts(bare):
        yield value
        if isinstance(value, str):
            yield from _in_text(value, depth)
        elif isinstance(value, dict):
            yield from _inside(letters(value), depth)


def _inside(several: Iterable[bytes | None], depth: int) -> Iterator[Any]:
    for one in several:
        if one:
            yield from values(one, depth + 1)


def _in_text(value: str, depth: int) -> Iterator[Any]:
    inner = value.encode(errors="replace")
    plain = inner.lstrip()[:1] in (b"{", b"[")
    yield from _inside([inner if plain else unpacked(inner)], depth)


def members(payload: bytes) -> Iterator[bytes]:
    """The gzip or zlib members that are whole, up to the first that is not."""
    room = MAX_BYTES
    while payload:
        inflater = zlib.decompressobj(zlib.MAX_WBITS | 32)
        try:
            found = inflater.decompress(payload, room + 1)
        except zlib.error:
            return
        room -= len(found)
        if room < 0 or not inflater.eof:
            return
        yield found
        payload = inflater.unused_data


def unpacked(bare: bytes) -> bytes | None:
    """What base64 text stands for, where that can be JSON or gzip of it."""
    if not _base64.fullmatch(bare):
        return None
    try:
        return base64.b64decode(bare)
    except (binascii.Error, ValueError):
        return None


def letters(envelope: dict[str, Any]) -> Iterator[bytes]:
    """What Firehose bodies, Lambda events and SNS notifications carry."""
    if isinstance(envelope.get("Message"), str):
        yield _encoded(envelope["Message"])
    yield from _data(envelope.get("awslogs"), "data")
    records = envelope.get("records")
    if isinstance(records, dict):
        several = [one for many in records.values() for one in _list(many)]
        for one in several:
            yield from _data(one, "value")
    for one in _list(records):
        yield from _data(one, "data")
    for one in _list(envelope.get("Records")):
        if isinstance(one, dict):
            yield from _data(one.get("kinesis"), "data")
            for inner in (one.get("Sns"), one):
                yield from _message(inner)


def _message(inner: Any) -> Iterator[bytes]:
    for key in ("Message", "body"):
        if isinstance(inner, dict) and isinstance(inner.get(key), str):
            yield _encoded(inner[key])


def _encoded(text: str) -> bytes:
    return text.encode(errors="replace")


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _data(holder: Any, key: str) -> Iterator[bytes]:
    text = holder.get(key) if isinstance(holder, dict) else None
    if isinstance(text, str):
        try:
            yield base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            return


# -- text ----------------------------------------------------------------------------


def _texts(bare: bytes) -> Iterator[Any]:
    """The values of one text: the whole, or lines, concatenations, parts of arrays.

    What is no UTF-8 becomes a lone surrogate, and `valid` says whether a value has one:
    JSON text has none.
    """
    text = bare.decode(errors="surrogateescape")
    try:
        whole, end = _decoder.raw_decode(text)
    except (ValueError, RecursionError):
        whole, end = None, -1
    if end == len(text):
        yield from _valid(whole, text)
        return
    at = tried = 0
    for found in _start.finditer(text):
        if found.end() < at or not text.startswith(("{", "["), found.end()):
            continue
        try:
            value, at = _decoder.raw_decode(text, found.end())
        except (ValueError, RecursionError) as error:
            tried += 1
            if tried > MAX_STARTS:
                raise UncheckedError from error
            if text.startswith("[" * TOO_DEEP, found.end()):
                at = found.end() + TOO_DEEP
            continue
        yield from _valid(value, text[found.end() : at])


def _valid(value: Any, text: str) -> Iterator[Any]:
    """The value, or the elements of an array, each where its text is UTF-8."""
    if not text.isascii() and _escaped(text):
        if not isinstance(value, list):
            return
        for element in value:
            if not _escaped(json.dumps(_plain(element), ensure_ascii=False)):
                yield element
        return
    if isinstance(value, list):
        yield from value
    else:
        yield value


def _plain(value: Any) -> Any:
    """The value without what `json` cannot write."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return None if isinstance(value, NotANumber) else value


def _escaped(text: str) -> bool:
    return any("\udc80" <= letter <= "\udcff" for letter in text)
