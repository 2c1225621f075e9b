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

    It appears whole or not at all: it is filled under another name, then renamed.
    """
    folder = cache() / name
    if folder.is_dir():
        return folder
    with _alone(name):
        if not folder.is_dir():
            folder.parent.mkdir(parents=True, exist_ok=True)
            draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=folder.parent))
            try:
                fill(draft)
                draft.chmod(0o755)  # servers run as other users and read it
                draft.rename(folder)
            finally:
                shutil.rmtree(draft, ignore_errors=True)
    return folder
