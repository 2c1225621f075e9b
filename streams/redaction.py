"""What of a payload may be shown: structure and the fields an SLI needs, no more.

A list of what is allowed, not of what is forbidden: row images, SQL, keys and tokens
are hidden because nobody named them.
"""

import re
from typing import Final

MAX_EXCERPT: Final = 16 * 1024
MAX_SHOWN: Final = 200
HIDDEN: Final = '"…"'

_SOURCE: Final = frozenset(
    "version connector name ts_ms ts_us ts_ns snapshot db schema table sequence lsn"
    " txId xmin gtid server_id file pos row thread".split()
)
_METRIC: Final = frozenset(
    "account_id region namespace metric_name metric_stream_name timestamp unit max min"
    " sum count metric type interval interval_ms host device name kind value"
    " source_type_name".split()
)
SHOWN: Final[dict[str, frozenset[str]]] = {
    "cloudwatch": _METRIC,
    "datadog": _METRIC,
    "vector": _METRIC,
    "debezium": frozenset({"op", "ts_ms", "ts_us", "ts_ns", "total_order"}),
}
"""Keys whose values are shown, by format; in a `source` block those of `_SOURCE`."""

IN_FULL: Final = frozenset({"dimensions", "points", "tags", "resources", "tags"})
"""Keys below which everything is shown that does not look like a secret."""

_token = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s"{}\[\],:]+|"', re.DOTALL)
_secret = re.compile(
    r"key|token|secret|passw|credential|auth|[0-9a-f]{20}|[A-Za-z0-9+/_-]{40}", re.I
)


def excerpt(payload: bytes, format_name: str) -> str:
    """At most 16 KB of a payload, redacted. What is no JSON is described, not shown."""
    head = payload[:MAX_EXCERPT]
    if head.lstrip()[:1] not in (b"{", b"["):
        return f"{len(payload)} bytes, beginning with {head[:4].hex()}"
    return _Redactor(format_name).redacted(head.decode(errors="replace"))


class _Redactor:
    """Walks the tokens of JSON text, whole or cut off, and hides values."""

    def __init__(self, format_name: str) -> None:
        self._shown = SHOWN.get(format_name, frozenset())
        self._keys: list[str] = []  # of the containers that are open
        self._key = ""  # of the value that comes next
        self._written: list[str] = []

    def redacted(self, text: str) -> str:
        """The text with every value hidden that is not known to be harmless."""
        tokens = [match.group() for match in _token.finditer(text)]
        for token, following in zip(tokens, [*tokens[1:], ""], strict=True):
            if token == '"':  # cut off inside a string
                self._written.append("…")
                break
            if following == ":" and token.startswith('"'):
                self._key = token[1:-1]
                self._written.append(token[: MAX_SHOWN + 1])
            else:
                self._value(token)
        return "".join(self._written)[:MAX_EXCERPT]

    def _value(self, token: str) -> None:
        if token in "{[":
            self._keys.append(self._key)
        elif token in "}]" and self._keys:
            self._key = self._keys.pop()
        elif token not in "}],:" and not self._harmless(token):
            token = HIDDEN
        self._written.append(token)

    def _harmless(self, token: str) -> bool:
        if token in ("null", "true", "false"):
            return True
        if len(token) > MAX_SHOWN or _secret.search(token):
            return False
        if not IN_FULL.isdisjoint(self._keys):
            return True
        inside = self._keys[-1] if self._keys else ""
        allowed = _SOURCE if inside == "source" else self._shown
        return self._key in allowed and self._owned()

    def _owned(self) -> bool:
        """Whether no row image is open around the value."""
        return {"before", "after"}.isdisjoint(self._keys)
