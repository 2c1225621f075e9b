"""/metrics as text: a line writer for the series of SLOs beside prometheus-client.

prometheus-client walks objects, and takes 10 us a sample: half a million samples, as
10,000 series have, take it 6 s. Here the labels of a series are written once for as long
as it is told of, the numbers of a thousand series at a time, and lines are only strung
together from both. Everything else is prometheus-client's: negotiation, the engine's own
families, and whatever is asked for by name.
"""

import zlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import compress, islice
from typing import NamedTuple
from urllib.parse import parse_qs
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import msgspec
from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.exposition import choose_encoder, gzip_accepted
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from slo import names
from slo.contract import METRICS, Type
from slo.model import Series
from slo.names import SERIES_LABELS
from streams.metrics import EngineCollector
from streams.samples import INFO, PERIOD, Group, Layout, Row

CHUNK = 1_000
"""Series whose lines are strung together at once, about 200 KB for one window."""

NOTHING = "null"
"""How msgspec writes None, and what is no number."""

COMPRESSION = 1
"""gzip's fastest: 3 % of the bytes for another fifth of the time."""


class _Engine(Collector):
    """The families that are no series'."""

    def __init__(self, collector: EngineCollector) -> None:
        self._collector = collector

    def collect(self) -> Iterable[Metric]:
        """They alone."""
        return self._collector.engine()


def metrics_app(collector: EngineCollector) -> WSGIApplication:
    """Serves a collector, in the format that the scraper asks for, chunk by chunk."""
    whole, engine = (CollectorRegistry(auto_describe=False) for _ in range(2))
    whole.register(collector)
    engine.register(_Engine(collector))
    by_name: WSGIApplication = make_wsgi_app(whole)
    lines = Lines(collector.layout)

    def answer(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        asked = parse_qs(environ.get("QUERY_STRING", ""))
        if environ["REQUEST_METHOD"] != "GET" or "name[]" in asked:
            return by_name(environ, start)
        encoder, kind = choose_encoder(environ.get("HTTP_ACCEPT", ""))
        headers = [("Content-Type", kind)]
        open_metrics = kind.startswith("application/openmetrics-text")
        told = lines.told(collector.rows())
        chunks = lines.text(told, open_metrics=open_metrics, rest=encoder(engine))
        if gzip_accepted(environ.get("HTTP_ACCEPT_ENCODING", "")):
            headers.append(("Content-Encoding", "gzip"))
            chunks = _zipped(chunks)
        start("200 OK", headers)
        return chunks

    return answer


def _zipped(chunks: Iterable[bytes]) -> Iterator[bytes]:
    packer = zlib.compressobj(COMPRESSION, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    for chunk in chunks:
        packed = packer.compress(chunk)
        if packed:
            yield packed
    yield packer.flush()


# -- lines -----------------------------------------------------------------------


class Labelled(NamedTuple):
    """The labels of a series as they are written: its own, and those that it tells.

    `own` lacks the brace at its end, `period` and `info` are what may follow.
    """

    series: Series
    own: str
    period: str
    info: str


class Told(NamedTuple):
    """What some series say: who they are, and column by column their numbers in JSON.

    Half of what the numbers take, and written while they are at hand: a family at a
    time, each of them would have to be fetched from afar.
    """

    who: list[Labelled]
    own: list[str]
    columns: list[bytes]


class Lines:
    """Writes the lines of series; the labels of each are kept from scrape to scrape."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._known: dict[str, Labelled] = {}

    def told(self, rows: Iterable[tuple[Series, Row]]) -> list[Told]:
        """What the series say. Of whom there is none, nothing is kept.

        Several may ask at once, each in a thread: what they read is not changed.
        """
        known, kept = self._known, dict[str, Labelled]()
        shared: dict[str, str] = {one: one for k in known.values() for one in k[2:]}
        found, rest = [], iter(rows)
        while some := list(islice(rest, CHUNK)):
            who = []
            for series, _ in some:
                labelled = known.get(series.key)
                if labelled is None or labelled.series is not series:
                    labelled = self._labelled(series, shared)
                kept[series.key] = labelled
                who.append(labelled)
            columns = zip(*(row for _, row in some), strict=True)
            own = [labelled.own for labelled in who]
            found.append(Told(who, own, list(map(_encode, columns))))
        self._known = kept
        return found

    def _labelled(self, series: Series, shared: dict[str, str]) -> Labelled:
        own = self._layout.own
        period = _tail(names.OBJECTIVE_RATIO, own(series, PERIOD))
        info = _tail(names.SLO_INFO, own(series, INFO))
        return Labelled(
            series,
            _labels(series),
            shared.setdefault(period, period),
            shared.setdefault(info, info),
        )

    def text(
        self, told: Sequence[Told], *, open_metrics: bool, rest: bytes
    ) -> Iterator[bytes]:
        """The families of the series, then the `rest`, which ends the text."""
        for group in self._layout.groups:
            yield _head(group.name, open_metrics=open_metrics).encode()
            for some in told:
                yield from map(str.encode, _lines(group, some))
        yield rest


_encode = msgspec.json.Encoder().encode
"""Writes the digits of a float in a tenth of the time that `repr` takes."""


def _lines(group: Group, told: Told) -> Iterator[str]:
    """The lines of some series in one family, column by column."""
    who, own, name = told.who, told.own, group.name
    for extra, column in zip(
        group.extra, told.columns[group.begin : group.end], strict=True
    ):
        if extra is PERIOD:
            tails: Sequence[str] = [labelled.period for labelled in who]
        elif extra is INFO:
            tails = [labelled.info for labelled in who]
        else:
            tails = [_tail(name, extra)] * len(who)
        written = column[1:-1].decode().split(",")
        if NOTHING in written:  # of what is not said there is no line
            said = [value != NOTHING for value in written]
            parts = (list(compress(some, said)) for some in (own, tails, written))
            yield _strung(name, *parts)
        else:
            yield _strung(name, own, tails, written)


def _strung(
    name: str, own: Sequence[str], tails: Sequence[str], values: Sequence[str]
) -> str:
    """Lines of one family from the parts of each."""
    size = len(values)
    parts = [f"\n{name}"] * (4 * size + 1)
    parts[1::4], parts[2::4], parts[3::4] = own, tails, values
    parts[0], parts[-1] = (name, "\n") if size else ("", "")
    return "".join(parts)


def _labels(series: Series) -> str:
    pairs = [f'{name}="{_escaped(v)}"' for name, v in series.labels.items()]
    return "{" + ",".join(pairs)


def _tail(name: str, values: tuple[str, ...]) -> str:
    further = METRICS[name].labels[len(SERIES_LABELS) :]
    pairs = [f',{k}="{_escaped(v)}"' for k, v in zip(further, values, strict=True)]
    return "".join(pairs) + "} "


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _head(name: str, *, open_metrics: bool) -> str:
    metric = METRICS[name]
    said = metric.help.replace("\\", "\\\\").replace("\n", "\\n")
    if open_metrics:
        said = said.replace('"', '\\"')
        if metric.type is Type.COUNTER:
            name = name.removesuffix("_total")
    return f"# HELP {name} {said}\n# TYPE {name} {metric.type.value}\n"
