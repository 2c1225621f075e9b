"""How a value is written and judged: units, steps, mappings, overrides, links."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from dashboards.policy_lines import NEUTRAL, Step


class About(NamedTuple):
    """What a panel shows, what good looks like, what to do where it is bad."""

    what: str
    good: str
    if_bad: str

    @property
    def text(self) -> str:
        """The description as Grafana shows it."""
        return (
            f"**What:** {self.what}\n\n**Good:** {self.good}"
            f"\n\n**If bad:** {self.if_bad}"
        )


class Query(NamedTuple):
    """PromQL and the name of what it draws (labels in double braces).

    `instant`: asked for this moment alone, so that the order of `sort` is kept.
    """

    expr: str
    legend: str = ""
    instant: bool = False


class Link(NamedTuple):
    """Where a click on a value leads."""

    title: str
    url: str


class Override(NamedTuple):
    """Field properties for the series or column of this name."""

    field: str
    properties: dict[str, Any]


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """How a value is written and judged. `unit` is one of Grafana's unit ids."""

    unit: str
    steps: tuple[Step, ...] = NEUTRAL
    decimals: int | None = None
    low: float | None = None
    high: float | None = None
    no_value: str = "no data"
    mappings: Sequence[dict[str, Any]] = ()
    overrides: tuple[Override, ...] = ()
    links: tuple[Link, ...] = ()  # on each value

    @property
    def judges(self) -> bool:
        """Whether a value is coloured by what it means."""
        return len(self.steps) > 1 or bool(self.mappings)


def properties(look: Look, **further: Any) -> dict[str, Any]:
    """A look as field properties: of a panel, of one column or of one series."""
    found = {
        "decimals": look.decimals,
        "links": [_data_link(link) for link in look.links] or None,
        "mappings": list(look.mappings) or None,
        "max": look.high,
        "min": look.low,
        "thresholds": _thresholds(look.steps),
        "unit": look.unit,
    }
    return {name: v for name, v in found.items() if v is not None} | further


def field_config(look: Look, **further: Any) -> dict[str, Any]:
    """The field configuration of a panel; `further` are defaults of its kind."""
    defaults = properties(look, color={"mode": "thresholds"}, noValue=look.no_value)
    overrides = [_override(one) for one in look.overrides if one.properties]
    return {"defaults": defaults | further, "overrides": overrides}


def dashed(color: str) -> dict[str, Any]:
    """Override properties that make a series a line to compare others with."""
    return {
        **colored(color),
        "custom.fillOpacity": 0,
        "custom.lineStyle": {"dash": [10, 10], "fill": "dash"},
        "custom.lineWidth": 1,
    }


def colored(color: str) -> dict[str, Any]:
    """Override properties that fix a series' colour."""
    return {"color": {"fixedColor": color, "mode": "fixed"}}


def _override(override: Override) -> dict[str, Any]:
    listed = sorted(override.properties.items())
    return {
        "matcher": {"id": "byName", "options": override.field},
        "properties": [{"id": name, "value": value} for name, value in listed],
    }


def _thresholds(steps: tuple[Step, ...]) -> dict[str, Any]:
    listed = [{"color": step.color, "value": step.at} for step in steps]
    return {"mode": "absolute", "steps": listed}


def _data_link(link: Link) -> dict[str, Any]:
    return {"targetBlank": False, "title": link.title, "url": link.url}
