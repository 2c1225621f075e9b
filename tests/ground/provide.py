"""Brings what the real-part tests need:  python -m tests.ground.provide

Debian packages as root or through sudo, jars and newer tools into the cache. What
cannot be had is named, and its tests are skipped; nothing here fails the run.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.ground.cache import Missing
from tests.ground.jars import jars
from tests.ground.newer import newer

PACKAGES = {  # Debian package -> a tool that shows it is there
    "postgresql": "initdb",
    "mariadb-server": "mariadbd",
    "prometheus": "prometheus",
    "prometheus-alertmanager": "amtool",
    "default-jre-headless": "java",
    "maven": "mvn",
}
FETCHED: dict[str, Callable[[], object]] = {
    "Kafka": lambda: jars("kafka"),
    "Kafka Connect": lambda: jars("connect"),
    "promtool 3": lambda: newer("promtool"),
    "newer amtool": lambda: newer("amtool"),
}


def lacking() -> list[str]:
    """The Debian packages whose tools this machine lacks."""
    postgres = map(str, Path("/usr/lib/postgresql").glob("*/bin"))
    searched = [*postgres, os.environ.get("PATH", os.defpath), "/usr/sbin"]
    path = os.pathsep.join(searched)
    return [
        name for name, tool in PACKAGES.items() if not shutil.which(tool, path=path)
    ]


def _as_root() -> list[str] | None:
    if os.geteuid() == 0:
        return []
    if not shutil.which("sudo"):
        return None
    return ["sudo"] if sys.stdin.isatty() else ["sudo", "-n"]


def install(packages: list[str]) -> None:
    """Installs Debian packages where apt and the rights are there; says which."""
    root = _as_root()
    if not shutil.which("apt-get") or root is None:
        _say(f"cannot install {' '.join(packages)}: needs apt-get, and root or sudo")
        return
    _say(f"installing Debian packages: {' '.join(packages)} (a minute or two, once)")
    script = str(Path(__file__).with_name("debian.sh"))
    done = subprocess.run(
        [*root, script, *packages],
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        _say(f"apt-get failed:\n{done.stdout[-2000:]}")


def _say(text: str) -> None:
    print(text, flush=True)


def main() -> None:
    """Installs and fetches, then names what is still missing."""
    if wanted := lacking():
        install(wanted)
    for package in lacking():
        _say(f"missing, so its tests are skipped: {package}")
    for name, fetch in FETCHED.items():
        try:
            fetch()
        except Missing as missing:
            _say(f"missing, so its tests are skipped: {name} ({missing})")


if __name__ == "__main__":
    main()
