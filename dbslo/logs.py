"""Our own log: one wide line per batch, per change of verdict, per delivery."""

import logging
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from slo.verdict import VerdictChange
from streams.batch import Batch

log = logging.getLogger("dbslo")


class _Text(logging.Formatter):
    """`time level logger message key=value ...`."""

    def format(self, record: logging.LogRecord) -> str:
        fields = " ".join(
            f"{name}={_shown(value)}" for name, value in _fields(record).items()
        )
        head = f"{_time(record)} {record.levelname.lower():<7} {record.name}"
        line = f"{head} {record.getMessage()} {fields}".rstrip()
        return (
            line
            if not record.exc_info
            else f"{line}\n{self.formatException(record.exc_info)}"
        )


class _Json(logging.Formatter):
    """A JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line, enc_hook=str).decode()


def _fields(record: logging.LogRecord) -> Mapping[str, Any]:
    fields: Mapping[str, Any] = getattr(record, "fields", {})
    return fields


def _shown(value: Any) -> str:
    """A value on a line; what holds others is JSON, without spaces."""
    if isinstance(value, (dict, list, tuple, msgspec.Struct)):
        return msgspec.json.encode(value, enc_hook=str).decode()
    text = str(value)
    return f'"{text}"' if " " in text or not text else text


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def configure(level: str, *, as_json: bool) -> None:
    """Log to stderr from a level on; the libraries' own lines from warnings on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if as_json else _Text())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    log.setLevel(level.upper())


def verdicts(changes: Sequence[VerdictChange]) -> None:
    """One line for each change of verdict."""
    for change in changes:
        log.info("verdict", extra={"fields": msgspec.to_builtins(change)})


def batches(partition: int, taken: Sequence[Batch], after: int, seconds: float) -> None:
    """One line for what was applied together; batches of marks alone are debug."""
    cells = sum(len(batch.cells) for batch in taken)
    deltas = sum(len(batch.deltas) for batch in taken)
    level = logging.INFO if cells or deltas else logging.DEBUG
    if not log.isEnabledFor(level):
        return
    fields = {
        "partition": partition,
        "batches": len(taken),
        "cells": cells,
        "deltas": deltas,
        "next": after,
        "seconds": round(seconds, 4),
    }
    log.log(level, "batch", extra={"fields": fields})
