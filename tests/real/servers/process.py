"""One server process: started in a folder of its own, ended by its process group."""

import atexit
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.ground.cache import Missing

POLL_SECONDS = 0.05


def found(tool: str, package: str, *folders: str) -> str:
    """The path of an installed tool; folders are searched before the PATH.

    Raises Missing that names the Debian package that brings it.
    """
    for path in [*folders, None]:
        if where := shutil.which(tool, path=path):
            return where
    msg = f"{tool} is not installed: apt-get install {package}"
    raise Missing(msg)


def free_ports(count: int) -> list[int]:
    """Ports on 127.0.0.1 that nobody listens on.

    They lie below the range from which the kernel serves clients, so that no outgoing
    connection takes one before its server binds it.
    """
    held: list[socket.socket] = []
    while len(held) < count:
        probe = socket.socket()
        try:
            probe.bind(("127.0.0.1", random.randrange(20_000, 32_000)))
        except OSError:
            probe.close()
        else:
            held.append(probe)
    ports = [probe.getsockname()[1] for probe in held]
    for probe in held:
        probe.close()
    return ports


@contextmanager
def folder(name: str, owner: str | None = None) -> Iterator[Path]:
    """A temporary folder, gone afterwards; `owner` gets it where we are root."""
    path = Path(tempfile.mkdtemp(prefix=f"dbslo-{name}-"))
    path.chmod(0o755)
    if user := as_user(owner):
        shutil.chown(path, user)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def as_user(*names: str | None) -> str | None:
    """The first of these users that exists, if we are root and so must become it.

    Databases refuse to run as root.
    """
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next((name for name in [*names, "nobody"] if name in known), None)


def run(command: Sequence[str], user: str | None = None, seconds: float = 120) -> str:
    """Runs a command to its end and returns what it printed; raises with it."""
    done = subprocess.run(
        command,
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=seconds,
        cwd="/",
        user=user,
        group=_group(user),
        extra_groups=None if user is None else [],
    )
    if done.returncode:
        msg = f"{command[0]} ended with {done.returncode}: {done.stdout[-2000:]}"
        raise RuntimeError(msg)
    return done.stdout


def _group(user: str | None) -> int | None:
    return None if user is None else pwd.getpwnam(user).pw_gid


class Process:
    """A started server; `stop` ends it with all its children, as does our own end."""

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        *,
        user: str | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.name = Path(command[0]).name
        self.log = log
        with log.open("ab") as out:
            self._child = subprocess.Popen(
                [*_dies_with_us(), *command],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                cwd="/",
                env={**os.environ, **(env or {})},
                start_new_session=True,
                user=user,
                group=_group(user),
                extra_groups=None if user is None else [],
            )
        atexit.register(self.kill)

    @property
    def pid(self) -> int:
        """The process id, which is its group's too."""
        return self._child.pid

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._child.poll() is None

    def wait_until(self, ready: Callable[[], bool], seconds: float) -> None:
        """Returns when `ready` says so; raises with the log if it never does."""
        end = time.monotonic() + seconds
        while self.alive and time.monotonic() < end:
            if ready():
                return
            time.sleep(POLL_SECONDS)
        state = "is not ready" if self.alive else f"ended ({self._child.returncode})"
        msg = f"{self.name} {state} after {seconds:g} s; its log: {self.tail()}"
        raise RuntimeError(msg)

    def tail(self) -> str:
        """The end of what the server has printed."""
        return self.log.read_text(errors="replace")[-3000:]

    def stop(self, ask: signal.Signals = signal.SIGTERM, seconds: float = 20) -> None:
        """Asks the server to end, and ends it if it does not within `seconds`."""
        if self.alive:
            self._child.send_signal(ask)
            with suppress(subprocess.TimeoutExpired):
                self._child.wait(seconds)
        self.kill()

    def kill(self) -> None:
        """Ends the server and its children at once, as a crash would (SIGKILL)."""
        with suppress(ProcessLookupError):
            os.killpg(self._child.pid, signal.SIGKILL)
        self._child.wait()
        atexit.unregister(self.kill)


def _dies_with_us() -> list[str]:
    """Wraps a command so that the kernel ends it when we are killed ourselves."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL"] if setpriv else []
