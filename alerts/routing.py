"""Routing: which notifiers a notice goes to. Pure."""

from collections.abc import Collection

import msgspec

from slo.notice import Channel, Notice

PAGERDUTY = "pagerduty"
WEBHOOK = "webhook"
LOG = "log"


class Routes(msgspec.Struct, frozen=True):
    """The names of the notifiers of each channel, in the order they are told."""

    page: tuple[str, ...]
    ticket: tuple[str, ...]

    @property
    def all(self) -> tuple[tuple[str, ...], ...]:
        """The notifiers of every channel."""
        return (self.page, self.ticket)

    def of(self, notice: Notice) -> tuple[str, ...]:
        """Who is told of a notice."""
        match notice.channel:
            case Channel.PAGE:
                return self.page
            case Channel.TICKET:
                return self.ticket


def default_routes(available: Collection[str]) -> Routes:
    """Pages to PagerDuty, tickets to log and webhook, of those that are available.

    Without PagerDuty pages go where tickets go. A channel is never without a
    notifier: `available` must name the log at least, else ValueError.
    """
    if LOG not in available:
        raise ValueError(f"no notifier {LOG!r}: a notice could reach nobody")
    quiet = tuple(name for name in (WEBHOOK, LOG) if name in available)
    return Routes((PAGERDUTY,) if PAGERDUTY in available else quiet, quiet)


def wrong_routes(routes: Routes, available: Collection[str]) -> list[str]:
    """What is wrong with configured routes, one sentence each; [] where nothing is."""
    faults = []
    for channel, names in (("page", routes.page), ("ticket", routes.ticket)):
        if not names:
            faults.append(f"the {channel} route is empty: nobody would be told")
        faults.extend(
            f"the {channel} route names {name!r}, which is not configured"
            f" (configured: {', '.join(sorted(available))})"
            for name in names
            if name not in available
        )
    return faults
