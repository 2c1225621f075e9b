"""The line writer against prometheus-client's own: the same families, in every format."""

import gzip
from collections.abc import Iterable
from itertools import islice
from urllib.request import Request, urlopen

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as openmetrics_families,
)
from prometheus_client.parser import text_string_to_metric_families

from slo.ledger import SeriesLedger
from slo.model import MINUTE, Counts
from slo.policy import DEFAULT, Policy, compressed
from streams.exposition import CHUNK, Lines, metrics_app
from streams.listener import Listener
from streams.metrics import EngineCollector
from streams.timing import Timings
from streams.view import SeriesView
from tests.streams.test_metrics import FIGURES, NOW, OBJECTIVE, SERIES, outage, view

ACCEPTS = {
    "plain": "text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
    "utf-8 names": "text/plain;version=1.0.0;escaping=allow-utf-8",
    "openmetrics": "application/openmetrics-text;version=1.0.0,text/plain;q=0.5",
    "anything": "",
}


def collector_of(views: list[SeriesView], policy: Policy = DEFAULT) -> EngineCollector:
    timings = Timings()
    timings.observe("ingest", 0.004)
    return EngineCollector(
        lambda: views,
        lambda: FIGURES,
        timings,
        policy=policy,
        clock=lambda: NOW,
        version='0.1.0"',
    )


def asked(
    collector: EngineCollector, accept: str, **more: str
) -> tuple[str, list[bytes]]:
    """The content type and the chunks of an answer."""
    told = {}

    def start(status, headers):
        told.update(headers, status=status)

    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/metrics", "HTTP_ACCEPT": accept}
    chunks = list(metrics_app(collector)({**environ, **more}, start))
    assert told["status"] == "200 OK"
    return told["Content-Type"], chunks


def plain(families: Iterable) -> list[tuple]:
    """Within a family the order of samples says nothing."""
    return [
        (
            f.name,
            f.type,
            f.documentation,
            sorted(f.samples, key=lambda one: (one.name, sorted(one.labels.items()))),
        )
        for f in families
    ]


def sorted_by_name(families: list[tuple]) -> list[tuple]:
    return sorted(families, key=lambda family: family[0])


words = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"])
    | st.sampled_from('\\"\n,={} '),
    max_size=12,
)
minutes = st.lists(st.sampled_from([0, 1, 2]), max_size=90)


@settings(max_examples=60)
@example([("ends in \\", 'the "night"\nshift\\team', [1])], "plain", DEFAULT)
@example([("\\n", "a\\", [0]), ("{,}", "=", [])], "openmetrics", DEFAULT)
@given(
    st.lists(st.tuples(words, words, minutes), max_size=4),
    st.sampled_from(sorted(ACCEPTS)),
    st.sampled_from([DEFAULT, compressed(DEFAULT, 12), Policy(DEFAULT.tiers[:1])]),
)
def test_what_is_read_from_our_lines_is_what_is_read_from_prometheus_clients(
    described, how, policy
):
    views = []
    for number, (service, owner, said) in enumerate(described):
        ledger = SeriesLedger()
        for minute, bad in enumerate(said):
            ledger.put(NOW - (90 - minute) * MINUTE, Counts(2 - bad, 2))
        slo = replace(OBJECTIVE, service=service, annotations={"owner": owner})
        resource = replace(SERIES.resource, name=f"{number}")
        series = replace(SERIES, slo=slo, resource=resource)
        views.append(view(ledger, 5 if said else None, series=series, policy=policy))
    collector = collector_of(views, policy)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(collector)
    kind, chunks = asked(collector, ACCEPTS[how])
    ours = b"".join(chunks).decode()
    if "openmetrics" in kind:
        theirs = openmetrics.generate_latest(registry).decode()
        parse = openmetrics_families
        assert ours.endswith("# EOF\n")
    else:
        theirs = generate_latest(registry).decode()
        parse = text_string_to_metric_families
    assert sorted_by_name(plain(parse(ours))) == sorted_by_name(plain(parse(theirs)))
    assert sorted(line for line in ours.splitlines() if line.startswith("#")) == sorted(
        line for line in theirs.splitlines() if line.startswith("#")
    )


