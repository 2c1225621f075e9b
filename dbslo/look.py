"""Looking at a store: the plan, the store and what commands read of it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import click

from dbslo.given import Given
from slo.plan import Plan
from streams import reading
from streams.store import Store
from streams.topics import Topics, topics_of
from streams.view import SeriesView

SQLITE = "sqlite:///"


class Look(NamedTuple):
    """An open store with the plan that explains it."""

    plan: Plan
    store: Store
    topics: Topics

    def views(self) -> list[SeriesView]:
        """Every series at its cluster's now, by key."""
        return reading.views(self.plan, self.store, self.topics)


@contextmanager
def look(have: Given) -> Iterator[Look]:
    """Open the store for the length of a command.

    Raises click.ClickException where it is a file that does not exist: looking must
    not make one.
    """
    plan, settings = have.plan, have.settings
    if settings.store.startswith(SQLITE):
        path = Path(settings.store.removeprefix(SQLITE))
        if not path.exists():
            remedy = "check DBSLO_STORE or --store, or start `dbslo run` first"
            raise click.ClickException(f"no such file: {path}; {remedy}")
    store = Store(settings.store)
    try:
        yield Look(plan, store, topics_of(plan.inventory, settings.topics))
    finally:
        store.close()


def chosen(
    views: Sequence[SeriesView], slo: str | None, resource: str | None = None
) -> list[SeriesView]:
    """The views of an SLO, on a resource.

    Raises click.UsageError, naming what there is, where nothing fits.
    """
    if slo is None:
        return list(views)
    named = [view for view in views if view.series.slo.name == slo]
    if not named:
        known = sorted({view.series.slo.name for view in views})
        raise click.UsageError(f"no SLO {slo!r}; there are: {', '.join(known)}")
    if resource is None:
        return named
    found = [view for view in named if view.series.resource.name == resource]
    if not found:
        known = sorted(view.series.resource.name for view in named)
        raise click.UsageError(
            f"SLO {slo!r} is not measured on {resource!r}, but on {', '.join(known)}"
        )
    return found
