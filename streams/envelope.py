"""Framing: from the bytes of a record to single JSON documents.

The same source arrives as one document, as lines, as an array, gzipped in several
members, as base64, or inside an HTTP body or a Lambda event around any of these.
"""

import base64
import binascii
import re
import zlib
from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

import msgspec

from streams.documents import NO_TEXT, Document, documents, is_text

MAX_DEPTH: Final = 6
MAX_OUTPUT_BYTES: Final = 64 * 1024 * 1024

MAX_DOCUMENTS: Final = 500_000
DOCUMENTS_AT_ONCE: Final = 500
MAX_VALUES: Final = 1_000_000
"""Counted by commas, or by brackets where those are more: a value of three bytes takes
a hundred and more in memory, and a bomb of them fits into a small record."""

NOTHING: Final = (b"", b"null")

GZIP: Final = b"\x1f\x8b"
ZLIB: Final = (b"\x78\x01", b"\x78\x9c", b"\x78\xda")
ZSTD: Final = b"\x28\xb5\x2f\xfd"
REGISTRY: Final = b"\x00"
"""How a schema registry's formats begin."""

NO_REGISTRY: Final = (
    "is no JSON; Avro and Protobuf are not read: let the converter write JSON"
)

CHUNK: Final = 16_384
BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"

_base64 = re.compile(rb"[A-Za-z0-9+/]+={0,2}")


class TooMuchError(Exception):
    """The bytes hold more than any record may: nothing more is read."""


class _Wrapping(msgspec.Struct):
    """What gives an envelope away; every field is somebody's."""

    records: Any = None  # Firehose body, transform event, events of MSK
    Records: Any = None  # events of Kinesis, SNS and SQS
    awslogs: Any = None
    Type: Any = None  # SNS
    Message: Any = None


_wrapping = msgspec.json.Decoder(_Wrapping)


class Unwrapper:
    """Unwraps one record; the bounds hold for all of it."""

    def __init__(
        self, max_bytes: int = MAX_OUTPUT_BYTES, max_depth: int = MAX_DEPTH
    ) -> None:
        self._room = max_bytes
        self._values = MAX_VALUES
        self._max_depth = max_depth

    def unwrap(self, value: bytes) -> Iterator[Document]:
        """The documents inside; broken ones say what is wrong with them.

        Raises TooMuchError where they unfold to more than is allowed, or too deep.
        """
        for number, document in enumerate(self._unwrap(value, 0)):
            if number >= MAX_DOCUMENTS:
                raise TooMuchError(f"holds more than {MAX_DOCUMENTS:,} documents")
            yield document

    def pieces(self, value: bytes) -> Iterator[list[Document]]:
        """The documents as `unwrap` has them, a few hundred at once."""
        documents = self.unwrap(value)
        while several := list(islice(documents, DOCUMENTS_AT_ONCE)):
            yield several

    def _unwrap(self, value: bytes, depth: int) -> Iterator[Document]:
        if depth > self._max_depth:
            raise TooMuchError(f"is wrapped more than {self._max_depth} times")
        bare = value.removeprefix(BYTE_ORDER_MARK).strip()
        if value.startswith((GZIP, *ZLIB)):
            yield from self._inflated(value, depth)
        elif value.startswith(ZSTD):
            yield Document(value, "is zstd: let the producer send it uncompressed")
        elif value.startswith(REGISTRY):
            yield Document(value, NO_REGISTRY)
        elif bare[:1] in (b"{", b"["):
            yield from self._parted(bare, depth)
        else:
            yield from self._encoded(bare, depth)

    def _take(self, size: int) -> None:
        self._room -= size
        if self._room < 0:
            raise TooMuchError("unfolds to more than 64 MiB")

    # -- compression -----------------------------------------------------------------

    def _inflated(self, value: bytes, depth: int) -> Iterator[Document]:
        whole: list[bytes] = []
        fault = ""
        try:
            whole.extend(self._members(value))
        except (zlib.error, EOFError) as error:
            fault = f"is damaged gzip: {error}"
        if whole:
            yield from self._unwrap(b"".join(whole), depth + 1)
        if fault:
            yield Document(value, fault)

    def _members(self, value: bytes) -> Iterator[bytes]:
        """Every member that is whole: its checksum holds. Raises at the first other."""
        at = 0
        while at < len(value):
            member, at = self._member(value, at)
            yield member
            if not value.startswith((GZIP, *ZLIB), at):
                if value[at:].strip(b"\0"):
                    raise EOFError(f"bytes after {at} are no further member")
                return

    def _member(self, value: bytes, at: int) -> tuple[bytes, int]:
        """The member that begins here, and where the next one does."""
        inflater = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
        pieces: list[bytes] = []
        while not inflater.eof:
            chunk = inflater.unconsumed_tail
            if not chunk:
                chunk = value[at : at + CHUNK]
                at += len(chunk)
            piece = inflater.decompress(chunk, 64 * CHUNK)
            if not chunk and not piece and not inflater.eof:
                raise EOFError("it ends too early")
            self._take(len(piece))
            pieces.append(piece)
        return b"".join(pieces), at - len(inflater.unused_data)

    # -- text --------------------------------------------------------------------------

    def _encoded(self, bare: bytes, depth: int) -> Iterator[Document]:
        """JSON or base64 in a string, bare base64, or documents that are none."""
        inner = _quoted(bare) if bare.startswith(b'"') else bare
        decoded = _from_text(inner)
        if decoded is None and bare not in NOTHING and b"{" not in bare:
            yield Document(bare, "is neither JSON nor base64 of it")
        elif decoded is None:
            yield from self._parted(bare, depth)
        else:
            self._take(len(decoded))
            yield from self._unwrap(decoded, depth + 1)

    def _parted(self, bare: bytes, depth: int) -> Iterator[Document]:
        """JSON text, document by document.

        Only one document is at hand at a time, unless an array gives many at once.
        """
        array = b"[" in bare
        if array:
            self._values -= self._bounded(bare)
        for document in documents(bare):
            if not array:
                self._bounded(document.data)
            yield from self._opened(document, depth)

    def _bounded(self, data: bytes) -> int:
        """About how many values there are, where they are not too many."""
        found = max(data.count(b","), data.count(b"[") + data.count(b"{"))
        if found > self._values:
            raise TooMuchError(f"holds more than {MAX_VALUES:,} values")
        return found

    # -- envelopes -----------------------------------------------------------------------

    def _opened(self, document: Document, depth: int) -> Iterator[Document]:
        """What a document carries where it is an envelope, else itself."""
        if not document.fault and not is_text(document.data):
            document = Document(document.data, NO_TEXT)
        letters = [] if document.fault else list(_letters(document.data))
        if not letters:
            yield document
        for letter in letters:
            if isinstance(letter, Document):
                yield letter
            else:
                self._take(len(letter))
                yield from self._unwrap(letter, depth + 1)