def test_lines_come_in_the_order_of_the_series_every_time():
    ledger = outage()
    views = [
        view(ledger, series=replace(SERIES, resource=replace(SERIES.resource, name=n)))
        for n in ("b", "a", "c")
    ]
    one, other = (asked(collector_of(views), "")[1] for _ in range(2))
    assert one == other
    floors = [
        line.split('resource="')[1][0]
        for line in b"".join(one).decode().splitlines()
        if line.startswith("dbslo_hot_floor_seconds{")
    ]
    assert floors == ["b", "a", "c"]


def test_no_chunk_holds_a_family_of_more_series_than_fit():
    one = view(outage())
    few, many = (asked(collector_of([one] * n), "")[1] for n in (CHUNK, 3 * CHUNK))
    assert max(map(len, many)) == max(map(len, few))
    assert len(b"".join(many)) > 2.9 * len(b"".join(few))


def test_a_number_that_is_none_has_no_line():
    seen = view(outage())
    spent = replace(seen.status.budget, spent_ratio=float("nan"))
    broken = replace(seen, status=replace(seen.status, budget=spent))
    whole, text = (
        b"".join(asked(collector_of([one]), "")[1]).decode() for one in (seen, broken)
    )
    missing = set(whole.splitlines()) - set(text.splitlines())
    assert {line.partition("{")[0] for line in missing} == {"dbslo_budget_spent_ratio"}
    assert "null" not in text


def test_who_takes_the_place_of_another_is_written_under_its_own_labels():
    views = [view(outage())]
    collector = collector_of(views)
    app = metrics_app(collector)

    def answer() -> str:
        environ = {"REQUEST_METHOD": "GET", "HTTP_ACCEPT": ""}
        return b"".join(app(environ, lambda *_: None)).decode()

    before = answer()
    slo = replace(OBJECTIVE, service="shop", annotations={"owner": "night"})
    views[0] = view(outage(), series=replace(SERIES, slo=slo))
    assert views[0].series.key == SERIES.key
    assert 'service="databases"' in before
    assert 'service="databases"' not in answer()
    assert 'owner="night"' in answer()


def test_a_scrape_changes_nothing_that_another_reads_meanwhile():
    collector = collector_of([view(outage())] * (CHUNK + 1))
    lines = Lines(collector.layout)
    rows = collector.rows()

    def beside():
        yield from islice(rows, CHUNK)
        read = lines._known  # as the other finds it, when this one is half done
        held.append((read, dict(read)))
        yield from rows

    held = []
    lines.told(beside())
    (read, before), known = held[0], lines._known
    assert read == before == {}
    lines.told(collector_of([]).rows())
    assert (set(known), lines._known) == ({SERIES.key}, {})


@pytest.mark.parametrize("how", sorted(ACCEPTS))
def test_a_scraper_that_takes_gzip_gets_gzip_and_reads_the_same(how):
    collector = collector_of([view(outage())])
    told = asked(collector, ACCEPTS[how])
    packed = asked(collector, ACCEPTS[how], HTTP_ACCEPT_ENCODING="gzip")
    assert packed[0] == told[0]
    assert gzip.decompress(b"".join(packed[1])) == b"".join(told[1])


def test_who_asks_by_name_gets_that_family_alone():
    with Listener("127.0.0.1", 0, collector_of([view(outage())]), {}) as listener:
        url = f"{listener.url}/metrics?name[]=dbslo_hot_floor_seconds"
        with urlopen(Request(url), timeout=5) as answer:
            text = answer.read().decode()
    assert [f.name for f in text_string_to_metric_families(text)] == [
        "dbslo_hot_floor_seconds"
    ]


def test_an_hour_of_nothing_has_every_family_and_no_sample():
    text = b"".join(asked(collector_of([]), "")[1]).decode()
    series = [f for f in text_string_to_metric_families(text) if not f.samples]
    assert len(series) == 24
