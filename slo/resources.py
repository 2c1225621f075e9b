"""The words of the fleet: clusters, and the resources that SLO series are about."""

from enum import StrEnum

import msgspec


class Engine(StrEnum):
    """Engine names as `inventory.yaml` spells them."""

    AURORA_MYSQL = "aurora-mysql"
    AURORA_POSTGRESQL = "aurora-postgresql"
    MYSQL = "mysql"
    MARIADB = "mariadb"
    POSTGRES = "postgres"


class ResourceKind(StrEnum):
    """What an SLI is measured on."""

    INSTANCE = "instance"
    PROXY = "proxy"
    CDC = "cdc"  # a connector, named by its topic prefix


class Cluster(msgspec.Struct, frozen=True):
    """A database cluster with its instances, proxies and connectors."""

    name: str
    engine: Engine
    labels: dict[str, str] = {}
    instances: tuple[str, ...] = ()
    proxies: tuple[str, ...] = ()
    cdc_prefixes: tuple[str, ...] = ()
    connect: str | None = None
    datadog_tags: tuple[str, ...] = ()

    @property
    def env(self) -> str:
        """The `env` label, "" where the inventory gives none."""
        return self.labels.get("env", "")

    @property
    def resources(self) -> tuple["Resource", ...]:
        """Instances, proxies and connectors, in the order of the inventory."""
        kinds = (
            (ResourceKind.INSTANCE, self.instances),
            (ResourceKind.PROXY, self.proxies),
            (ResourceKind.CDC, self.cdc_prefixes),
        )
        return tuple(
            Resource(name, kind, self.name) for kind, names in kinds for name in names
        )


class Resource(msgspec.Struct, frozen=True):
    """One thing that an SLO series is about."""

    name: str
    kind: ResourceKind
    cluster: str

    @property
    def key(self) -> str:
        """`<kind>:<name>`, unique in the fleet; how routes and facts name it."""
        return f"{self.kind.value}:{self.name}"


class Doubt(msgspec.Struct, frozen=True):
    """A cluster that could not be read whole; `unread` are the parts not to rely on.

    Parts are called as selectors call them: `cluster`, `engine`, `resource`, and
    `labels` for all labels.
    """

    cluster: Cluster
    unread: frozenset[str]


class Inventory(msgspec.Struct, frozen=True):
    """The fleet. Names of clusters, and of resources of one kind, are unique.

    `doubts` are what an inventory with faults may hold besides; a plan has none.
    """

    clusters: tuple[Cluster, ...] = ()
    doubts: tuple[Doubt, ...] = ()