def _quoted(bare: bytes) -> bytes:
    try:
        return msgspec.json.decode(bare, type=str).encode()
    except ValueError:
        return bare


def _from_text(text: bytes) -> bytes | None:
    """What a text stands for: JSON itself, or base64 of something that we know."""
    if text.lstrip()[:1] in (b"{", b"["):
        return text
    compact = b"".join(text.split())
    if len(compact) % 4 or not _base64.fullmatch(compact):
        return None
    decoded = base64.b64decode(compact)
    known = decoded.startswith((GZIP, *ZLIB)) or decoded.lstrip()[:1] in (b"{", b"[")
    return decoded if known else None


def _letters(data: bytes) -> Iterator[bytes | Document]:
    """What an envelope carries; nothing where it is none."""
    try:
        found = _wrapping.decode(data)
    except (ValueError, RecursionError):
        return
    if found.Type == "Notification" and isinstance(found.Message, str):
        yield found.Message.encode()
    elif isinstance(found.awslogs, dict):
        yield _from_base64(found.awslogs.get("data"))
    elif isinstance(found.records, dict):
        for records in found.records.values():
            yield from (_from_base64(one.get("value")) for one in _objects(records))
    else:
        yield from (_from_base64(one.get("data")) for one in _objects(found.records))
        yield from map(_event, _objects(found.Records))


def _objects(value: Any) -> list[dict[str, Any]]:
    if not isinstance(value, list):
        return []
    return [one if isinstance(one, dict) else {} for one in value]


def _event(record: dict[str, Any]) -> bytes | Document:
    """The letter of one record of a Lambda event: Kinesis, SNS or SQS."""
    kinesis, sns, body = record.get("kinesis"), record.get("Sns"), record.get("body")
    if isinstance(kinesis, dict):
        return _from_base64(kinesis.get("data"))
    if isinstance(sns, dict):
        body = sns.get("Message")
    return body.encode() if isinstance(body, str) else _no_letter()


def _from_base64(text: Any) -> bytes | Document:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, TypeError, ValueError):
        return _no_letter()


def _no_letter() -> Document:
    return Document(b"", "an envelope's record holds no base64 data")
