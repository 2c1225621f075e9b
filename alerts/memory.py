"""An outbox in memory: for what must be told without the store, and for tests."""

import threading
from dataclasses import dataclass

from slo.notice import Claim, Notice


@dataclass
class _Row:
    notice: Notice
    version: int
    wanted_ms: int
    due_ms: int
    attempts: int = 0
    owner: str = ""
    lease_until_ms: int = 0
    settled: int = 0  # the version that was sent or refused
    error: str = ""


class MemoryOutbox:
    """One row per dedup key, holding the wanted state and its version."""

    def __init__(self) -> None:
        self._rows: dict[str, _Row] = {}
        self._lock = threading.Lock()

    def want(self, notice: Notice, now_ms: int) -> None:
        """Set the wanted state of a key; it is due at once."""
        with self._lock:
            row = self._rows.get(notice.key)
            if row is None:
                self._rows[notice.key] = _Row(notice, 1, now_ms, now_ms)
                return
            row.notice = notice
            row.wanted_ms = now_ms
            self._due_again(row, now_ms)

    def claim(self, owner: str, now_ms: int, lease_ms: int) -> Claim | None:
        """The oldest that is due, unsent and held by nobody, leased to `owner`."""
        with self._lock:
            due = [
                row
                for row in self._rows.values()
                if row.settled < row.version
                and row.due_ms <= now_ms
                and row.lease_until_ms <= now_ms
            ]
            if not due:
                return None
            row = min(due, key=lambda one: (one.wanted_ms, one.notice.key))
            row.owner = owner
            row.lease_until_ms = now_ms + lease_ms
            return Claim(
                key=row.notice.key,
                version=row.version,
                notice=row.notice,
                attempts=row.attempts,
                lease_until_ms=row.lease_until_ms,
                owner=owner,
            )

    def sent(self, claim: Claim, now_ms: int) -> bool:
        """Mark as told; False, and due again, where state or holder have changed."""
        with self._lock:
            row = self._release(claim, now_ms)
            if row is not None:
                row.settled = row.version
            return row is not None

    def retry(self, claim: Claim, now_ms: int, after_ms: int, error: str) -> None:
        """Due in `after_ms`; at once where the wanted state has changed."""
        with self._lock:
            row = self._release(claim, now_ms)
            if row is not None:
                row.attempts += 1
                row.due_ms = now_ms + after_ms
                row.error = error

    def dead(self, claim: Claim, now_ms: int, error: str) -> None:
        """Not due again until the wanted state changes; kept with its error."""
        with self._lock:
            row = self._release(claim, now_ms)
            if row is not None:
                row.settled = row.version
                row.error = error

    def error(self, key: str) -> str:
        """The last error of a key, "" where it has none."""
        return self._rows[key].error

    def _release(self, claim: Claim, now_ms: int) -> _Row | None:
        """The row, if it is still what was claimed; else it is due again.

        A sender that lost its lease may have spoken after its successor, so what is
        wanted now has to be said once more.
        """
        row = self._rows[claim.key]
        held = row.owner == claim.owner
        if held:
            row.owner = ""
            row.lease_until_ms = 0
        if held and row.version == claim.version:
            return row
        if not held:
            self._due_again(row, now_ms)
        return None

    @staticmethod
    def _due_again(row: _Row, now_ms: int) -> None:
        row.version += 1
        row.attempts = 0
        row.due_ms = now_ms
