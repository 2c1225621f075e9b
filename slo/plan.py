"""The plan: what is measured on what, by which policy."""

import msgspec

from slo.model import (
    SLO,
    Series,
)
from slo.policy import DEFAULT, Policy
from slo.resources import (
    Inventory,
)


class Plan(msgspec.Struct, frozen=True):
    """Specifications fanned out over the fleet; all that the engine needs to know."""

    inventory: Inventory
    slos: tuple[SLO, ...]
    series: tuple[Series, ...]
    policy: Policy = DEFAULT

    @property
    def longest_ms(self) -> int:
        """The longest stretch that anything is judged by, a window or a period, in ms."""
        periods = (series.slo.period_ms for series in self.series)
        return max(*self.policy.windows_ms, *periods)
