"""A Prometheus that holds three hours of the scene, scraped once a minute."""

from collections.abc import Iterator

import pytest

from tests.dashboards.scene import exposition
from tests.ground.cache import Missing
from tests.real.servers.process import folder, found, run
from tests.real.servers.prometheus import Prometheus


@pytest.fixture(scope="session")
def recorded() -> Iterator[Prometheus]:
    """The server; its data end at `scene.END`."""
    try:
        promtool = found("promtool", "prometheus")
    except Missing as missing:
        pytest.skip(str(missing))
    with folder("boards") as where:
        (where / "prometheus.yml").write_text("scrape_configs: []\n")
        (where / "scrapes").write_text("\n".join(exposition()) + "\n")
        blocks = ("tsdb", "create-blocks-from", "openmetrics", "-q")
        run([promtool, *blocks, str(where / "scrapes"), str(where / "data")])
        server = Prometheus(where)
        server.start()
        try:
            yield server
        finally:
            server.kill()
