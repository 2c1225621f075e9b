"""Where downloads live: outside the clone, so that a fresh clone pays nothing twice."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


class Missing(Exception):  # noqa: N818
    """A part that this machine lacks, and what brings it. Tests skip on it."""


_missing: dict[Path, Missing] = {}  # asked for in vain by this process, not again


def cache() -> Path:
    """The folder of everything that is fetched."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "dbslo"


@contextmanager
def _alone(name: str) -> Iterator[None]:
    """Keeps other processes from fetching the same thing at the same time."""
    cache().mkdir(parents=True, exist_ok=True)
    with (cache() / f"{name.replace('/', '-')}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def once(name: str, fill: Callable[[Path], None]) -> Path:
    """The cached folder `name`, made by `fill` if it is not there.

    It appears whole or not at all. Raises Missing if `fill` does, and from then on.
    """
    folder = cache() / name
    if folder in _missing:
        raise _missing[folder]
    if not folder.is_dir():
        with _alone(name):
            _fill(folder, fill)
    return folder


def _fill(folder: Path, fill: Callable[[Path], None]) -> None:
    if folder.is_dir():  # somebody else was faster
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=folder.parent))
    try:
        fill(draft)
        draft.chmod(0o755)  # servers run as other users and read it
        draft.rename(folder)
    except Missing as missing:
        _missing[folder] = missing
        raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
