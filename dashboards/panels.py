"""Our taste, once: typed panel factories over grafanalib.

A panel cannot be made without a description, a unit and a judgement: these are
arguments. grafanalib gives the frame (panel, grid, targets); what it knows of
options and field configuration stems from Grafana 6, so those are ours.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from grafanalib import core

from dashboards.looks import About, Look, Query, field_config


class Lines(msgspec.Struct, frozen=True, kw_only=True):
    """How a chart over time is drawn. `time_from` overrides the board's range."""

    bars: bool = False
    fill: int = 0
    stacked: bool = False
    symlog: bool = False
    marks: bool = False  # draw the steps as dashed lines
    from_zero: bool = False  # the axis holds 0, and what is below it where it must
    time_from: str | None = None


PLAIN = Lines()
Json = dict[str, Any]


class ModernPanel(core.Panel):  # type: ignore[misc]  # grafanalib is untyped
    """A panel of any kind that Grafana has today, with its options as given."""

    def __init__(
        self, kind: str, options: Json, field_config: Json, **frame: Any
    ) -> None:
        super().__init__(**frame)
        self.kind = kind
        self.options = options
        self.field_config = field_config

    def to_json_data(self) -> dict[str, Any]:
        """The panel as grafanalib's encoder wants it."""
        whole: dict[str, Any] = self.panel_json({})
        whole.update(
            type=self.kind, options=self.options, fieldConfig=self.field_config
        )
        return whole


def text(title: str, about: About, markdown: str) -> ModernPanel:
    """A panel of words."""
    options = {"content": markdown, "mode": "markdown"}
    return panel("text", (title, about), (), options, field_config(Look(unit="none")))


def tile(title: str, about: About, query: Query, look: Look) -> ModernPanel:
    """One number, now: the last value, coloured by its steps."""
    options = {
        "colorMode": "background" if look.judges else "value",
        "graphMode": "none",
        "justifyMode": "auto",
        "orientation": "auto",
        "percentChangeColorMode": "standard",
        "reduceOptions": _last(),
        "showPercentChange": False,
        "textMode": "auto",
        "wideLayout": True,
    }
    return panel("stat", (title, about), [query], options, field_config(look))


def bars(title: str, about: About, queries: Sequence[Query], look: Look) -> ModernPanel:
    """One horizontal bar for each series, now."""
    options = {
        "displayMode": "basic",
        "legend": _legend(shown=False),
        "maxVizHeight": 300,
        "minVizHeight": 16,
        "minVizWidth": 8,
        "namePlacement": "left",
        "orientation": "horizontal",
        "reduceOptions": _last(),
        "showUnfilled": True,
        "sizing": "auto",
        "valueMode": "color",
    }
    return panel("bargauge", (title, about), queries, options, field_config(look))


def chart(
    title: str,
    about: About,
    queries: Sequence[Query],
    look: Look,
    lines: Lines = PLAIN,
) -> ModernPanel:
    """Lines or bars over time."""
    options = {"legend": _legend(), "tooltip": {"mode": "multi", "sort": "desc"}}
    colors = {"mode": "palette-classic"}
    fields = field_config(look, color=colors, custom=_graph(lines))
    made = panel("timeseries", (title, about), queries, options, fields)
    made.timeFrom = lines.time_from
    return made


def timeline(
    title: str, about: About, queries: Sequence[Query], look: Look
) -> ModernPanel:
    """States over time, one line for each series."""
    options = {
        "alignValue": "left",
        "legend": _legend(),
        "mergeValues": True,
        "rowHeight": 0.8,
        "showValue": "never",
        "tooltip": {"mode": "single", "sort": "none"},
    }
    fields = field_config(look, custom={"fillOpacity": 80, "lineWidth": 0})
    return panel("state-timeline", (title, about), queries, options, fields)


def panel(
    kind: str,
    head: tuple[str, About],
    queries: Iterable[Query],
    options: dict[str, Any],
    fields: dict[str, Any],
) -> ModernPanel:
    """A panel of one of Grafana's kinds; `head` is its title and description."""
    title, about = head
    targets = [
        core.Target(
            expr=query.expr,
            instant=query.instant,
            legendFormat=query.legend,
            refId=chr(65 + i),
        )
        for i, query in enumerate(queries)
    ]
    return ModernPanel(
        kind, options, fields, title=title, description=about.text, targets=targets
    )


def _last() -> dict[str, Any]:
    return {"calcs": ["lastNotNull"], "fields": "", "values": False}


def _legend(*, shown: bool = True) -> dict[str, Any]:
    return {
        "calcs": [],
        "displayMode": "list",
        "placement": "bottom",
        "showLegend": shown,
    }


def _graph(lines: Lines) -> dict[str, Any]:
    scale: dict[str, Any] = {"type": "linear"}
    if lines.symlog:  # a healthy burn of 0 has no logarithm
        scale = {"linearThreshold": 1, "log": 2, "type": "symlog"}
    zero = {"axisSoftMin": 0} if lines.from_zero else {}
    return zero | {
        "drawStyle": "bars" if lines.bars else "line",
        "fillOpacity": 70 if lines.bars else lines.fill,
        "lineInterpolation": "stepAfter",
        "lineWidth": 1,
        "scaleDistribution": scale,
        "showPoints": "never",
        "spanNulls": False,
        "stacking": {"group": "A", "mode": "normal" if lines.stacked else "none"},
        "thresholdsStyle": {"mode": "dashed" if lines.marks else "off"},
    }
