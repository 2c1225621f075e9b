"""YAML to trees that remember file and line. Only this file knows YAML.

Scalars follow YAML 1.2: `yes` and `on` are text, numbers are exact (int or
Decimal). Whatever the bytes, the outcome is trees and faults, never an exception:
a broken file still gives the documents before the break.
"""

import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import yaml

from slo.faults import Fault, Node
from slo.model import Place

MAX_FILE_BYTES: Final = 16 * 1024 * 1024
MAX_DEPTH: Final = 40
MAX_ALIASED_NODES: Final = 200_000
"""How many nodes aliases may stand for in one file; a bomb stands for billions."""

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEAN = {"true": True, "True": True, "TRUE": True} | {
    "false": False,
    "False": False,
    "FALSE": False,
}
_INT = re.compile(r"[-+]?(0|[1-9][0-9]{0,39})")
_DECIMAL = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,3})?")
_MAX_DIGITS: Final = 60
_TAG_PREFIX = "tag:yaml.org,2002:"
_PLAIN_TAGS = frozenset({"int", "float", "bool", "null", "map", "seq"})


class Trees(msgspec.Struct, frozen=True):
    """The documents of one file, and what is wrong with it as YAML."""

    documents: tuple[Node, ...]
    faults: tuple[Fault, ...]


def read_file(path: Path) -> Trees:
    """The trees of a file; one that cannot be read is a fault."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            return _broken(path, f"is larger than {MAX_FILE_BYTES:,} bytes", "Split it")
        content = path.read_bytes()
    except OSError as error:
        reason = f"cannot be read: {error.strerror}"
        return _broken(path, reason, "Check the path and its permissions")
    return read_bytes(content, str(path))


def read_bytes(content: bytes, file: str) -> Trees:
    """The trees of UTF-8 YAML; `file` is the name that places carry."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        fault = Fault(Place(file, line), "(file)", "is not UTF-8", "Save it as UTF-8")
        return Trees((), (fault,))
    return _Reader(text, file).trees()


def _broken(path: Path, reason: str, remedy: str) -> Trees:
    return Trees((), (Fault(Place(str(path), 1), "(file)", reason, remedy),))


