"""Drawing: Grafana boards generated from the plan, through grafanalib."""

from dashboards.boards import check, write

__all__ = ["check", "write"]
