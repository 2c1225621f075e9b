"""Telling people beside the engine: the notifiers of the settings, the loop, its counts."""

import logging
import os
import socket
import time
from collections import Counter
from collections.abc import Callable

from alerts.delivery import UNHURRIED, Courier, Delivery, Notifier, Outcome, Pace
from alerts.notifiers.log import Log
from alerts.notifiers.pagerduty import Links, PagerDuty
from alerts.notifiers.webhook import Webhook
from alerts.routing import LOG, PAGERDUTY, WEBHOOK, default_routes
from alerts.runner import Runner
from dbslo.settings import Settings
from slo.model import SECOND
from streams.store import Store

log = logging.getLogger("dbslo.telling")

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
        links = Links(settings.grafana_url, settings.runbook_url)
        found[PAGERDUTY] = PagerDuty(
            settings.pagerduty_key, real_clock, settings.pagerduty_url, links
        )
    return found


class Telling:
    """The delivery loop with its counts by (target, outcome).

    `told` is called after every delivery, from the loop's thread.
    """

    def __init__(
        self,
        store: Store,
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
        courier = Courier(store, known, routes, owner, real_clock, pace)
        self._runner = Runner(courier, self._observed, idle_seconds=0.1)

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
