"""Telling people beside the engine: the notifiers of the settings, the loop, its counts."""

import logging
import os
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterable

from alerts.delivery import (
    UNHURRIED,
    Courier,
    Delivery,
    Notifier,
    NotifyError,
    Outbox,
    Outcome,
    Pace,
)
from alerts.notifiers.log import Log
from alerts.notifiers.pagerduty import Links, PagerDuty
from alerts.notifiers.webhook import Webhook
from alerts.routing import LOG, PAGERDUTY, WEBHOOK, default_routes
from alerts.runner import Runner
from dbslo.settings import Settings
from slo.model import SECOND
from slo.names import BOARD_SLO_DETAIL
from slo.notice import Action, Channel, Notice
from streams.store import Letter

log = logging.getLogger("dbslo.telling")

IDLE_SECONDS = 0.5
"""How often the outbox is looked into where no commit of this process wakes us."""

STOP_SECONDS = 20.0
"""An attempt under way may end; what is not sent waits in the outbox."""


def real_clock() -> int:
    """The moment by this machine's clock, epoch ms."""
    return time.time_ns() // 1_000_000


def notifiers(settings: Settings) -> dict[str, Notifier]:
    """Who can be told: the log always, PagerDuty and webhook where they are set."""
    found: dict[str, Notifier] = {LOG: Log(lambda line: log.info("notice %s", line))}
    if settings.webhook_url:
        found[WEBHOOK] = Webhook(settings.webhook_url, real_clock)
    if settings.pagerduty_key:
        panel = _burn_panel() if settings.grafana_url else 0
        links = Links(settings.grafana_url, settings.runbook_url, panel)
        pages = PagerDuty(
            settings.pagerduty_key, real_clock, settings.pagerduty_url, links
        )
        found[PAGERDUTY] = Insured(pages, found.get(WEBHOOK))
    return found


def _burn_panel() -> int:
    """The panel that a page opens; drawing is imported where there is a Grafana only."""
    from dashboards.detail import BURN_TITLE  # noqa: PLC0415
    from dashboards.normalise import panel_id  # noqa: PLC0415

    return panel_id(BOARD_SLO_DETAIL, BURN_TITLE)


class Insured:
    """PagerDuty; what it refuses for good goes to the log, as an error, and the webhook.

    The refusal is raised all the same: the outbox keeps it for people.
    """

    def __init__(self, pages: Notifier, instead: Notifier | None) -> None:
        self._pages = pages
        self._instead = instead

    def notify(self, notice: Notice, deadline_ms: int) -> None:
        """Tell PagerDuty; where it never will take this, whoever else there is."""
        try:
            self._pages.notify(notice, deadline_ms)
        except NotifyError as error:
            if not error.retry:
                self._fall_back(notice, deadline_ms, str(error))
            raise

    def _fall_back(self, notice: Notice, deadline_ms: int, error: str) -> None:
        fields = {"key": notice.key, "error": error, "notice": notice}
        log.error("a page was refused for good", extra={"fields": fields})
        if self._instead is None:
            return
        try:
            self._instead.notify(notice, deadline_ms)
        except NotifyError as failed:
            fields = {"key": notice.key, "error": str(failed)}
            log.error("nor was the webhook told", extra={"fields": fields})  # noqa: TRY400 - no trace of what a receiver answers


def refused_pages(letters: Iterable[Letter]) -> list[str]:
    """A sentence for each page that nobody will get any more without a retry."""
    return [
        f"a page for {one.key} was refused for good: {one.error};"
        f" then `dbslo deadletter retry notice:{one.key}`"
        for one in letters
        if one.error
        and one.settled == one.version
        and one.notice.channel is Channel.PAGE
        and one.notice.action is Action.TRIGGER
    ]


class Telling:
    """The delivery loop with its counts by (target, outcome).

    `told` is called after every delivery, from the loop's thread.
    """

    def __init__(
        self,
        outbox: Outbox,
        settings: Settings,
        told: Callable[[Delivery], None] = lambda _: None,
        pace: Pace = UNHURRIED,
    ) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()
        self._told = told
        known = notifiers(settings)
        of_target = (Outcome.SENT, Outcome.RETRY, Outcome.DEAD)
        # from the start, so that `increase` sees the first refusal
        self.counts.update(
            {(name, one.value): 0 for name in known for one in of_target}
        )
        owner = f"{socket.gethostname()}-{os.getpid()}"
        routes = default_routes(known)
        courier = Courier(outbox, known, routes, owner, real_clock, pace)
        self._runner = Runner(courier, self._observed, idle_seconds=IDLE_SECONDS)

    def start(self) -> None:
        """Begin to deliver what is due."""
        self._runner.start()

    def wake(self) -> None:
        """Something was written to the outbox."""
        self._runner.wake()

    def stop(self) -> None:
        """End after the attempt at hand."""
        if not self._runner.stop(STOP_SECONDS):
            log.warning("an attempt to notify did not end; it is repeated at the start")

    def _observed(self, report: Delivery | Exception) -> None:
        if isinstance(report, Exception):
            log.error("the outbox does not answer: %s", type(report).__name__)
            return
        for one in report.told:
            self.counts[one.target, one.outcome.value] += 1
        self._log(report)
        self._told(report)

    def _log(self, report: Delivery) -> None:
        notice = report.notice
        level = logging.INFO if report.outcome is Outcome.SENT else logging.WARNING
        fields = {
            "key": notice.key,
            "action": notice.action.value,
            "channel": notice.channel.value,
            "severity": notice.severity,
            "outcome": report.outcome.value,
            "targets": [one.target for one in report.told],
            "error": report.error,
            "retry_after_s": (report.retry_after_ms or 0) / SECOND,
        }
        log.log(level, "delivery", extra={"fields": fields})
