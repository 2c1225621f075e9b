"""Which format a document has, where its topic does not say."""

from typing import Any, Final

import msgspec

CLOUDWATCH: Final = "cloudwatch"
DATADOG: Final = "datadog"
VECTOR: Final = "vector"
DEBEZIUM: Final = "debezium"


class _Marks(msgspec.Struct):
    """The keys that give a format away."""

    metric_name: Any = None
    namespace: Any = None
    dimensions: Any = None
    series: Any = None
    metric: Any = None
    name: Any = None
    kind: Any = None
    op: Any = None
    source: Any = None
    payload: Any = None
    log: Any = None
    trace: Any = None


_decoder = msgspec.json.Decoder(_Marks)


def sniff(document: bytes) -> str | None:
    """The format of one JSON document, None where it is none of ours."""
    try:
        marks = _decoder.decode(document)
    except (ValueError, RecursionError):
        return None
    if marks.metric_name is not None and isinstance(marks.dimensions, dict):
        return CLOUDWATCH
    if isinstance(marks.series, list):
        return DATADOG
    outer = (marks.metric, marks.log, marks.trace)
    if any(isinstance(one, dict) for one in outer) or (marks.name and marks.kind):
        return VECTOR
    return DEBEZIUM if _is_change(marks) else None


def _is_change(marks: _Marks) -> bool:
    inner = marks.payload
    if isinstance(inner, dict):
        return "source" in inner and "op" in inner
    return isinstance(marks.source, dict) and marks.op is not None
