"""The stage: real servers, wires that can be cut, and slots that are kept alive.

A slot is one worker of a stage, run as an operator runs it: `python -m dbslo ingest`.
Whatever ends it, its supervisor starts it again within a second, as Kubernetes or
systemd would.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.request import urlopen

from alerts.testing.loopback import Reply, Request
from alerts.testing.pagerduty import ROUTING_KEY, PagerDutyServer
from tests.chaos import fleet
from tests.real.servers.kafka import WiredKafka
from tests.real.servers.postgres import Postgres
from tests.real.servers.process import Process, free_ports

ROOT = Path(__file__).parents[2]
RESTART_AFTER_S = 0.3
STOP_S = 30


class Wire:
    """A connection's way over loopback, which can stand still."""

    def __init__(self, listen: int, target: int, log: Path) -> None:
        command = [sys.executable, "-m", "tests.chaos.forward"]
        self._process = Process(
            [*command, str(listen), str(target)], log, env={"PYTHONPATH": str(ROOT)}
        )

    @contextmanager
    def cut(self) -> Iterator[None]:
        """Nothing passes while the block runs."""
        os.kill(self._process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self._process.pid, signal.SIGCONT)

    def end(self) -> None:
        """Take it down."""
        self._process.kill()


class Pager(PagerDutyServer):
    """PagerDuty; `heard` is called with each POST before its answer goes out."""

    def __init__(self) -> None:
        self.heard: Callable[[Request], None] = lambda _: None
        super().__init__()

    def _serve(self, request: Request) -> Reply:
        reply = super()._serve(request)
        if request.method == "POST":
            self.heard(request)
        return reply


LAST_LINES = 12


class Exit(NamedTuple):
    """A worker that ended: by us (`wanted`), or by itself, with the end of its log."""

    slot: str
    code: int
    wanted: bool
    at: float
    said: str = ""


class Slot:
    """One worker of a stage. `signalled`: we have just ended it."""

    def __init__(
        self, stage: str, number: int, env: Mapping[str, str], log: Path
    ) -> None:
        self.stage = stage
        self.name = f"{stage}-{number}"
        self.log = log
        self.metrics_port = free_ports(1)[0]
        own = {
            "DBSLO_SLOT": str(number),
            "DBSLO_METRICS_LISTEN": f"127.0.0.1:{self.metrics_port}",
            "PYTHONPATH": str(ROOT),
            "PYTHONFAULTHANDLER": "1",
        }
        self._env = {**env, **own}
        self.signalled = False
        self.start()

    def start(self) -> None:
        """Start it, in the same slot as before."""
        self.signalled = False
        given = [f"-u{name}" for name in os.environ if name.startswith("DBSLO_")]
        command = ["env", *given, *(f"{k}={v}" for k, v in self._env.items())]
        command += [sys.executable, "-m", "dbslo", self.stage]
        self.process = Process(command, self.log)

    @property
    def alive(self) -> bool:
        """Whether it runs, or stands still."""
        return self.process.alive

    @property
    def code(self) -> int:
        """How it ended."""
        return self.process._child.returncode

    def metric(self, name: str) -> float:
        """The greatest sample of a metric that it serves; 0 where it does not answer."""
        url = f"http://127.0.0.1:{self.metrics_port}/metrics"
        try:
            with urlopen(url, timeout=5) as answer:
                lines = answer.read().decode().splitlines()
        except OSError:
            return 0.0
        found = [line.rpartition(" ")[2] for line in lines if line.startswith(name)]
        return max(map(float, found), default=0.0)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        if number in (signal.SIGKILL, signal.SIGTERM):
            self.signalled = True
        os.kill(self.process.pid, number)