class _BrokenError(Exception):
    """The rest of the file cannot be read; carries the fault."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(str(fault))
        self.fault = fault


class _Anchor(NamedTuple):
    """What an alias stands for: how many nodes, and how deep."""

    node: Node
    size: int
    height: int


class _Reader:
    """One file's events turned into trees.

    Events, not PyYAML's own nodes: those lose duplicate keys, expand aliases and
    recurse as deep as the input likes.
    """

    def __init__(self, text: str, file: str) -> None:
        self._text = text
        self._file = file
        self._faults: list[Fault] = []
        self._anchors: dict[str, _Anchor] = {}
        self._nodes = 0  # seen so far, aliases counted as what they stand for
        self._aliased = 0
        self._deepest = 0  # below the node at hand

    def trees(self) -> Trees:
        documents: list[Node] = []
        try:
            documents.extend(self._documents())
        except _BrokenError as error:
            self._faults.append(error.fault)
        except yaml.YAMLError as error:
            self._faults.append(self._syntax(error))
        return Trees(tuple(documents), tuple(self._faults))

    def _documents(self) -> Iterator[Node]:
        # `yaml.parse` types its events loosely; their classes are told apart below.
        self._events: Iterator[Any] = yaml.parse(self._text, Loader=_LOADER)
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                self._anchors.clear()
                document = self._node(next(self._events), 0)
                if document.value is not None:
                    yield document

    def _node(self, event: Any, depth: int) -> Node:
        place = Place(self._file, event.start_mark.line + 1)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(str(event.anchor), place, depth)
        self._refuse_depth(depth, place)
        nodes, deepest = self._nodes, self._deepest
        self._nodes, self._deepest = nodes + 1, depth
        self._refuse_foreign_tag(event.tag, place)
        if isinstance(event, yaml.MappingStartEvent):
            node = Node(self._mapping(depth), place)
        elif isinstance(event, yaml.SequenceStartEvent):
            node = Node(self._sequence(depth), place)
        else:
            node = Node(_scalar(event), place)
        if event.anchor is not None:
            size, height = self._nodes - nodes, self._deepest - depth
            self._anchors[event.anchor] = _Anchor(node, size, height)
        self._deepest = max(self._deepest, deepest)
        return node

    def _refuse_depth(self, depth: int, place: Place) -> None:
        if depth > MAX_DEPTH:
            reason = f"is nested more than {MAX_DEPTH} deep"
            raise _BrokenError(Fault(place, "(file)", reason, "Flatten it"))

    def _alias(self, name: str, place: Place, depth: int) -> Node:
        anchor = self._anchors.get(name)
        if anchor is None:
            reason = f"*{name} refers to no finished anchor above it"
            self._faults.append(
                Fault(place, f"*{name}", reason, f"Write &{name} before it")
            )
            return Node(None, place)
        self._deepest = max(self._deepest, depth + anchor.height)
        self._refuse_depth(self._deepest, place)
        self._nodes += anchor.size
        self._aliased += anchor.size
        if self._aliased > MAX_ALIASED_NODES:
            reason = f"aliases expand to more than {MAX_ALIASED_NODES:,} values"
            raise _BrokenError(Fault(place, f"*{name}", reason, "Write fewer aliases"))
        return Node(anchor.node.value, place)

    def _refuse_foreign_tag(self, tag: str | None, place: Place) -> None:
        if tag is None or tag == "!":
            return
        bare = tag.removeprefix(_TAG_PREFIX)
        if bare not in _PLAIN_TAGS and bare != "str":
            reason = f"the tag {tag[:80]} is not read"
            self._faults.append(Fault(place, "(tag)", reason, "Remove the tag"))

    def _sequence(self, depth: int) -> list[Node]:
        items: list[Node] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            items.append(self._node(event, depth + 1))
        return items

    def _mapping(self, depth: int) -> dict[str, Node]:
        fields: dict[str, Node] = {}
        merged: list[Node] = []
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            place = Place(self._file, event.start_mark.line + 1)
            key = self._key(event, place, depth)
            value = self._node(next(self._events), depth + 1)
            if key == "<<" and event.implicit[0]:
                merged.append(value)
            elif key is not None and key in fields:
                reason = f"is written twice, first in line {fields[key].place.line}"
                self._faults.append(Fault(place, key, reason, "Keep one of the two"))
            elif key is not None:
                fields[key] = value
        for source in merged:
            self._merge(source, fields)
        return fields

    def _key(self, event: Any, place: Place, depth: int) -> str | None:
        if isinstance(event, yaml.ScalarEvent):
            return str(event.value)
        self._node(event, depth + 1)
        reason = "a key must be text"
        self._faults.append(Fault(place, "(key)", reason, "Write a plain word as key"))
        return None

    def _merge(self, source: Node, fields: dict[str, Node]) -> None:
        """`<<: *defaults`: what is written in the mapping itself wins."""
        parts = source.value if isinstance(source.value, list) else [source]
        for part in parts:
            if isinstance(part.value, dict):
                for key, node in part.value.items():
                    fields.setdefault(key, node)
                continue
            reason = "only mappings can be merged"
            remedy = "Point << at an anchor of a mapping"
            self._faults.append(Fault(part.place, "<<", reason, remedy))

    def _syntax(self, error: yaml.YAMLError) -> Fault:
        """A YAML error as a fault, without a copy of the text it points at."""
        mark = getattr(error, "problem_mark", None)
        if mark is not None:
            line = mark.line + 1
        else:
            line = self._text.count("\n", 0, getattr(error, "position", 0)) + 1
        problem = getattr(error, "problem", None) or getattr(error, "reason", None)
        reason = f"is not YAML: {problem or 'it cannot be parsed'}"
        remedy = "Correct the line, or the indentation just above it"
        return Fault(Place(self._file, line), "(file)", reason, remedy)


def _scalar(event: Any) -> str | int | bool | Decimal | None:
    """The value of a scalar by YAML 1.2's core schema; numbers are kept exact.

    Numbers that start with a zero stay text (account ids), and so do absurdly
    long ones.
    """
    text = str(event.value)
    tag = (event.tag or "").removeprefix(_TAG_PREFIX)
    if tag in ("str", "!") or not (event.implicit[0] or tag in _PLAIN_TAGS):
        return text
    if text in _NULL:
        return None
    if text in _BOOLEAN:
        return _BOOLEAN[text]
    if _INT.fullmatch(text):
        return int(text)
    if len(text) <= _MAX_DIGITS and _DECIMAL.fullmatch(text) and not _padded(text):
        return Decimal(text)
    return text


def _padded(text: str) -> bool:
    """Whether it is a whole number with leading zeros, such as an account id."""
    return text.lstrip("+-").isdigit()
