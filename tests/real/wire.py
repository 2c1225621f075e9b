"""A wire to a Kafka broker that tells one kind of request from another."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

TXN_OFFSET_COMMIT = 28
END_TXN = 26
"""API keys of Kafka's protocol."""


def _frame(source: socket.socket) -> bytes:
    """The next frame: its length in four bytes, then so many; b"" at the end."""
    head = source.recv(4, socket.MSG_WAITALL)
    size = int.from_bytes(head, "big")
    body = source.recv(size, socket.MSG_WAITALL) if len(head) == 4 else b""
    return head + body if body and len(body) == size else b""


class Wire:
    """Passes frames on between a port of its own and a broker's.

    `hold` an API key: the answer to the next such request, and all that would follow it
    on its connection, is kept back until `mend`. `sprung` is set as it happens, once.
    """

    def __init__(self, port: int, target: int) -> None:
        self.port = port
        self.sprung = threading.Event()
        self._target = target
        self._holds: int | None = None
        self._mended = threading.Event()
        self._held: list[socket.socket] = []
        self._listen()

    @classmethod
    @contextmanager
    def to(cls, port: int, target: int) -> Iterator["Wire"]:
        made = cls(port, target)
        try:
            yield made
        finally:
            made._mended.set()
            made.down()

    def hold(self, key: int) -> None:
        self.sprung.clear()
        self._mended.clear()
        self._holds = key

    def mend(self) -> None:
        """What was held back arrives; the wire is up again."""
        self._mended.set()
        if self._listening.fileno() < 0:
            self._listen()

    def _listen(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, daemon=True).start()

    def down(self) -> None:
        """Nobody listens, and every connection ends, until `mend`."""
        for one in [self._listening, *self._held]:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        self._held = []

    def _accept(self) -> None:
        listening = self._listening
        while True:
            try:
                client, _ = listening.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._target))
            except OSError:  # the broker is away
                client.close()
                continue
            self._held += [client, server]
            held = {}  # the correlation id whose answer is kept back
            for pump in (self._requests, self._answers):
                given = (client, server, held)
                threading.Thread(target=pump, args=given, daemon=True).start()

    def _requests(
        self, client: socket.socket, server: socket.socket, held: dict[bytes, bool]
    ) -> None:
        with suppress(OSError):
            while frame := _frame(client):
                key = int.from_bytes(frame[4:6], "big")
                if key == self._holds:
                    self._holds = None
                    held[frame[8:12]] = True
                server.sendall(frame)
        _end(client, server)

    def _answers(
        self, client: socket.socket, server: socket.socket, held: dict[bytes, bool]
    ) -> None:
        with suppress(OSError):
            while frame := _frame(server):
                if frame[4:8] in held:
                    self.sprung.set()
                    self._mended.wait()
                client.sendall(frame)
        _end(client, server)


def _end(*both: socket.socket) -> None:
    for one in both:
        with suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
