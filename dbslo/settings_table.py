"""The table of settings: how each is read, its default, what it means.

`dbslo --help`, the reference page and the reader of settings all read this table.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from dbslo.parsing import (
    address,
    bearer,
    brokers,
    choice,
    pairs,
    pairs_of,
    paths,
    region,
    routing_key,
    slot,
    url,
    whole,
)

PREFIX: Final = "DBSLO_"
MOST_PARTITIONS: Final = 1_000
FORMATS: Final = ("cloudwatch", "datadog", "vector", "debezium", "auto")


class Setting(msgspec.Struct, frozen=True):
    """One setting: how it is read, what it is without being set, what it means.

    `lines`: it is a mapping, and a line break in it says something.
    """

    name: str
    parse: Callable[[str], Any]
    default: str
    meaning: str
    secret: bool = False
    lines: bool = False

    @property
    def field(self) -> str:
        """Its name in `dbslo.yaml` and in Settings."""
        return self.name.removeprefix(PREFIX).lower()

    @property
    def keys(self) -> frozenset[str]:
        """What faults about it are called, wherever it is written."""
        names = (self.name, self.field)
        return frozenset(names) | {f"{self.name}_FILE", f"{self.field}_file"}


SETTINGS: Final = (
    Setting(
        "DBSLO_KAFKA",
        brokers,
        "",
        "Kafka's bootstrap servers, `host:port,host:port`. `run`, `ingest`, `evaluate`"
        " and `collect` need it; `demo` brings its own broker.",
    ),
    Setting(
        "DBSLO_KAFKA_OPTIONS",
        pairs,
        "",
        "More librdkafka settings for every client, `name=value,name=value`, such as"
        " `security.protocol=SASL_SSL,sasl.mechanism=SCRAM-SHA-512`. A file may hold"
        " one a line.",
        secret=True,
        lines=True,
    ),
    Setting(
        "DBSLO_KAFKA_IAM_REGION",
        region,
        "",
        "Sign in to Amazon MSK by IAM, in this region, with credentials where boto3 finds"
        " them (SASL_SSL, OAUTHBEARER). Needs `pip install 'dbslo[msk]'`, and the native"
        " runtime.",
    ),
    Setting(
        "DBSLO_TOPICS",
        pairs_of(*FORMATS),
        "cloudwatch=cloudwatch,datadog=datadog",
        "The shared raw topics and their formats, `topic=format`: `cloudwatch`,"
        " `datadog`, `vector`, `debezium`, or `auto` to look at each record. CDC topics"
        " come from the inventory's `cdc_prefixes`.",
        lines=True,
    ),
    Setting(
        "DBSLO_PARTITIONS",
        whole(1, MOST_PARTITIONS),
        "12",
        "Partitions of the observations topic where dbslo creates it: the most workers"
        " that can evaluate at the same time. `dbslo move` changes it later.",
    ),
    Setting(
        "DBSLO_RUNTIME",
        choice("native", "faust"),
        "native",
        "What runs stage 2: `native` (confluent-kafka) or `faust`.",
    ),
    Setting(
        "DBSLO_SLOT",
        slot,
        "0",
        "This worker's slot: unique among the workers of a stage and the same after a"
        " restart, such as a StatefulSet's ordinal.",
    ),
    Setting(
        "DBSLO_FLUSH_MS",
        whole(10, 10_000),
        "100",
        "How long stage 1 gathers before it hands over, in milliseconds.",
    ),
    Setting(
        "DBSLO_STORE",
        url("sqlite", "postgresql+psycopg"),
        "sqlite:///dbslo.sqlite",
        "Where the ledger is kept: `sqlite:///FILE` or"
        " `postgresql+psycopg://user:password@host/database`.",
        secret=True,
    ),
    Setting(
        "DBSLO_SPECS",
        paths,
        "slos",
        "SLO specifications: files or folders of OpenSLO YAML, separated by commas.",
    ),
    Setting(
        "DBSLO_INVENTORY",
        Path,
        "inventory.yaml",
        "The fleet, a YAML file.",
    ),
    Setting(
        "DBSLO_POLICY_DIVISOR",
        whole(1, 3_600),
        "1",
        "Divides every window of the alert policy, for trying alerts out in minutes."
        " Leave it at 1 where anybody is paged.",
    ),
    Setting(
        "DBSLO_PAGERDUTY_URL",
        url("http", "https"),
        "https://events.pagerduty.com",
        "PagerDuty's Events API, or anything that speaks as it does.",
    ),
    Setting(
        "DBSLO_PAGERDUTY_KEY",
        routing_key,
        "",
        "The routing key (integration key) of the PagerDuty service. Without it pages"
        " go where tickets go.",
        secret=True,
    ),
    Setting(
        "DBSLO_WEBHOOK_URL",
        url("http", "https"),
        "",
        "Where tickets are posted as JSON, beside the log.",
        secret=True,
    ),
    Setting(
        "DBSLO_GRAFANA_URL",
        url("http", "https"),
        "",
        "The base URL of Grafana, for links in pages.",
    ),
    Setting(
        "DBSLO_RUNBOOK_URL",
        url("http", "https"),
        "",
        "Where the runbooks are published. Pages and rules link to `NAME.md` below"
        " it, by the alert's name, where an SLO names no runbook of its own.",
    ),
    Setting(
        "DBSLO_METRICS_LISTEN",
        address,
        "127.0.0.1:9466",
        "Where `/metrics`, `/healthz` and `/readyz` are served, `host:port`; port 0 takes"
        " a free one. Beyond loopback, set a token, too.",
    ),
    Setting(
        "DBSLO_METRICS_TOKEN",
        bearer,
        "",
        "Who asks for `/metrics` must send it: `Authorization: Bearer TOKEN`. The probes"
        " need none: they hold no figures.",
        secret=True,
    ),
    Setting(
        "DBSLO_STUCK_SECONDS",
        whole(2, 3_600),
        "120",
        "A stage that stands still for so long, while store and Kafka answer, ends the"
        " process with exit code 3. By then Kafka has given its partitions to others.",
    ),
    Setting(
        "DBSLO_BLIND_SECONDS",
        whole(0, 3_600),
        "60",
        "After so long without a commit of a partition that it holds, be it the store,"
        " Kafka or stage 1 that is away, a worker pages that dbslo is blind; 0: never.",
    ),
    Setting(
        "DBSLO_LOG_LEVEL",
        choice("debug", "info", "warning", "error"),
        "info",
        "The least that is logged.",
    ),
)
