"""What a command was given: options before environment before file, and the plan of it."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from dbslo.load import gather_plan
from dbslo.settings import (
    ENVIRONMENT,
    Gathered,
    Settings,
    gather_settings,
    read_settings,
)
from slo.faults import Fault
from slo.model import Place, Urgency
from slo.plan import Plan
from slo.policy import DEFAULT, Policy, compressed
from slo.reading import Findings


class Given(msgspec.Struct, frozen=True):
    """Settings with a command's options in them, the plan, and what is odd about it."""

    settings: Settings
    plan: Plan
    warnings: tuple[Fault, ...]


def settings_of(environ: Mapping[str, str] | None = None, **options: Any) -> Settings:
    """The settings, with every option that was given in place of its setting.

    Raises SpecificationError with every fault.
    """
    read = read_settings(os.environ if environ is None else environ)
    chosen = {name: value for name, value in options.items() if value}
    return msgspec.structs.replace(read, **chosen)


def policy_of(settings: Settings) -> Policy:
    """The alert policy, compressed where the settings say so."""
    divisor = settings.policy_divisor
    return DEFAULT if divisor == 1 else compressed(DEFAULT, divisor)


def given(
    inventory: Path | None = None,
    specs: tuple[Path, ...] = (),
    store: str | None = None,
    **options: Any,
) -> Given:
    """Settings and plan. Raises SpecificationError with every fault of both together.

    Where the settings do not say what to read, nothing is said about that.
    """
    findings = Findings()
    gathered = gather_settings(os.environ, findings)
    read = gathered.settings
    chosen = {"inventory": inventory, "specs": specs, "store": store, **options}
    chosen = {name: value for name, value in chosen.items() if value}
    settings = msgspec.structs.replace(read, **chosen)
    unknown = _unknown(gathered) - chosen.keys()
    loaded = gather_plan(
        None if "specs" in unknown else settings.specs,
        None if "inventory" in unknown else settings.inventory,
        findings,
        policy_of(settings),
    )
    warnings = (*loaded.warnings, *bare_pages(settings, loaded.plan))
    return Given(settings, loaded.plan, warnings)


def _unknown(gathered: Gathered) -> frozenset[str]:
    """Which of what is to be read the settings do not say.

    A misspelt name may have been meant for it, where nothing stands at the default.
    """
    read, wrong, astray = gathered
    places = {"specs": read.specs, "inventory": (read.inventory,)}
    missing = {
        name
        for name, paths in places.items()
        if f"DBSLO_{name.upper()}" not in read.given
        and not any(path.exists() for path in paths)
    }
    return wrong | missing if astray else wrong


def bare_pages(settings: Settings, plan: Plan) -> Iterator[Fault]:
    """What keeps pages from leading whoever is woken to a board and a runbook."""
    if not settings.pagerduty_key:
        return
    place = Place(ENVIRONMENT, 0)
    if not settings.grafana_url:
        reason = "is not set: pages carry no link to a board"
        yield Fault(place, "DBSLO_GRAFANA_URL", reason, "Set Grafana's base URL")
    own = all(
        "runbook" in slo.annotations for slo in plan.slos if slo.urgency is Urgency.PAGE
    )
    if not settings.runbook_url and not own:
        reason = "is not set: pages carry no link to a runbook"
        remedy = "Publish docs/runbooks, and set its URL"
        yield Fault(place, "DBSLO_RUNBOOK_URL", reason, remedy)
