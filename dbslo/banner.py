"""What a process says of itself as it starts: what it reads, watches, keeps and tells."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from dbslo.given import Given
from dbslo.settings import Settings
from streams.topics import Topics, topics_of


def banner(have: Given, *, evaluates: bool) -> Iterator[tuple[str, str]]:
    """(name, text) of each line; no secret is in them."""
    settings, plan = have.settings, have.plan
    clusters = plan.inventory.clusters
    resources = sum(len(cluster.resources) for cluster in clusters)
    yield "topics", topics_text(topics_of(plan.inventory, settings.topics))
    counted = f"{len(plan.slos)} SLOs in {len(plan.series)} series"
    where = f"{resources} resources of {len(clusters)} clusters"
    yield "watches", f"{counted}, on {where}"
    if evaluates:
        yield "store", store_text(settings.store)
        yield "pages", pages_text(settings)
        yield "tickets", tickets_text(settings)


def topics_text(topics: Topics) -> str:
    """The topics that are read, with their formats."""
    shared = [f"{name} ({form})" for name, form in sorted(topics.shared.items())]
    changes = [f"{prefix}.* (CDC)" for prefix in sorted(topics.prefixes)]
    return ", ".join([*shared, *changes])


def store_text(url: str) -> str:
    """Where the ledger is, without user and password."""
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        return url
    port = f":{parts.port}" if parts.port else ""
    return (
        f"{parts.scheme.partition('+')[0]}://{parts.hostname or ''}{port}{parts.path}"
    )


def pages_text(settings: Settings) -> str:
    """Who is paged; of URLs the host alone."""
    if settings.pagerduty_key:
        return f"PagerDuty at {host(settings.pagerduty_url)}"
    return (
        f"nobody: DBSLO_PAGERDUTY_KEY is not set; pages go to {tickets_text(settings)}"
    )


def tickets_text(settings: Settings) -> str:
    """Who hears of tickets."""
    if settings.webhook_url:
        return f"the webhook at {host(settings.webhook_url)}, and the log"
    return "the log"


def host(url: str) -> str:
    """The host of a URL, with its port: user, path and query may be secrets."""
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)
