"""Reading trees: typed fields, where every fault is kept and none hides another.

A reader asks for what it knows; whatever nobody asked for is a fault with the
nearest known key. Reading goes on after a fault, with a stand-in value.
"""

import difflib
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Any, TypeVar

from slo.faults import Fault, Node
from slo.model import Place

E = TypeVar("E", bound=StrEnum)
D = TypeVar("D")

_LARGEST_EXPONENT = 30
"""Numbers are refused beyond 1e30 and below 1e-30: exact arithmetic would choke."""


class Findings:
    """The faults and warnings gathered so far."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self.warnings: list[Fault] = []

    def fault(self, place: Place, key: str, reason: str, remedy: str) -> None:
        """Keep a fault: what is wrong, and what to do."""
        self.faults.append(Fault(place, key, reason, remedy))

    def warn(self, place: Place, key: str, reason: str, remedy: str) -> None:
        """Keep a warning: it works, though perhaps not as meant."""
        self.warnings.append(Fault(place, key, reason, remedy))


MOST_NAMED = 20
"""As many names are listed: a fleet has hundreds, and one is being looked for."""


def nearest(word: str, known: Iterable[str]) -> str:
    """`Did you mean x?`, or what is known where nothing comes near."""
    words = sorted(set(known))
    close = difflib.get_close_matches(word, words, n=1, cutoff=0.6)
    if close:
        return f"Did you mean {close[0]}?"
    if not words:
        return "Remove it"
    more = len(words) - MOST_NAMED
    rest = f" and {more} more" if more > 0 else ""
    return f"Known: {', '.join(words[:MOST_NAMED])}{rest}"


def kind_of(value: object) -> str:
    """What a value is, in words that an operator knows."""
    match value:
        case None:
            return "empty"
        case bool():
            return f"the boolean {str(value).lower()}"
        case int() | Decimal():
            return f"the number {shown(value)}"
        case dict():
            return "a mapping"
        case list():
            return "a list"
        case _:
            return f"the text {shown(value)!r}"


def shown(value: object) -> str:
    """A value as it may stand in a message: short, on one line."""
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


class Fields:
    """One mapping under reading. `path` is its dotted key, "" at the top."""

    def __init__(self, node: Node, path: str, findings: Findings) -> None:
        self.place = node.place
        self.path = path
        self.findings = findings
        self._nodes: Mapping[str, Node] = (
            node.value if isinstance(node.value, dict) else {}
        )
        self._asked: set[str] = set()
        self._broken = not isinstance(node.value, dict)
        if self._broken:
            reason = f"must be a mapping, is {kind_of(node.value)}"
            findings.fault(
                node.place, path or "(document)", reason, "Write `key: value` lines"
            )

    @property
    def is_mapping(self) -> bool:
        """Whether it is one; else it has its fault already."""
        return not self._broken

    def key(self, name: str) -> str:
        """The dotted key of a field."""
        return f"{self.path}.{name}" if self.path else name

    def has(self, name: str) -> bool:
        """Whether the field is written and not empty."""
        return name in self._nodes and self._nodes[name].value is not None

    def place_of(self, name: str) -> Place:
        """Where the field is written, else where its mapping begins."""
        node = self._nodes.get(name)
        return node.place if node is not None else self.place

    def node(self, name: str) -> Node | None:
        """The field's tree, None where absent or empty; the field counts as known."""
        self._asked.add(name)
        return self._nodes[name] if self.has(name) else None

    def fault(self, name: str, reason: str, remedy: str) -> None:
        """A fault about a field."""
        self.findings.fault(self.place_of(name), self.key(name), reason, remedy)

    def warn(self, name: str, reason: str, remedy: str) -> None:
        """A warning about a field."""
        self.findings.warn(self.place_of(name), self.key(name), reason, remedy)

    def required(self, name: str, remedy: str) -> Node | None:
        """The field's tree; a fault where it is absent or empty.

        A mapping that is none has its fault already, its fields get no more.
        """
        node = self.node(name)
        if node is None and not self._broken:
            reason = "is empty" if name in self._nodes else "is missing"
            self.fault(name, reason, remedy)
        return node

    def text(self, name: str, default: str = "") -> str:
        """A text field, `default` where absent."""
        return self._as_text(name, self.node(name), default)

    def required_text(self, name: str, remedy: str) -> str:
        """A text field that must be there and say something."""
        node = self.required(name, remedy)
        if node is not None and isinstance(node.value, str) and not node.value.strip():
            self.fault(name, "is empty", remedy)
        return self._as_text(name, node, "")

    def _as_text(self, name: str, node: Node | None, default: str) -> str:
        if node is None:
            return default
        if not isinstance(node.value, str):
            self._wrong_type(name, "text", node.value)
            return default
        return node.value

    def boolean(self, name: str, *, default: bool = False) -> bool:
        """A true-or-false field."""
        node = self.node(name)
        if node is None:
            return default
        if not isinstance(node.value, bool):
            self.fault(
                name,
                f"must be true or false, is {kind_of(node.value)}",
                "Write true or false",
            )
            return default
        return node.value

    def number(self, name: str) -> Decimal | None:
        """A number, exact, None where absent or wrong."""
        node = self.node(name)
        if node is None:
            return None
        value = exact(node.value)
        if value is None:
            self._wrong_type(name, "a number", node.value)
        return value

    def count(self, name: str) -> int | None:
        """A whole number that is not negative, None where absent or wrong."""
        value = self.number(name)
        if value is not None and (value < 0 or value != value.to_integral_value()):
            reason = f"must be a whole number, 0 or more, is {shown(value)}"
            self.fault(name, reason, "Write a count, such as 10")
            return None
        return None if value is None else int(value)

    def choice(self, name: str, words: type[E], default: D) -> E | D:
        """One of an enumeration's values, `default` where absent or wrong."""
        node = self.node(name)
        if node is None:
            return default
        if isinstance(node.value, str) and node.value in set(words):
            return words(node.value)
        listed = ", ".join(words)
        hint = nearest(str(node.value), words)
        remedy = hint if hint.startswith("Did") else f"Write one of {listed}"
        self.fault(name, f"is {kind_of(node.value)}, not one of {listed}", remedy)
        return default

    def required_choice(self, name: str, words: type[E], default: D) -> E | D:
        """One of an enumeration's values, which must be there."""
        self.required(name, f"Write one of {', '.join(words)}")
        return self.choice(name, words, default)

    def fields(self, name: str) -> "Fields | None":
        """A nested mapping, None where absent."""
        node = self.node(name)
        return None if node is None else Fields(node, self.key(name), self.findings)

    def required_fields(self, name: str, remedy: str) -> "Fields | None":
        """A nested mapping that must be there."""
        node = self.required(name, remedy)
        return None if node is None else Fields(node, self.key(name), self.findings)

    def items(self, name: str) -> list[tuple[str, Node]]:
        """The (dotted key, tree) pairs of a list, none where absent or wrong."""
        node = self.node(name)
        if node is None:
            return []
        if not isinstance(node.value, list):
            self._wrong_type(name, "a list", node.value)
            return []
        return [(f"{self.key(name)}[{at}]", item) for at, item in enumerate(node.value)]

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of texts; a single text counts as a list of one."""
        return tuple(text for text, _ in self.placed_texts(name))

    def placed_texts(self, name: str) -> list[tuple[str, Place]]:
        """As `texts`, each with where it is written."""
        node = self.node(name)
        if node is not None and not isinstance(node.value, list):
            text = self._as_text(name, node, "")
            return [(text, node.place)] if text else []
        found = []
        for key, item in self.items(name):
            if isinstance(item.value, str):
                found.append((item.value, item.place))
            else:
                self._wrong_item(key, item)
        return found

    def pairs(self, name: str) -> Iterator[tuple[str, str, Place]]:
        """(key, text, place) of a mapping of texts, such as labels.

        A list of texts becomes one text, joined by commas.
        """
        inner = self.fields(name)
        if inner is None:
            return
        for key in inner.names():
            if inner.node(key) is not None:
                values = inner.texts(key)
                yield key, ",".join(values), inner.place_of(key)

    def names(self) -> tuple[str, ...]:
        """The keys as written."""
        return tuple(self._nodes)

    def misspells(self, name: str) -> bool:
        """Whether a key that nobody asked for is nearly this one, which is absent."""
        strangers = [word for word in self._nodes if word not in self._asked]
        close = difflib.get_close_matches(name, strangers, n=1, cutoff=0.6)
        return name not in self._nodes and bool(close)

    def close(self) -> None:
        """Report every key that nobody asked for."""
        for name in self._nodes:
            if name not in self._asked:
                self.fault(name, "is not a known key", nearest(name, self._asked))

    def _wrong_type(self, name: str, wanted: str, value: Any) -> None:
        remedy = f"Write {wanted}"
        if wanted == "text" and not isinstance(value, dict | list):
            remedy = "Put it in quotes"
        elif wanted == "a number" and isinstance(value, str):
            remedy = "Write a plain number without quotes or units"
        self.fault(name, f"must be {wanted}, is {kind_of(value)}", remedy)

    def _wrong_item(self, key: str, item: Node) -> None:
        reason = f"must be text, is {kind_of(item.value)}"
        remedy = "Write text" if isinstance(item.value, dict | list) else "Quote it"
        self.findings.fault(item.place, key, reason, remedy)


def exact(value: Any) -> Decimal | None:
    """A scalar as an exact number, None where it is none or beyond reason."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    number = Decimal(value)
    if not number.is_finite() or abs(number.adjusted()) > _LARGEST_EXPONENT:
        return None
    return number
