"""Tools newer than the ones Debian 12 installs, kept beside those, not instead.

They come from the next Debian release as a package that is unpacked, not installed;
where there is no apt, from their source through Go.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from tests.ground.cache import Missing, once

RELEASE = "forky"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
GO = (1, 21)  # from here on Go fetches the toolchain that a module asks for
SECONDS = 900


class Tool(NamedTuple):
    """Where a tool comes from: a Debian package, or a Go module with build tags."""

    package: str
    module: str
    version: str  # what a build from source must be told to call itself
    tags: str = ""


TOOLS = {
    "promtool": Tool(
        "promtool",
        "github.com/prometheus/prometheus/cmd/promtool@v0.316.0",
        "3.16.0",
        "remove_all_sd,enable_file_sd,enable_http_sd",  # the rest needs a lost module
    ),
    "amtool": Tool(
        "prometheus-alertmanager",
        "github.com/prometheus/alertmanager/cmd/amtool@v0.34.2",
        "0.34.2",
    ),
}


def newer(name: str) -> str:
    """The path of promtool 3.x, or of amtool from 0.33 on.

    Raises Missing where neither apt nor Go brings it.
    """
    return str(once(f"bin/{name}-newer", lambda folder: _fetch(name, folder)) / name)


def _fetch(name: str, folder: Path) -> None:
    print(f"fetching a newer {name} ...", file=sys.stderr, flush=True)
    reasons = []
    for way in (_from_debian, _from_go):
        try:
            way(name, folder)
            (folder / name).chmod(0o755)
            _run([str(folder / name), "--version"])
        except (Missing, OSError, subprocess.TimeoutExpired) as error:
            reasons.append(str(error))
        else:
            return
    msg = f"no newer {name}: {'; '.join(reasons)}"
    raise Missing(msg)


def _run(command: list[str], cwd: Path | None = None, **env: str) -> str:
    done = subprocess.run(
        command,
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
        cwd=cwd,
        env={**os.environ, **env},
    )
    if done.returncode:
        last = (done.stdout.strip().splitlines() or ["nothing said"])[-1]
        msg = f"{Path(command[0]).name} {command[-1]}: {last[-200:]}"
        raise Missing(msg)
    return done.stdout


def _from_debian(name: str, folder: Path) -> None:
    """Downloads from the mirror that this machine uses, with an apt of our own."""
    if not shutil.which("apt-get"):
        msg = "there is no apt-get"
        raise Missing(msg)
    with tempfile.TemporaryDirectory() as made:
        apt = Path(made)
        for part in ("lists/partial", "cache/archives/partial", "parts"):
            (apt / part).mkdir(parents=True)
        source = f"deb [signed-by={KEYRING}] {_mirror()} {RELEASE} main\n"
        (apt / "sources.list").write_text(source)
        options = [
            *("-o", f"Dir::Etc::SourceList={apt}/sources.list"),
            *("-o", f"Dir::Etc::SourceParts={apt}/parts"),
            *("-o", f"Dir::State::Lists={apt}/lists"),
            *("-o", f"Dir::Cache={apt}/cache"),
            *("-o", "APT::Sandbox::User=", "-o", "Acquire::Retries=3", "-qq"),
            # a mirror that stands still is good enough; signatures are checked
            *("-o", "Acquire::Check-Valid-Until=false"),
        ]
        _run(["apt-get", *options, "update"])
        _run(["apt-get", *options, "download", TOOLS[name].package], cwd=apt)
        (archive,) = apt.glob("*.deb")
        _run(["dpkg", "-x", str(archive), str(apt / "unpacked")])
        shutil.copy(apt / "unpacked/usr/bin" / name, folder / name)


def _mirror() -> str:
    lines = _run(
        ["apt-get", "indextargets", "--format", "$(ORIGIN)|$(LABEL)|$(REPO_URI)"]
    )
    for line in lines.splitlines():
        if line.startswith("Debian|Debian|"):
            return line.rpartition("|")[2]
    msg = "apt knows no Debian mirror (apt-get update first)"
    raise Missing(msg)


def _from_go(name: str, folder: Path) -> None:
    go = shutil.which("go")
    if go is None:
        msg = "there is no Go"
        raise Missing(msg)
    version = re.search(r"go(\d+)\.(\d+)", _run([go, "version"]))
    if version is None or (int(version[1]), int(version[2])) < GO:
        msg = f"Go is older than {GO[0]}.{GO[1]}"
        raise Missing(msg)
    tool = TOOLS[name]
    told = f"-X github.com/prometheus/common/version.Version={tool.version}"
    command = [go, "install", "-tags", tool.tags, "-ldflags", told, tool.module]
    _run(command, GOBIN=str(folder), GOTOOLCHAIN="auto")