def _ends(slot: Slot, seconds: float) -> bool:
    try:
        slot.process._child.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def _end_of(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()
    return "\n".join(lines[-LAST_LINES:])


class Supervisor:
    """Keeps slots alive; `exits` tells of every worker that ended."""

    def __init__(self) -> None:
        self.exits: list[Exit] = []
        self.slots: list[Slot] = []
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def add(self, slot: Slot) -> Slot:
        """Keep a slot alive from now on."""
        with self._lock:
            self.slots.append(slot)
        return slot

    def of(self, stage: str) -> list[Slot]:
        """The slots of a stage."""
        return [slot for slot in self.slots if slot.stage == stage]

    def retire(self, *slots: Slot) -> None:
        """End workers in good order and keep them so."""
        with self._lock:
            self.slots = [slot for slot in self.slots if slot not in slots]
        for slot in slots:
            if slot.alive:
                slot.signal(signal.SIGTERM)
        for slot in slots:
            if not _ends(slot, STOP_S):
                slot.signal(signal.SIGABRT)  # it says where it stands
                _ends(slot, 5)
            slot.process.kill()
            self._note(slot, wanted=slot.code == 0)

    def close(self) -> None:
        """End all of them in good order.

        The thread goes last: the kernel ends its children with it.
        """
        self._closing.set()
        self.retire(*self.slots)
        self._stop.set()
        self._thread.join()

    def _note(self, slot: Slot, *, wanted: bool) -> None:
        said = "" if wanted else _end_of(slot.log)
        self.exits.append(Exit(slot.name, slot.code, wanted, time.time(), said))

    def _watch(self) -> None:
        while not self._stop.wait(0.05):
            with self._lock:
                dead = [slot for slot in self.slots if not slot.alive]
            for slot in dead:
                if not self._closing.is_set():
                    self._restart(slot)

    def _restart(self, slot: Slot) -> None:
        self._note(slot, wanted=slot.signalled)
        if not self._closing.wait(RESTART_AFTER_S):
            slot.start()


class Stage:
    """Everything that runs beside the generator."""

    def __init__(self, folder: Path, runtime: str, divisor: int) -> None:
        self.folder = folder
        self.runtime = runtime
        self._stack = ExitStack()
        self.kafka = self._stack.enter_context(WiredKafka.running())
        self.postgres = self._stack.enter_context(Postgres.running())
        (self.sql_port,) = free_ports(1)
        self.kafka_wire = self._wire(self.kafka.wire_port, self.kafka.inner)
        self.sql_wire = self._wire(self.sql_port, self.postgres.port)
        self.pager = self._stack.enter_context(Pager())
        self.database = self.postgres.database("chaos")
        self.url = self.postgres.url(self.database)  # past the wire
        for name in fleet.topics():
            self.kafka.create(name, fleet.RAW_PARTITIONS if "__" not in name else 1)
        inventory, specs = fleet.write(folder)
        self.given = {
            "DBSLO_INVENTORY": str(inventory),
            "DBSLO_SPECS": str(specs),
            "DBSLO_POLICY_DIVISOR": str(divisor),
        }
        self.supervisor = Supervisor()

    def _wire(self, listen: int, target: int) -> Wire:
        wire = Wire(listen, target, self.folder / f"wire-{listen}.log")
        self._stack.callback(wire.end)
        return wire

    def env(self) -> dict[str, str]:
        """The settings of a worker."""
        wired = self.url.replace(f":{self.postgres.port}/", f":{self.sql_port}/")
        return {
            **self.given,
            "DBSLO_KAFKA": f"127.0.0.1:{self.kafka.wire_port}",
            "DBSLO_STORE": wired,
            "DBSLO_PARTITIONS": str(fleet.PARTITIONS),
            "DBSLO_RUNTIME": self.runtime,
            "DBSLO_PAGERDUTY_URL": self.pager.url,
            "DBSLO_PAGERDUTY_KEY": ROUTING_KEY,
        }

    def slot(self, stage: str, number: int) -> Slot:
        """Start a worker and keep it alive."""
        log = self.folder / f"{stage}-{number}.log"
        return self.supervisor.add(Slot(stage, number, self.env(), log))

    def ask(self, *args: str) -> Any:
        """Run a command of the product to its end; its standard output."""
        given = [f"-u{name}" for name in os.environ if name.startswith("DBSLO_")]
        env = {**self.given, "DBSLO_STORE": self.url, "PYTHONPATH": str(ROOT)}
        command = ["env", *given, *(f"{k}={v}" for k, v in env.items())]
        out = self.folder / "asked"
        out.unlink(missing_ok=True)
        process = Process([*command, sys.executable, "-m", "dbslo", *args], out)
        process._child.wait(300)
        if process._child.returncode:
            raise RuntimeError(f"dbslo {args} failed: {process.tail()}")
        return out.read_text()

    def close(self) -> None:
        """End everything."""
        self.supervisor.close()
        self._stack.close()
