"""librdkafka's security settings, for a client that is not librdkafka."""

import ssl
from typing import NamedTuple

from streams.kafka import Connection, WorkerStoppedError

MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


class Security(NamedTuple):
    """How to prove who we are; without a mechanism TLS alone."""

    context: ssl.SSLContext | None
    mechanism: str | None = None
    username: str | None = None
    password: str | None = None

    def __repr__(self) -> str:
        return f"Security({self.mechanism}, {self.username})"


def security(connection: Connection) -> Security | None:
    """What `security.protocol`, `sasl.*` and `ssl.*` ask for; None: nothing.

    Raises WorkerStoppedError for what only librdkafka can do.
    """
    options = {name: str(value) for name, value in connection.options.items()}
    protocol = options.get("security.protocol", "PLAINTEXT").upper()
    context = _context(options) if protocol.endswith("SSL") else None
    if not protocol.startswith("SASL"):
        return Security(context) if context else None
    mechanism = options.get("sasl.mechanism") or options.get("sasl.mechanisms", "")
    if mechanism not in MECHANISMS:
        raise WorkerStoppedError(
            f"sasl.mechanism {mechanism!r} is none of {', '.join(MECHANISMS)}: Faust"
            " cannot use it here, the native runtime can"
        )
    return Security(
        context, mechanism, options.get("sasl.username"), options.get("sasl.password")
    )


def _context(options: dict[str, str]) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=options.get("ssl.ca.location"))
    certificate = options.get("ssl.certificate.location")
    if certificate:
        context.load_cert_chain(
            certificate,
            options.get("ssl.key.location"),
            options.get("ssl.key.password"),
        )
    return context
