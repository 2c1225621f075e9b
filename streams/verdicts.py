"""A change of verdict as one line, for `replay --json`, the log and the webhook."""

from datetime import UTC, datetime
from functools import lru_cache

from slo.model import Series
from slo.verdict import Status, Verdict, VerdictChange


@lru_cache(maxsize=256)  # whoever turns, turns at the moment of a tick
def rfc3339(ms: int) -> str:
    """Epoch milliseconds as RFC 3339 in UTC with milliseconds."""
    moment = datetime.fromtimestamp(ms // 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{ms % 1000:03d}Z"


def change_line(series: Series, before: Verdict, status: Status) -> VerdictChange:
    """The line of one change."""
    return VerdictChange(
        time=rfc3339(status.at_ms),
        slo=series.slo.name,
        resource=series.resource.name,
        from_=before.value,
        to=status.verdict.value,
        tier=status.tier,
        windows={
            name: {"good": window.good, "total": window.total}
            for name, window in status.windows.items()
        },
        coverage=status.coverage,
        reason=status.reason,
    )
