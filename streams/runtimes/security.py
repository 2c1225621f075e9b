"""librdkafka's security settings, for a client that is not librdkafka."""

import ssl
from collections.abc import Mapping
from typing import Final, NamedTuple

from streams.kafka import Connection, WorkerStoppedError

MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
OAUTHBEARER = "OAUTHBEARER"

UNTRANSLATED: Final = (
    "ssl.ca.pem",
    "ssl.certificate.pem",
    "ssl.key.pem",
    "ssl.keystore.location",
)
"""What only librdkafka reads; leaving it out would weaken or break what was asked for."""


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

    Raises WorkerStoppedError for what only librdkafka can do, and for files that
    cannot be read.
    """
    options = {name: str(value) for name, value in connection.options.items()}
    protocol = options.get("security.protocol", "PLAINTEXT").upper()
    context = _context(options) if protocol.endswith("SSL") else None
    if not protocol.startswith("SASL"):
        return Security(context) if context else None
    mechanism = options.get("sasl.mechanism") or options.get("sasl.mechanisms", "")
    if mechanism == OAUTHBEARER:
        raise WorkerStoppedError(
            "sasl.mechanism OAUTHBEARER (so Amazon's IAM, too): Faust's driver signs in"
            " once and cannot renew a token, so its sessions die; the native runtime can"
        )
    if mechanism not in MECHANISMS:
        raise WorkerStoppedError(
            f"sasl.mechanism {mechanism!r} is none of {', '.join(MECHANISMS)}: Faust"
            " cannot use it here, the native runtime can"
        )
    return Security(
        context, mechanism, options.get("sasl.username"), options.get("sasl.password")
    )


def _context(options: Mapping[str, str]) -> ssl.SSLContext:
    for name in UNTRANSLATED:
        if name in options:
            raise WorkerStoppedError(
                f"{name}: Faust cannot use it here, the native runtime can; or name files"
                " (ssl.ca.location, ssl.certificate.location, ssl.key.location)"
            )
    context = _trusting(options)
    certificate = options.get("ssl.certificate.location")
    if certificate:
        try:
            context.load_cert_chain(
                certificate,
                options.get("ssl.key.location"),
                # without one a key that needs it would be asked for on the terminal
                options.get("ssl.key.password", ""),
            )
        except (OSError, ValueError) as error:
            raise _unreadable(
                "ssl.certificate.location, ssl.key.location", error
            ) from None
    if options.get("ssl.endpoint.identification.algorithm", "https").lower() == "none":
        context.check_hostname = False
    if options.get("enable.ssl.certificate.verification", "true").lower() == "false":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _trusting(options: Mapping[str, str]) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=options.get("ssl.ca.location"))
    except OSError as error:
        raise _unreadable("ssl.ca.location", error) from None


def _unreadable(names: str, error: Exception) -> WorkerStoppedError:
    why = getattr(error, "strerror", None) or getattr(error, "reason", None) or "wrong"
    return WorkerStoppedError(
        f"{names}: cannot be read ({why}): check the files in DBSLO_KAFKA_OPTIONS"
    )
