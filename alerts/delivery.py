"""Delivery: from the outbox to the notifiers, one wanted state at a time.

The steps, in an order that survives a crash between any two of them:

1. *Claim* the oldest due key. The lease keeps every other sender from it.
2. *Send* to each notifier of its route. No byte leaves after the deadline of the
   attempt, and every deadline ends `margin_ms` before the lease does.
3. *Mark* it sent, by compare-and-set on (key, version, owner).

Gap 1-2: nothing was sent; the lease ends and the next sender takes the key.
Gap 2-3: sent but not marked; it is sent again, and the stable dedup key makes that
a repeat, never a second incident. Where the mark in 3 fails, the wanted state has
changed meanwhile: the key is due again, and what is wanted now is sent.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from hashlib import blake2b
from typing import Protocol

import msgspec

from alerts.routing import Routes
from slo.model import MINUTE, SECOND
from slo.notice import Claim, Notice


class NotifyError(Exception):
    """A notifier could not tell; the text names no secret.

    `retry`: whether the same notice may succeed later. `after_ms`: how long the
    receiver asked us to wait at least, None where it did not say.
    """

    def __init__(self, text: str, *, retry: bool, after_ms: int | None = None) -> None:
        super().__init__(text)
        self.retry = retry
        self.after_ms = after_ms


class Notifier(Protocol):
    """Somebody who can be told. Telling twice must do no harm: keys are stable."""

    def notify(self, notice: Notice, deadline_ms: int) -> None:
        """Tell, or raise NotifyError; nothing leaves after `deadline_ms` (epoch ms)."""


class Outbox(Protocol):
    """Where wanted states wait, one row per dedup key."""

    def claim(self, owner: str, now_ms: int, lease_ms: int) -> Claim | None:
        """The oldest that is due, unsent and held by nobody, leased to `owner`."""

    def sent(self, claim: Claim, now_ms: int) -> bool:
        """Mark as told. False: claim or wanted state have changed, and it is due."""

    def retry(self, claim: Claim, now_ms: int, after_ms: int, error: str) -> None:
        """Give it back, due in `after_ms`; at once if the wanted state has changed."""

    def dead(self, claim: Claim, now_ms: int, error: str) -> None:
        """Keep it with its error, never due again until the wanted state changes."""


class Pace(msgspec.Struct, frozen=True):
    """How long an attempt may take and how retries spread out, all in ms."""

    attempt_ms: int = 10 * SECOND
    margin_ms: int = 5 * SECOND
    first_ms: int = 2 * SECOND
    longest_ms: int = 5 * MINUTE


UNHURRIED = Pace()
"""Seconds at first, then minutes: what PagerDuty asks of a retry."""


class Outcome(StrEnum):
    """What became of an attempt; the values of the `outcome` label."""

    SENT = "sent"
    RETRY = "retry"
    DEAD = "dead"
    CHANGED = "changed"  # sent, but the wanted state has moved on meanwhile


class Told(msgspec.Struct, frozen=True):
    """One notifier's part of a delivery; `error` is "" where it was told."""

    target: str
    outcome: Outcome
    error: str = ""


class Delivery(msgspec.Struct, frozen=True):
    """What one step did, for the caller's metrics and log."""

    notice: Notice
    version: int
    outcome: Outcome
    told: tuple[Told, ...]
    retry_after_ms: int | None = None

    @property
    def error(self) -> str:
        """Every notifier's error, "" where there was none."""
        return "; ".join(f"{t.target}: {t.error}" for t in self.told if t.error)


def backoff_ms(key: str, attempts: int, pace: Pace) -> int:
    """How long to wait after `attempts` failures, ms: doubling, half of it jitter.

    The jitter is a hash of key and attempt, so that many keys spread out and the
    same run repeats itself.
    """
    longest = min(pace.first_ms << min(attempts, 32), pace.longest_ms)
    digest = blake2b(f"{key}#{attempts}".encode(), digest_size=4).digest()
    return longest // 2 + int.from_bytes(digest, "big") % (longest // 2 + 1)


