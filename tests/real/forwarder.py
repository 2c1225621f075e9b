"""A wire between a client and a server that can be cut without either being told."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Forwarder:
    """Passes bytes on between its own port and another one, while it is not `cut`."""

    def __init__(self, port: int) -> None:
        self.passing = threading.Event()
        self.passing.set()
        self._target = port
        self._held: list[socket.socket] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @classmethod
    @contextmanager
    def to(cls, port: int) -> Iterator["Forwarder"]:
        made = cls(port)
        try:
            yield made
        finally:
            made.passing.set()
            for one in [made._listening, *made._held]:
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
                one.close()

    def cut(self) -> None:
        """From now on nothing arrives, and nobody is told."""
        self.passing.clear()

    def mend(self) -> None:
        """What was held back arrives."""
        self.passing.set()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._target))
            except OSError:  # nobody is there: as a refusal, a moment later
                client.close()
                continue
            self._held += [client, server]
            for pair in ((client, server), (server, client)):
                threading.Thread(target=self._pass, args=pair, daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                self.passing.wait()
                target.sendall(data)
        for one in (source, target):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
