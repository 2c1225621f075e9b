"""A partition that screens tells what one tells that judges everybody, at every batch."""

from fractions import Fraction
from tempfile import TemporaryDirectory

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slo.model import BUCKET_MS, DAY, MINUTE, SECOND, Budgeting, Series, Urgency
from slo.plan import Plan
from slo.policy import DEFAULT, compressed
from slo.resources import Cluster, Engine, Inventory
from streams.batch import SCHEMA_VERSION, Batch, Mark, Route
from streams.evaluate import Evaluator
from streams.store import Store
from streams.topics import topics_of
from streams.watch import Watch, _judged
from tests import fleet
from tests.streams.bench import T0

CLUSTERS = [
    Cluster(
        name,
        Engine.AURORA_MYSQL,
        {"env": "prod"},
        (f"{name}-a",),
        (f"{name}-proxy",),
        (name,),
    )
    for name in ("books", "coins")
]
REPLACE = msgspec.structs.replace
SLOS = [
    fleet.LAG_SLO,
    REPLACE(fleet.LAG_SLO, name="lag.ticket", urgency=Urgency.TICKET, min_bad=0),
    REPLACE(fleet.LAG_SLO, name="lag.week", period_ms=7 * DAY, slice_ms=7 * MINUTE),
    REPLACE(fleet.CONNECT_SLO, min_bad=10, min_total=100),
    REPLACE(
        fleet.CONNECT_SLO,
        name="connect.events",
        budgeting=Budgeting.OCCURRENCES,
        target=Fraction("0.9"),
        service="shop",
    ),
    fleet.FRESH_SLO,
    REPLACE(fleet.ROWS_SLO, min_bad=3, urgency=Urgency.BOARD),
]
FEEDS = {
    "lag": fleet.CLOUDWATCH_LAG,
    "connect": fleet.CLOUDWATCH_CONNECT,
    "fresh": fleet.CDC_EVENTS,
    "rows": fleet.CDC_EVENTS,
}


def plan(policy):
    series = tuple(
        Series(slo, resource, cluster, (feed,))
        for cluster in CLUSTERS
        for slo in SLOS
        for feed in [FEEDS[slo.name.partition(".")[0]]]
        for resource in cluster.resources
        if resource.kind is feed.resource
    )
    return Plan(Inventory(tuple(CLUSTERS)), tuple(SLOS), series, policy)


class Plainly(Watch):
    """Everybody is judged, whole, at every moment; what they look like is kept."""

    def begin(self, by_cluster, incidents):
        super().begin(by_cluster, incidents)
        self.kept = {}

    def evaluate(self, moments, told):
        for cluster, moment in sorted(moments.items()):
            self._moments[cluster] = moment
            turned = set()
            for state in self._by_cluster.get(cluster, ()):
                status = self.judge(state).status(
                    state.ledger, state.timing, moment.at_ms, moment.stale
                )
                self.kept[state.series.key] = status
                if _judged(state, status, told):
                    turned.add(state.series.key)
            if turned:
                self._join(cluster, turned, moment.at_ms, told)

    def status(self, state, now_ms):
        kept = self.kept.get(state.series.key)
        return super().status(state, now_ms) if kept is None else kept


class Both:
    """Two evaluators on the same batches, each with a store of its own."""

    def __init__(self, policy):
        self.plan = plan(policy)
        self.topics = topics_of(self.plan.inventory)
        self.folder = TemporaryDirectory()
        self.stores = [
            Store(f"sqlite:///{self.folder.name}/{name}.db") for name in "ab"
        ]
        self.next = 0
        self.begin()

    def begin(self):
        self.both = []
        for store, kind in zip(self.stores, (Plainly, Watch), strict=True):
            one = Evaluator(self.plan, store, self.topics)
            mine = [s for s in self.plan.series if one._mine(s.cluster.name)]
            few = {} if kind is Plainly else {"few": 0}
            one._watch = kind(mine, self.plan.policy, **few)
            one.assigned()
            self.both.append(one)

    def apply(self, batch, clock_ms):
        self.next += 1
        plain, screened = (one.apply([batch], self.next, clock_ms) for one in self.both)
        assert screened == plain

    def tick(self, clock_ms):
        plain, screened = (one.tick(clock_ms) for one in self.both)
        assert screened == plain
        self.compare()

    def compare(self):
        plain, screened = self.both
        assert screened.open_incidents == plain.open_incidents
        for was, found in zip(plain.views(), screened.views(), strict=True):
            assert found.alert == was.alert
            assert found.status.verdict is was.status.verdict
            assert found.status.at_ms == was.status.at_ms
            assert (found.first_known, found.now_known) == (
                was.first_known,
                was.now_known,
            )

    def letters(self):
        return [
            [(letter.notice, letter.version) for letter in store.letters()]
            for store in self.stores
        ]

    def close(self):
        for store in self.stores:
            store.close()
        self.folder.cleanup()


