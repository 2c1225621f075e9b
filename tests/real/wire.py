"""A wire to a Kafka broker that tells one kind of request from another."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeAlias

METADATA = 3
TXN_OFFSET_COMMIT = 28
END_TXN = 26
"""API keys of Kafka's protocol."""

Answer: TypeAlias = Callable[[bytes], bytes]
"""What becomes of an answer on its way."""


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
    `names_nobody`: meanwhile clients are told of no broker, as by one that was away for
    too long; `told` are the ids of those who were.
    """

    def __init__(self, port: int, target: int) -> None:
        self.port = port
        self.sprung = threading.Event()
        self.names_nobody = False
        self.told: set[str] = set()
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
            held = {}  # by correlation id, what becomes of an answer
            for pump in (self._requests, self._answers):
                given = (client, server, held)
                threading.Thread(target=pump, args=given, daemon=True).start()

    def _requests(
        self, client: socket.socket, server: socket.socket, held: dict[bytes, Answer]
    ) -> None:
        with suppress(OSError):
            while frame := _frame(client):
                key = int.from_bytes(frame[4:6], "big")
                if key == self._holds:
                    self._holds = None
                    held[frame[8:12]] = self._kept_back
                elif key == METADATA and self.names_nobody:
                    held[frame[8:12]] = _of_nobody
                    size = int.from_bytes(frame[12:14], "big")
                    self.told.add(frame[14 : 14 + size].decode())
                server.sendall(frame)
        _end(client, server)

    def _answers(
        self, client: socket.socket, server: socket.socket, held: dict[bytes, Answer]
    ) -> None:
        with suppress(OSError):
            while frame := _frame(server):
                answer = held.pop(frame[4:8], bytes)
                client.sendall(answer(frame))
        _end(client, server)

    def _kept_back(self, frame: bytes) -> bytes:
        self.sprung.set()
        self._mended.wait()
        return frame


def _of_nobody(frame: bytes) -> bytes:
    """An answer about a cluster of one broker, without it; metadata from version 9 on.

    Its length, a correlation id, no tags, a time in four bytes, the number of brokers
    and one: of each a node in four bytes, a host, a port in four, a rack, no tags.
    """
    assert frame[13] == 2  # one broker: counts and lengths are one more than they say
    rack = 18 + frame[18] + 4
    behind = rack + max(frame[rack], 1) + 1
    left = frame[4:13] + b"\x01" + frame[behind:]
    return len(left).to_bytes(4, "big") + left


def _end(*both: socket.socket) -> None:
    for one in both:
        with suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
