"""What Prometheus takes for the windows of an SLO, over raw counters of 30 days."""

import statistics
import subprocess
import time
from pathlib import Path

from tests.real.servers.process import folder, found
from tests.real.servers.prometheus import Prometheus

WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d", "30d")
SERIES = 20
DAYS = 30
RUNS = 5
T0_S = 1_794_000_000 // 3600 * 3600
END_S = T0_S + DAYS * 86_400


def milliseconds_a_series() -> float:
    """One query a window over HTTP, all windows of an SLO: the median, in ms."""
    with folder("prometheus") as where:
        _backfill(where)
        (where / "prometheus.yml").write_text("scrape_configs: []\n")
        server = Prometheus(where)
        server.start()
        try:
            return statistics.median(_asked(server) for _ in range(RUNS))
        finally:
            server.kill()


def _backfill(where: Path) -> None:
    text = where / "counters.txt"
    with text.open("w") as file:
        for name, by in (("bad", 0.2), ("all", 1000)):
            file.write(f"# TYPE {name} counter\n")
            for number in range(SERIES):
                for minute in range(DAYS * 1440):
                    value = int(minute * by) * (1 + number % 3)
                    at = T0_S + minute * 60
                    file.write(f'{name}_total{{slo="{number}"}} {value} {at}\n')
        file.write("# EOF\n")
    tool = found("promtool", "prometheus")
    backfill = [
        "tsdb",
        "create-blocks-from",
        "openmetrics",
        "--max-block-duration=720h",
    ]
    command = [tool, *backfill, "--quiet", str(text), str(where / "data")]
    subprocess.run(command, check=True, capture_output=True)


def _asked(server: Prometheus) -> float:
    begun = time.perf_counter()
    for number in range(SERIES):
        for window in WINDOWS:
            rates = (
                f'increase({name}_total{{slo="{number}"}}[{window}])'
                for name in ("bad", "all")
            )
            if not server.query(" / ".join(rates), END_S - 60):
                raise SystemExit(f"Prometheus says nothing of {window}")
    return (time.perf_counter() - begun) / SERIES * 1e3
