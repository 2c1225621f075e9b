"""Installs the built wheel where a user would:  python -m tests.ground.wheel DIST

For every Python from 3.11 on this machine: a fresh environment outside the clone, the
wheel in it, its data looked for, `dbslo demo` run to its end. Ends with 1 if one fails.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

OLDEST = (3, 11)
SECONDS = 600
# Runs inside the installed environment; what it asserts is what a user would miss.
LOOK = """
import importlib.util, sys
from importlib.resources import files

assert importlib.util.find_spec("tests") is None, "the tests are inside"
WANTED = {
    ("slo", "catalogue"): ".yaml",
    ("dbslo", "incidents"): ".yaml",
    ("dbslo", "examples", "slos"): ".yaml",
    ("dashboards", "generated"): ".json",
    ("streams", "store", "migrations", "versions"): ".py",
}
for (package, *folders), ending in WANTED.items():
    folder = files(package).joinpath(*folders)
    assert folder.is_dir(), f"{folder} is not inside"
    names = [entry.name for entry in folder.iterdir() if entry.name.endswith(ending)]
    assert names, f"no {ending} in {folder}"
    print(f"  {'/'.join((package, *folders))}: {len(names)} {ending}")
for package in ("slo", "streams", "alerts", "dashboards", "dbslo"):
    assert files(package).joinpath("__init__.py").is_file(), package
"""


def pythons() -> dict[str, str]:
    """Path of an interpreter by version, for every one from 3.11 that works."""
    folders = os.environ.get("PATH", "").split(os.pathsep)
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    folders += [str(path) for path in pyenv.glob("versions/*/bin")]
    found: dict[str, str] = {}
    seen: set[Path] = set()
    for folder in folders:
        for path in sorted(Path(folder).glob("python3*")):
            real = path.resolve()
            if path.name.removeprefix("python3").strip(".0123456789") or real in seen:
                continue
            seen.add(real)
            version = _version(path)
            if version is not None and version >= OLDEST:
                found.setdefault(".".join(map(str, version)), str(path))
    return dict(sorted(found.items(), key=lambda item: int(item[0].partition(".")[2])))


def _version(python: Path) -> tuple[int, int] | None:
    """None for a shim that points nowhere and for a Python without venv."""
    tell = "import ensurepip, sys, venv; print(*sys.version_info[:2])"
    try:
        done = subprocess.run(
            [python, "-c", tell], check=True, capture_output=True, text=True, timeout=30
        )
    except (OSError, subprocess.SubprocessError):
        return None
    major, minor = done.stdout.split()
    return int(major), int(minor)


def _run(command: list[str], cwd: Path) -> None:
    bare = {k: v for k, v in os.environ.items() if not k.startswith("DBSLO_")}
    bare.pop("PYTHONPATH", None)
    done = subprocess.run(
        command,
        check=False,
        cwd=cwd,
        env=bare,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
    )
    if done.returncode:
        msg = f"{' '.join(command)[:200]} ended with {done.returncode}"
        raise RuntimeError(f"{msg}:\n{done.stdout[-5000:]}")
    print("\n".join(done.stdout.splitlines()[-4:]), flush=True)


def install(python: str, wheel: Path) -> None:
    """Installs the wheel for one Python and runs it; raises RuntimeError if it fails."""
    with tempfile.TemporaryDirectory(prefix="dbslo-wheel-") as made:
        where = Path(made)
        _run([python, "-m", "venv", str(where / "env")], where)
        inside = str(where / "env/bin/python")
        pip = (inside, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
        _run([*pip, str(wheel)], where)
        _run([inside, "-c", LOOK], where)
        _run([str(where / "env/bin/dbslo"), "demo"], where)


def main(dist: Path) -> int:
    """Tries every Python; the number of those that failed."""
    (wheel,) = dist.resolve().glob("*.whl")
    failed = 0
    for version, python in pythons().items():
        print(f"the wheel on Python {version}", flush=True)
        try:
            install(python, wheel)
        except RuntimeError as error:
            failed += 1
            print(f"FAILED on Python {version}: {error}", flush=True)
    print(f"wheel: {len(pythons()) - failed} of {len(pythons())} Pythons", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(min(1, main(Path(sys.argv[1]))))
