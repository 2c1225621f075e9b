"""The life of one series' alert: open, escalate, de-escalate, resolve."""

from enum import StrEnum

import msgspec

from slo.verdict import Alert, Outcome, Status, Verdict


class Step(StrEnum):
    """What a status did to an alert."""

    NONE = "none"
    OPEN = "open"
    ESCALATE = "escalate"
    DEESCALATE = "de-escalate"
    RESOLVE = "resolve"
    MOVE = "move"  # same level, another tier


_ORDER = {Verdict.OK: 0, Verdict.TICKET: 1, Verdict.PAGE: 2}


Decided = Outcome | Status


def level_of(alert: Alert, decided: Decided) -> Verdict:
    """The level that an alert has to take.

    Unknown changes nothing, but that a page ends where only a ticket is unknown.
    """
    verdict = decided.verdict
    if verdict is Verdict.UNKNOWN:
        pages = alert.level is Verdict.PAGE and not decided.might_page
        return Verdict.TICKET if pages else alert.level
    return verdict if verdict in _ORDER else Verdict.OK


def stays(alert: Alert, decided: Decided) -> bool:
    """Whether an alert stays as it is: `step` would do nothing."""
    if level_of(alert, decided) is not alert.level:
        return False
    silent = alert.level is Verdict.OK or decided.verdict is Verdict.UNKNOWN
    return silent or decided.tier == alert.tier


def step(alert: Alert, status: Status) -> tuple[Alert, Step]:
    """The alert after a status, and what happened."""
    if stays(alert, status):
        return alert, Step.NONE
    level = level_of(alert, status)
    if level is alert.level:
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
