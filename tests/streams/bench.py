"""An evaluator with a store of its own, for the stories of stage 2."""

from slo.model import BUCKET_MS, HOUR, MINUTE, SECOND
from streams.batch import SCHEMA_VERSION, Batch, Cell, Delta, Mark, Route
from streams.evaluate import Evaluator
from streams.reading import dump
from streams.store import Store
from streams.topics import topics_of
from tests.fleet import CDC, INSTANCE, PLAN, PROXY

T0 = 1_794_000_000_000 // HOUR * HOUR
TOPICS = topics_of(PLAN.inventory)
INPUTS = {"cloudwatch": 1, "orders.public.t": 1}

ROUTES = [
    Route(INSTANCE.key, "cloudwatch:Lag", "", MINUTE),
    Route(PROXY.key, "cloudwatch:Succeeded", "", MINUTE),
    Route(PROXY.key, "cloudwatch:Received", "", MINUTE),
    Route(CDC.key, "cdc:event", "", BUCKET_MS),
    Route(CDC.key, "cdc:rows/30000", "", BUCKET_MS),
    Route("instance:nobody", "cloudwatch:Lag", "", MINUTE),
]
LAG, GOOD, TOTAL, EVENT, ROWS, NOBODY = range(6)


def marks(now_ms: int) -> list[Mark]:
    return [Mark(topic, 0, 0, now_ms) for topic in INPUTS]


def batch(now_ms: int, cells: list[Cell], deltas: list[Delta] | None = None) -> Batch:
    return Batch(
        SCHEMA_VERSION, "w", now_ms, marks(now_ms), INPUTS, ROUTES, cells, deltas or []
    )


def cell(route: int, start_ms: int, value: float, count: float = 0) -> Cell:
    return (route, start_ms, start_ms, count, value, value, value)


class Bench:
    """An evaluator on a store, restarted and dumped at will."""

    def __init__(self, url: str) -> None:
        self.store = Store(url)
        self.restart()

    def restart(self) -> None:
        self.evaluator = Evaluator(PLAN, self.store, TOPICS)
        self.next = self.evaluator.assigned()

    def apply(self, *batches: Batch, clock_ms: int = 0):
        self.next += 1
        return self.evaluator.apply(batches, self.next, clock_ms)

    def dump(self, until_ms: int) -> list[str]:
        return list(dump(PLAN, self.store, TOPICS, until_ms))


def broken(bench: Bench, from_minute: int, minutes_bad: int, total: int):
    """A replica that breaks; CloudWatch tells 150 s after the end of each minute."""
    changes = []
    for n in range(total):
        start = T0 + n * MINUTE
        bad = from_minute <= n < from_minute + minutes_bad
        now = start + MINUTE + 150 * SECOND
        beats = [
            cell(EVENT, at, float(at))
            for at in range(now // BUCKET_MS * BUCKET_MS - MINUTE, now + 1, BUCKET_MS)
        ]
        lag = cell(LAG, start, -1.0 if bad else 0.2)
        changes += bench.apply(batch(now, [lag, *beats]))
    return changes