def routes_of(cluster):
    (instance,), (proxy,), (cdc,) = (
        [r.key for r in cluster.resources if r.kind is feed.resource]
        for feed in (
            fleet.CLOUDWATCH_LAG,
            fleet.CLOUDWATCH_CONNECT,
            fleet.CDC_EVENTS,
        )
    )
    return [
        Route(instance, "cloudwatch:Lag", "", MINUTE),
        Route(proxy, "cloudwatch:Succeeded", "", MINUTE),
        Route(proxy, "cloudwatch:Received", "", MINUTE),
        Route(cdc, "cdc:event", "", BUCKET_MS),
        Route(cdc, "cdc:rows/30000", "", BUCKET_MS),
    ]


ROUTES = [route for cluster in CLUSTERS for route in routes_of(cluster)]
INPUTS = {"cloudwatch": 1, "books.public.t": 1, "coins.public.t": 1}
REACH = {0: [0], 1: [1], 2: [0, 1]}

steps = st.lists(
    st.tuples(
        st.sampled_from(["good", "good", "bad", "bad", "some", "none"]),
        st.integers(1, 8),  # minutes of it
        st.sampled_from([0, 1, 2, 2]),  # on which clusters
        st.sampled_from([20, 60, 60, 240]),  # seconds to a batch
        st.sampled_from([0, 0, 0, 3, 40]),  # minutes late
        st.sampled_from([0, 0, 0, 9]),  # seconds without marks at the end
        st.booleans(),  # then a restart
    ),
    min_size=1,
    max_size=5,
)


def told(clusters, word, now, late):
    """Cells and rows of the newest minute and bucket, as a source words them."""
    cells, deltas = [], []
    minute = now // MINUTE * MINUTE - 3 * MINUTE - late * MINUTE
    bucket = now // BUCKET_MS * BUCKET_MS - BUCKET_MS
    received = 50.0
    good = {"good": 50.0, "bad": 0.0, "some": 49.0}[word]
    for cluster in clusters:
        first = cluster * 5
        lag = -1.0 if word == "bad" else 0.2
        for number, value in ((0, lag), (1, good), (2, received)):
            cells.append((first + number, minute, now, 1.0, value, value, value))
        if word != "bad":
            at = float(bucket)
            cells.append((first + 3, bucket, now, 1.0, at, at, at))
        deltas.append((first + 4, bucket, int(good), int(received)))
    return cells, deltas


@settings(max_examples=8, suppress_health_check=list(HealthCheck))
@given(st.sampled_from([DEFAULT, compressed(DEFAULT, 12)]), steps)
def test_whatever_comes_both_tell_the_same(policy, history):
    both, now, clock = Both(policy), T0, T0
    try:
        for word, minutes, which, every, late, silent, restart in history:
            for _ in range(0, minutes * 60, every):
                now, clock = now + every * SECOND, clock + every * SECOND
                cells, deltas = [], []
                if word != "none":
                    cells, deltas = told(REACH[which], word, now, late)
                marks = [Mark(topic, 0, 0, now) for topic in INPUTS]
                both.apply(
                    Batch(
                        SCHEMA_VERSION, "w", now, marks, INPUTS, ROUTES, cells, deltas
                    ),
                    clock,
                )
            if silent:
                both.tick(clock + silent * SECOND)
                clock += silent * SECOND
            both.compare()
            if restart:
                both.begin()
        plain, screened = both.letters()
        assert screened == plain
    finally:
        both.close()
