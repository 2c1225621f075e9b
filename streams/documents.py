"""Single JSON documents out of bytes that may hold many, some of them broken.

NDJSON, concatenated JSON, pretty-printed JSON and arrays. A broken document loses
only itself: reading goes on at the next line.
"""

import codecs
import re
from collections.abc import Iterator
from typing import Final, NamedTuple

import msgspec

NOT_FINITE_STAND_IN: Final = b"1e308"
"""Stands for NaN and Infinity, which no JSON number can be: beyond every bound, so
that the value is refused and its neighbours in the document are not."""

MAX_AGAIN_BYTES: Final = 1024 * 1024
"""A bomb of damaged documents costs one reading, not four."""

SHORT_LINE: Final = 4_096
"""A rest of a line that may be read as often as there are documents in it."""

TEXT_AT_ONCE: Final = 1024 * 1024
"""Text with one rare letter takes four times its bytes."""

INCOMPLETE: Final = "is no complete JSON document"
TOO_DEEP: Final = "is nested too deeply to be read"
NO_TEXT: Final = "is no UTF-8, so it is no JSON"

_plain = msgspec.json.Decoder(msgspec.Raw)
_list = msgspec.json.Decoder(list[msgspec.Raw])
_utf8 = codecs.getincrementaldecoder("utf-8")
_token = re.compile(rb'"[^"\\\n]*(?:\\[^\n][^"\\\n]*)*"|[{}\[\]"]')
_space = re.compile(rb"[\s,]*")
_blanks = re.compile(rb"[^\S\n]*")
_scalar = re.compile(rb"[^\s,\[\]{}]*")
_not_finite = re.compile(rb"(?<=[\[:,\s])(?:NaN|(-?)Infinity)(?=\s*[,\]}])")


class Document(NamedTuple):
    """One document; `fault` says what is wrong with it, "" where it is JSON."""

    data: bytes
    fault: str = ""


def is_text(data: bytes) -> bool:
    """Whether bytes are UTF-8. Decoders look at the fields that they want alone."""
    if data.isascii():
        return True
    decoder = _utf8()
    try:
        for at in range(0, len(data), TEXT_AT_ONCE):
            decoder.decode(data[at : at + TEXT_AT_ONCE])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def documents(data: bytes) -> Iterator[Document]:
    """The JSON documents of some bytes, in order; elements of arrays one by one."""
    if _is_json(data):
        yield from _elements(data)
        return
    reader = _Reader(data)
    while reader.at < len(data):
        yield from reader.read()


class _Reader:
    """Reads bytes that are no single document: lines, concatenations, or damaged."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._patience = _patience(data)
        self._known_end, self._tried = 0, False
        self.at = _skip(data, 0)

    def read(self) -> Iterator[Document]:
        """The next documents, and on to behind them."""
        data, at = self._data, self.at
        line_end = self._line_end()
        if self._worth_trying(line_end):
            line = data[at:line_end]
            if _is_json(line):
                self.at = _skip(data, line_end)
                yield from _elements(line)
                return
        end, first = self._end(), data[at : at + 1]
        document = _mended(data[at:end])
        deep = document.fault == TOO_DEEP
        if end > line_end and document.fault and not deep and first == b"{":
            end = at  # what ends there are several documents, the first one damaged
        behind = end if end > at else line_end
        self.at = _skip(data, behind)
        if end > at and not document.fault:
            yield from _elements(document.data)
        elif first == b"[":
            yield from _loose_elements(data[at:behind])
        else:
            yield Document(data[at:behind], TOO_DEEP if deep else INCOMPLETE)

    def _line_end(self) -> int:
        """Where this line ends, found once: it may hold a million documents."""
        if self._known_end <= self.at:
            found = self._data.find(b"\n", self.at)
            self._known_end = len(self._data) if found < 0 else found
            self._tried = False
        return self._known_end

    def _worth_trying(self, line_end: int) -> bool:
        """Whether the rest of a line may be one document: a long one is tried once."""
        tried, self._tried = self._tried, True
        return not tried or line_end - self.at <= SHORT_LINE

    def _end(self) -> int:
        end, cost = document_end(self._data, self.at, self._patience)
        self._patience -= cost
        return end


def _patience(data: bytes) -> int:
    """How many bytes may be read in search of ends: all once, the damaged ones again."""
    return len(data) + min(3 * len(data), MAX_AGAIN_BYTES) + 4_096


def _skip(data: bytes, at: int) -> int:
    found = _space.match(data, at)
    return found.end() if found else at


def _skip_blanks(data: bytes, at: int) -> int:
    found = _blanks.match(data, at)
    return found.end() if found else at


def _is_json(data: bytes) -> bool:
    try:
        _plain.decode(data)
    except (ValueError, RecursionError):
        return False
    return True


def _elements(data: bytes) -> Iterator[Document]:
    """The elements of an array, or the one document that is none."""
    bare = data.strip()
    if not bare.startswith(b"["):
        yield _mended(bare)
        return
    try:
        for element in _list.decode(bare):
            yield Document(bytes(element))
    except (ValueError, RecursionError):
        yield from _loose_elements(bare)


def _mended(data: bytes) -> Document:
    try:
        _plain.decode(data)
        return Document(data)
    except RecursionError:
        return Document(data, TOO_DEEP)
    except ValueError:
        pass
    mended = _not_finite.sub(rb"\g<1>" + NOT_FINITE_STAND_IN, data)
    return Document(mended) if _is_json(mended) else Document(data, "is no valid JSON")


def _loose_elements(data: bytes) -> Iterator[Document]:
    """The elements of an array that is no JSON as a whole, or has no end."""
    at = _skip(data, 1)
    patience = _patience(data)
    if at >= len(data):  # begun, and nothing more: not the same as empty
        yield Document(data, INCOMPLETE)
    while at < len(data) and data[at : at + 1] != b"]":
        end, cost = document_end(data, at, patience)
        patience -= cost
        if end <= at:
            scalar = _scalar.match(data, at)
            end = scalar.end() if scalar else at
            beside = _skip_blanks(data, end)
            glued, cost = document_end(data, beside, patience)
            patience -= cost
            if beside < glued:  # `Infinity {...}` is one element, and a broken one
                yield Document(data[at:glued], INCOMPLETE)
                at = _skip(data, glued)
                continue
        if end <= at or data[at:end].endswith(b":"):  # a key, so no array
            yield Document(data[at:], INCOMPLETE)
            return
        yield _mended(data[at:end])
        at = _skip(data, end)


def document_end(data: bytes, at: int, patience: int) -> tuple[int, int]:
    """Where the object or array that begins here ends, and how many bytes were read.

    The end is `at` where there is none. Gives up where patience is gone, so that
    nesting without end costs no more than a few readings of the whole.
    """
    if data[at : at + 1] not in (b"{", b"["):
        return at, 0
    depth = 0
    for token in _token.finditer(data, at, min(len(data), at + max(patience, 0))):
        first = token.group()
        if first in (b"{", b"["):
            depth += 1
        elif first in (b"}", b"]"):
            depth -= 1
            if depth == 0:
                return token.end(), token.end() - at
        elif first == b'"':
            return at, token.end() - at
    return at, len(data) - at
