"""The life of one series' alert: open, escalate, de-escalate, resolve."""

from enum import StrEnum

import msgspec

from slo.verdict import Alert, Status, Verdict


class Step(StrEnum):
    """What a status did to an alert."""

    NONE = "none"
    OPEN = "open"
    ESCALATE = "escalate"
    DEESCALATE = "de-escalate"
    RESOLVE = "resolve"
    MOVE = "move"  # same level, another tier


_ORDER = {Verdict.OK: 0, Verdict.TICKET: 1, Verdict.PAGE: 2}


def step(alert: Alert, status: Status) -> tuple[Alert, Step]:
    """The alert after a status, and what happened.

    Unknown changes nothing, but that a page ends where only a ticket is unknown.
    """
    level = status.verdict if status.verdict in _ORDER else Verdict.OK
    if status.verdict is Verdict.UNKNOWN:
        if alert.level is not Verdict.PAGE or status.might_page:
            return alert, Step.NONE
        level = Verdict.TICKET
    if level is alert.level:
        if level is Verdict.OK or status.tier == alert.tier:
            return alert, Step.NONE
        moved = msgspec.structs.replace(alert, tier=status.tier, reason=status.reason)
        return moved, Step.MOVE
    after = Alert(
        series=alert.series,
        level=level,
        since_ms=status.at_ms,
        tier=status.tier if level is not Verdict.OK else "",
        reason=status.reason,
    )
    return after, _step(alert.level, level)


def _step(before: Verdict, after: Verdict) -> Step:
    if before is Verdict.OK:
        return Step.OPEN
    if after is Verdict.OK:
        return Step.RESOLVE
    return Step.ESCALATE if _ORDER[after] > _ORDER[before] else Step.DEESCALATE
