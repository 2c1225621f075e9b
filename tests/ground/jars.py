"""Kafka and Kafka Connect as jars from a Maven repository."""

import hashlib
import shutil
import subprocess
import sys
import time
from pathlib import Path

from tests.ground.cache import Missing, once

TRIES = 3
SECONDS = 300
PAUSE_SECONDS = 10


def jars(name: str) -> Path:
    """The folder of jars that `tests/ground/<name>/pom.xml` asks for.

    Raises Missing where Maven is not installed or its repository is not reached.
    """
    pom = Path(__file__).parent / name / "pom.xml"
    stamp = hashlib.sha256(pom.read_bytes()).hexdigest()[:8]
    return once(f"jars/{name}-{stamp}", lambda folder: _copy(pom, folder))


def _copy(pom: Path, folder: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        msg = "Maven is not installed: apt-get install maven"
        raise Missing(msg)
    print(f"fetching the jars of {pom.parent.name} ...", file=sys.stderr, flush=True)
    command = [
        *(maven, "-q", "-B", "-f", str(pom), "dependency:copy-dependencies"),
        *("-DincludeScope=runtime", f"-DoutputDirectory={folder}"),
    ]
    said = ""
    for again in range(TRIES):
        time.sleep(PAUSE_SECONDS * again)
        said = _try(command)
        if not said and any(folder.glob("*.jar")):
            return
    msg = f"Maven could not fetch the jars of {pom.parent.name}: {said}"
    raise Missing(msg)


def _try(command: list[str]) -> str:
    """Nothing, or the first error that Maven told."""
    try:
        done = subprocess.run(
            command,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
        )
    except subprocess.TimeoutExpired:
        return f"no end within {SECONDS} s"
    if done.returncode == 0:
        return ""
    return next(iter(done.stdout.strip().splitlines()), f"exit {done.returncode}")[:300]
