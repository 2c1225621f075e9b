"""Three hours of a small fleet, as scrapes of the engine's own collector.

One SLO on five resources: well, paging, asking for a ticket, watched, and silent.
The outage begins 40 minutes before the end and lasts 25.
"""

from collections.abc import Iterator

import msgspec

from slo.evaluation import Timing, evaluate
from slo.ledger import SeriesLedger
from slo.model import (
    HOUR,
    MINUTE,
    SECOND,
    SLO,
    Counts,
    Series,
    Urgency,
)
from slo.policy import DEFAULT
from slo.resources import (
    Cluster,
    Engine,
    Resource,
    ResourceKind,
)
from slo.verdict import Alert
from streams.metrics import EngineCollector, Figures
from streams.timing import Timings
from streams.view import SeriesView
from tests.fleet import CLOUDWATCH_LAG, LAG_SLO

END = 1_794_002_400_000  # a full hour, where long windows begin
LENGTH = 3 * HOUR
OUTAGE = range(END - 40 * MINUTE, END - 15 * MINUTE)
NAMES = ("well", "paging", "ticketing", "watched", "silent")
CLUSTER = Cluster("orders", Engine.AURORA_MYSQL, {"env": "prod"}, instances=NAMES)
TIMING = Timing(MINUTE, 3 * MINUTE)
URGENCY = {"ticketing": Urgency.TICKET, "watched": Urgency.BOARD}


def objective(name: str) -> SLO:
    return msgspec.structs.replace(
        LAG_SLO,
        name=f"{name}-fresh",
        urgency=URGENCY.get(name, Urgency.PAGE),
        labels={"team": "payments"},
        revision="1a2b3c",
    )


def series(name: str) -> Series:
    resource = Resource(name, ResourceKind.INSTANCE, CLUSTER.name)
    return Series(objective(name), resource, CLUSTER, (CLOUDWATCH_LAG,))


class Fleet:
    """The five ledgers, driven minute by minute."""

    def __init__(self) -> None:
        self.series = [series(name) for name in NAMES]
        self.ledgers = {name: SeriesLedger() for name in NAMES}
        self.now_ms = END - LENGTH
        self.timings = Timings()
        self.collector = EngineCollector(
            self.views,
            self.figures,
            self.timings,
            policy=DEFAULT,
            clock=lambda: self.now_ms,
            version="0.1.0",
        )

    def minute(self) -> None:
        """The minute before now is judged; on `silent` nothing ever is, after one."""
        start = self.now_ms - MINUTE
        for name, ledger in self.ledgers.items():
            bad = start in OUTAGE and name != "well"
            if name != "silent" or ledger.first is None:
                ledger.put(start, Counts(0 if bad else 1, 1))
        self.timings.observe("ingest", 0.02)
        self.timings.observe("evaluate", 0.04)

    def views(self) -> list[SeriesView]:
        return [self._view(one) for one in self.series]

    def _view(self, one: Series) -> SeriesView:
        ledger = self.ledgers[one.resource.name]
        status = evaluate(
            one, ledger, policy=DEFAULT, timing=TIMING, now_ms=self.now_ms
        )
        first = Counts(ledger.known_good, ledger.known_good + ledger.known_bad)
        return SeriesView(
            series=one,
            status=status,
            alert=Alert(one.key),
            first_known=first,
            now_known=ledger.window(0, self.now_ms).counts,
            now_ms=self.now_ms,
            revisions=ledger.revisions,
            source_age_ms=self.now_ms - (ledger.last or 0),
        )

    def figures(self) -> Figures:
        """Engine counters that rise with time."""
        passed = (self.now_ms - END + LENGTH) // MINUTE
        return Figures(
            records={("cloudwatch", "ok"): 100 * passed, ("cloudwatch", "late"): 1},
            refused={("cloudwatch", "in the future"): passed},
            lag={("cloudwatch", 0): 7, ("cloudwatch", 1): 2},
            checkpoints_ms={0: self.now_ms - 3 * SECOND},
            notified={("pagerduty", "sent"): passed // 60},
            outbox_oldest_ms=None,
            incidents_open=1 if self.now_ms in OUTAGE else 0,
            unknown_resources=2,
            adjusted={"outweighed": passed},
            lost={("cloudwatch", 0): 0},
        )


def exposition() -> Iterator[str]:
    """All scrapes, one a minute, as OpenMetrics lines with their times."""
    fleet = Fleet()
    while fleet.now_ms <= END:
        fleet.minute()
        for family in fleet.collector.collect():
            for sample in family.samples:
                labels = ",".join(f'{k}="{v}"' for k, v in sample.labels.items())
                at = fleet.now_ms / SECOND
                yield f"{sample.name}{{{labels}}} {float(sample.value)!r} {at}"
        fleet.now_ms += MINUTE
    yield "# EOF"
