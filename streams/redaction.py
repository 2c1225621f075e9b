"""What of a payload may be shown: structure and the fields an SLI needs, no more.

A list of what is allowed, not of what is forbidden: row images, SQL, keys and tokens
are hidden because nobody named them.
"""

import re
from typing import Final

MAX_EXCERPT: Final = 16 * 1024
MAX_SHOWN: Final = 200
HIDDEN: Final = '"…"'

_CLOUDWATCH: Final = frozenset(
    {
        "account_id",
        "count",
        "max",
        "metric_name",
        "metric_stream_name",
        "min",
        "namespace",
        "region",
        "sum",
        "timestamp",
        "unit",
    }
)
_DATADOG: Final = frozenset(
    {
        "device",
        "host",
        "interval",
        "metric",
        "source_type_name",
        "timestamp",
        "type",
        "unit",
        "value",
    }
)
_VECTOR: Final = frozenset(
    {"interval_ms", "kind", "name", "namespace", "timestamp", "value"}
)
_CHANGE: Final = frozenset({"op", "ts_ms", "ts_us", "ts_ns", "total_order"})
_SOURCE: Final = frozenset(
    {
        "connector",
        "db",
        "file",
        "gtid",
        "lsn",
        "name",
        "pos",
        "row",
        "schema",
        "sequence",
        "server_id",
        "snapshot",
        "table",
        "thread",
        "ts_ms",
        "ts_ns",
        "ts_us",
        "txId",
        "version",
        "xmin",
    }
)
SHOWN: Final[dict[str, frozenset[str]]] = {
    "cloudwatch": _CLOUDWATCH,
    "datadog": _DATADOG,
    "vector": _VECTOR,
    "debezium": _CHANGE,
}
"""Keys whose values are shown, by format."""

IN_FULL: Final[dict[str, frozenset[str]]] = {
    "cloudwatch": frozenset({"dimensions"}),
    "datadog": frozenset({"points", "tags", "resources"}),
    "vector": frozenset({"tags"}),
}
"""Keys below which everything is shown that does not look like a secret."""

ROW: Final = (b'"before"', b'"after"', b'"__')
"""What gives a row away: one that came to a metrics topic is shown as a row is."""

MARKS: Final = frozenset('{}[],:"')
CLOSES: Final = {"}": "{", "]": "["}
LEADS_TO_VALUE: Final = {"{": (":",), "[": ("[", ",")}
"""What a value follows, by the bracket that it stands in."""

IMAGES: Final = frozenset({"before", "after"})

_part = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s"{}\[\],:]+|"', re.DOTALL)
_literal = re.compile(r"-?[0-9][0-9.eE+-]*|null|true|false|-?Infinity|NaN")
_name = re.compile(r'"[\w.$@/:-]{0,64}"', re.ASCII)
_secret = re.compile(
    r"key|token|secret|passw|credential|auth|[0-9a-f]{20}|[a-z0-9+/_-]{40}",
    re.IGNORECASE,
)


def excerpt(payload: bytes, format_name: str) -> str:
    """At most 16 KB of a payload, redacted. What is no JSON is described, not shown."""
    head = payload[:MAX_EXCERPT]
    if head.lstrip()[:1] not in (b"{", b"["):
        return f"{len(payload)} bytes, beginning with {head[:4].hex()}"
    if any(mark in head for mark in ROW):
        format_name = "debezium"
    return _Redactor(format_name).redacted(head.decode(errors="replace"))


class _Redactor:
    """Walks JSON text, whole or cut off, and hides values.

    Where the text stops being JSON, nobody knows any more what is a key and what a
    value, nor whose: from there on nothing but brackets is shown.
    """

    def __init__(self, format_name: str) -> None:
        self._shown = SHOWN.get(format_name, frozenset())
        self._in_full = IN_FULL.get(format_name, frozenset())
        self._open: list[str] = []  # the keys of the containers around us
        self._brackets: list[str] = []  # theirs
        self._key = ""  # of the value that comes next
        self._named = False  # whether it was the part before
        self._lost = False
        self._written: list[str] = []

    def redacted(self, text: str) -> str:
        """The text with every value hidden that is not known to be harmless."""
        parts = [match.group() for match in _part.finditer(text)]
        before = ""
        for part, following in zip(parts, [*parts[1:], ""], strict=True):
            named = self._is_key(part, before, following)
            self._lost = self._lost or not (named or self._stands(part, before))
            if part in MARKS:
                self._mark(part)
            elif named and not self._lost:
                self._key = part[1:-1]
                self._written.append(part if _name.fullmatch(part) else HIDDEN)
            else:
                self._written.append(part if self._harmless(part) else HIDDEN)
            before, self._named = part, named
        return "".join(self._written)[:MAX_EXCERPT]

    def _is_key(self, part: str, before: str, following: str) -> bool:
        """Whether a part names what follows."""
        text = part.startswith('"') and following == ":"
        return text and self._inside == "{" and before in ("{", ",")

    def _stands(self, part: str, before: str) -> bool:
        """Whether a part that is no key can stand in JSON where it does."""
        if part == ":":
            return self._named
        if part in CLOSES:
            return self._inside == CLOSES[part]
        if part == ",":
            return before not in (":", ",")
        if self._inside and before not in LEADS_TO_VALUE[self._inside]:
            return False
        whole = part.startswith('"') and part != '"'
        return whole or part in ("{", "[") or bool(_literal.fullmatch(part))

    @property
    def _inside(self) -> str:
        """The bracket that is open around us."""
        return self._brackets[-1] if self._brackets else ""

    def _mark(self, part: str) -> None:
        if part in "{[":
            self._open.append(self._key)
            self._brackets.append(part)
            self._key = ""  # a name is its own value's alone
        elif part in CLOSES and self._open:
            self._key = self._open.pop()
            self._brackets.pop()
        self._written.append("…" if part == '"' else part)  # cut off inside a string

    def _harmless(self, part: str) -> bool:
        if self._lost:
            return False
        if part in ("null", "true", "false"):
            return True
        if len(part) > MAX_SHOWN or _secret.search(part):
            return False
        if not IMAGES.isdisjoint(self._open):
            return False
        if not self._in_full.isdisjoint(self._open):
            return True
        inside = self._open[-1] if self._open else ""
        return self._key in (_SOURCE if inside == "source" else self._shown)
