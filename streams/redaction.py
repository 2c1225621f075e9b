"""What of a payload may be shown: structure and the fields an SLI needs, no more.

A list of what is allowed, not of what is forbidden: row images, SQL, keys and tokens
are hidden because nobody named them.
"""

import re
from typing import Final

MAX_EXCERPT: Final = 16 * 1024
MAX_SHOWN: Final = 200
HIDDEN: Final = '"…"'

_METRIC: Final = frozenset(
    {
        "account_id",
        "count",
        "device",
        "host",
        "interval",
        "interval_ms",
        "kind",
        "max",
        "metric",
        "metric_name",
        "metric_stream_name",
        "min",
        "name",
        "namespace",
        "region",
        "source_type_name",
        "sum",
        "timestamp",
        "type",
        "unit",
        "value",
    }
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
    "cloudwatch": _METRIC,
    "datadog": _METRIC,
    "vector": _METRIC,
    "debezium": _CHANGE,
}
"""Keys whose values are shown, by format."""

IN_FULL: Final[dict[str, frozenset[str]]] = {
    "cloudwatch": frozenset({"dimensions"}),
    "datadog": frozenset({"points", "tags", "resources"}),
    "vector": frozenset({"tags"}),
}
"""Keys below which everything is shown that does not look like a secret."""

IMAGES: Final = frozenset({"before", "after"})

_part = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s"{}\[\],:]+|"', re.DOTALL)
_secret = re.compile(
    r"key|token|secret|passw|credential|auth|[0-9a-f]{20}|[a-z0-9+/_-]{40}",
    re.IGNORECASE,
)


def excerpt(payload: bytes, format_name: str) -> str:
    """At most 16 KB of a payload, redacted. What is no JSON is described, not shown."""
    head = payload[:MAX_EXCERPT]
    if head.lstrip()[:1] not in (b"{", b"["):
        return f"{len(payload)} bytes, beginning with {head[:4].hex()}"
    return _Redactor(format_name).redacted(head.decode(errors="replace"))


class _Redactor:
    """Walks JSON text, whole or cut off, and hides values."""

    def __init__(self, format_name: str) -> None:
        self._shown = SHOWN.get(format_name, frozenset())
        self._in_full = IN_FULL.get(format_name, frozenset())
        self._open: list[str] = []  # the keys of the containers around us
        self._key = ""  # of the value that comes next
        self._written: list[str] = []

    def redacted(self, text: str) -> str:
        """The text with every value hidden that is not known to be harmless."""
        parts = [match.group() for match in _part.finditer(text)]
        for part, following in zip(parts, [*parts[1:], ""], strict=True):
            if part.startswith('"') and following == ":":
                self._key = part[1:-1]
                self._written.append(part[:MAX_SHOWN])
            elif len(part) == 1 and part in '{}[],:"':
                self._mark(part)
            else:
                self._written.append(part if self._harmless(part) else HIDDEN)
        return "".join(self._written)[:MAX_EXCERPT]

    def _mark(self, part: str) -> None:
        if part in "{[":
            self._open.append(self._key)
        elif part in "}]" and self._open:
            self._key = self._open.pop()
        self._written.append("…" if part == '"' else part)  # cut off inside a string

    def _harmless(self, part: str) -> bool:
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
