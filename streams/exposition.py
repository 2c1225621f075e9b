"""/metrics as text: a line writer for the series of SLOs beside prometheus-client.

prometheus-client walks objects, and takes 10 us a sample: half a million samples, as
10,000 series have, take it 6 s. Here the labels of a series are written once and each
line is put together from them. Everything else is prometheus-client's: negotiation,
the engine's own families, and whatever is asked for by name.
"""

import zlib
from collections.abc import Iterable, Iterator
from urllib.parse import parse_qs
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.exposition import choose_encoder, gzip_accepted
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from slo.contract import METRICS, Type
from slo.model import Series
from slo.names import SERIES_LABELS
from streams.metrics import EngineCollector
from streams.samples import INFO, PERIOD, Group, Layout, Row

CHUNK = 1_000
"""Series whose lines of one family are written at once, about 200 KB a window."""

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

    def answer(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        asked = parse_qs(environ.get("QUERY_STRING", ""))
        if environ["REQUEST_METHOD"] != "GET" or "name[]" in asked:
            return by_name(environ, start)
        encoder, kind = choose_encoder(environ.get("HTTP_ACCEPT", ""))
        headers = [("Content-Type", kind)]
        open_metrics = kind.startswith("application/openmetrics-text")
        chunks = _text(collector, open_metrics=open_metrics, rest=encoder(engine))
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


def _text(
    collector: EngineCollector, *, open_metrics: bool, rest: bytes
) -> Iterator[bytes]:
    """The families of the series, then the `rest`, which ends the text."""
    layout = collector.layout
    told = [(series, _labels(series), row) for series, row in collector.rows()]
    for group in layout.groups:
        yield _head(group.name, open_metrics=open_metrics).encode()
        for at in range(0, len(told), CHUNK):
            some = told[at : at + CHUNK]
            yield "".join(_lines(layout, group, some)).encode()
    yield rest


def _lines(
    layout: Layout, group: Group, told: list[tuple[Series, str, Row]]
) -> list[str]:
    name, begin, end, extra = group
    if extra[0] in (PERIOD, INFO):  # one sample, whose labels each series tells
        tails = [_tail(name, layout.own(series, extra[0])) for series, _, _ in told]
        return [
            f"{name}{labels}{tail}{row[begin]!r}\n"
            for (_, labels, row), tail in zip(told, tails, strict=True)
            if row[begin] is not None
        ]
    ends = [_tail(name, more) for more in extra]
    return [
        f"{name}{labels}{tail}{value!r}\n"
        for _, labels, row in told
        for tail, value in zip(ends, row[begin:end], strict=True)
        if value is not None
    ]


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
