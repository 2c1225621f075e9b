"""Every board, as trees and as files.

The same plan gives the same bytes. Without a plan the boards are drawn by the
default policy; they serve any fleet, for everything on them is a variable.
"""

from pathlib import Path
from typing import Any

from grafanalib import core

from dashboards import detail, overview
from dashboards.lint import lint
from dashboards.normalise import dumped, normalised
from dashboards.scope import Scope, scope
from dashboards.variables import annotations, detail_variables, fleet_variables
from slo import names
from slo.plan import Plan

TAG = "dbslo"
SHARED_CROSSHAIR = 1


def boards(plan: Plan | None = None) -> dict[str, dict[str, Any]]:
    """Each board by its uid."""
    drawn = scope(plan)
    return {b.uid: normalised(b) for b in (_overview(drawn), _detail(drawn))}


def render(plan: Plan | None = None) -> dict[str, bytes]:
    """Each board as a file: its name and its bytes."""
    return {f"{uid}.json": dumped(tree) for uid, tree in boards(plan).items()}


def write(out: Path, plan: Plan | None = None) -> list[Path]:
    """Write every board below `out`, made if need be; the files that changed.

    Boards of ours that are no longer drawn are removed. Raises OSError.
    """
    out.mkdir(parents=True, exist_ok=True)
    wanted = render(plan)
    changed = [out / name for name, data in wanted.items() if _read(out / name) != data]
    for path in changed:
        path.write_bytes(wanted[path.name])
    for path in _leftover(out, wanted):
        path.unlink()
        changed.append(path)
    return changed


def check(out: Path, plan: Plan | None = None) -> list[str]:
    """What is wrong with the boards of the plan and their files; empty: nothing.

    The files below `out` must be what would be drawn today, and what would be
    drawn must pass every rule of `dashboards.lint`.
    """
    wanted = render(plan)
    drawn = scope(plan)
    return [
        *map(str, lint(boards(plan), drawn.policy, drawn.period_ms)),
        *(_stale(out / name) for name, d in wanted.items() if _read(out / name) != d),
        *(f"{path}: no board of this name is drawn" for path in _leftover(out, wanted)),
    ]


def _stale(path: Path) -> str:
    state = "is not what would be drawn today" if path.exists() else "is missing"
    return f"{path}: {state}; run `dbslo dashboards --out {path.parent}`"


def _leftover(out: Path, wanted: dict[str, bytes]) -> list[Path]:
    return sorted(p for p in out.glob("dbslo-*.json") if p.name not in wanted)


def _read(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


def _overview(drawn: Scope) -> core.Dashboard:
    return _board(
        names.BOARD_OVERVIEW,
        "dbslo / Fleet",
        "Every SLO of the fleet: who pages, what is worst, how much budget is left.",
        core.Templating(list=fleet_variables()),
        overview.panels(drawn),
    )


def _detail(drawn: Scope) -> core.Dashboard:
    return _board(
        names.BOARD_SLO_DETAIL,
        "dbslo / SLO in detail",
        "One SLO on one resource, from the verdict down to the trust in its data.",
        core.Templating(list=detail_variables()),
        detail.panels(drawn),
    )


def _board(
    uid: str,
    title: str,
    description: str,
    variables: core.Templating,
    panels: list[core.Panel],
) -> core.Dashboard:
    is_fleet = uid == names.BOARD_OVERVIEW
    return core.Dashboard(
        uid=uid,
        title=title,
        description=description,
        templating=variables,
        panels=panels,
        annotations=core.Annotations(list=annotations(fleet=is_fleet)),
        editable=False,
        graphTooltip=SHARED_CROSSHAIR,
        links=[_siblings()],
        refresh="1m",
        tags=[TAG],
        time=core.Time("now-24h" if is_fleet else "now-6h", "now"),
        timezone="browser",
    )


def _siblings() -> core.DashboardLink:
    """A drop-down of our boards, keeping time and variables."""
    return core.DashboardLink(
        asDropdown=True,
        icon="external link",
        includeVars=True,
        keepTime=True,
        tags=[TAG],
        title="dbslo boards",
        tooltip="The other boards, at the same time",
        type="dashboards",
    )