class Courier:
    """Carries wanted states from an outbox to the notifiers of their routes.

    `clock` gives epoch ms, always of the real clock: leases and deadlines are about
    us, not about the data. `notifiers` are named as the routes name them.
    """

    def __init__(
        self,
        outbox: Outbox,
        notifiers: Mapping[str, Notifier],
        routes: Routes,
        owner: str,
        clock: Callable[[], int],
        pace: Pace = UNHURRIED,
    ) -> None:
        self._outbox = outbox
        self._notifiers = notifiers
        self._routes = routes
        self._owner = owner
        self._clock = clock
        self._pace = pace
        self._done: dict[str, tuple[int, dict[str, Told]]] = {}

    @property
    def lease_ms(self) -> int:
        """Long enough for every notifier of the longest route, and the margin."""
        longest = max((len(names) for names in self._routes.all), default=1)
        return self._pace.margin_ms + self._pace.attempt_ms * max(longest, 1)

    def deliver_one(self) -> Delivery | None:
        """Claim, send and mark one wanted state; None where nothing is due.

        Errors of the outbox pass through: nothing was lost, call again later.
        """
        # Step 1. Claim
        claim = self._outbox.claim(self._owner, self._clock(), self.lease_ms)
        if claim is None:
            return None
        # Step 2. Send
        told, after_ms = self._send(claim)
        # Step 3. Mark
        return self._mark(claim, tuple(told.values()), after_ms)

    def _send(self, claim: Claim) -> tuple[dict[str, Told], int]:
        """Tell whoever was not yet told this version; and how long they ask to wait.

        What a notifier was told, or refused for good, is remembered in memory: the
        one that works is not told again for each retry of the one that does not.
        """
        version, told = self._done.get(claim.key, (claim.version, {}))
        if version != claim.version:
            told = {}
        after_ms = 0
        for target in self._routes.of(claim.notice):
            if target not in told or told[target].outcome is Outcome.RETRY:
                told[target], asked_ms = self._tell(target, claim)
                after_ms = max(after_ms, asked_ms)
        self._done[claim.key] = (claim.version, told)
        return told, after_ms

    def _tell(self, target: str, claim: Claim) -> tuple[Told, int]:
        last_ms = claim.lease_until_ms - self._pace.margin_ms
        deadline_ms = min(self._clock() + self._pace.attempt_ms, last_ms)
        try:
            self._notifiers[target].notify(claim.notice, deadline_ms)
        except NotifyError as error:
            outcome = Outcome.RETRY if error.retry else Outcome.DEAD
            return Told(target, outcome, str(error)), error.after_ms or 0
        except Exception as error:  # noqa: BLE001 - one notifier's bug must not stop the others; its text might hold a secret
            return Told(target, Outcome.RETRY, f"failed: {type(error).__name__}"), 0
        return Told(target, Outcome.SENT), 0

    def _mark(self, claim: Claim, told: tuple[Told, ...], after_ms: int) -> Delivery:
        outcomes = {one.outcome for one in told}
        now_ms = self._clock()
        report = Delivery(claim.notice, claim.version, Outcome.SENT, told)
        if Outcome.RETRY in outcomes:
            wait_ms = max(backoff_ms(claim.key, claim.attempts, self._pace), after_ms)
            self._outbox.retry(claim, now_ms, wait_ms, report.error)
            return msgspec.structs.replace(
                report, outcome=Outcome.RETRY, retry_after_ms=wait_ms
            )
        self._done.pop(claim.key, None)
        if Outcome.DEAD in outcomes:
            self._outbox.dead(claim, now_ms, report.error)
            return msgspec.structs.replace(report, outcome=Outcome.DEAD)
        if not self._outbox.sent(claim, now_ms):
            return msgspec.structs.replace(report, outcome=Outcome.CHANGED)
        return report
