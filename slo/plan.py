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
