"""A Kafka broker that lets nobody in without credentials, on three more listeners.

`sasl`: SASL_PLAINTEXT with PLAIN, SCRAM and OAUTHBEARER (unsecured tokens, Kafka's own
for tests); `tls`: SSL, certificates on both sides; `both`: SASL_SSL. Certificates are
made afresh.
"""

import base64
import json
import time
from pathlib import Path

from tests.real.servers.java import java
from tests.real.servers.kafka import Kafka
from tests.real.servers.process import found, free_ports, run

USER, PASSWORD = "alice", "correct-horse-battery"
LISTENERS = """
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller},SASL://127.0.0.1:{sasl},TLS://127.0.0.1:{tls},BOTH://127.0.0.1:{both}
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL:SASL_PLAINTEXT,TLS:SSL,BOTH:SASL_SSL
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER
connections.max.reauth.ms=3600000
ssl.keystore.type=PEM
ssl.keystore.location={folder}/server.pem
ssl.truststore.type=PEM
ssl.truststore.location={folder}/ca.crt
listener.name.tls.ssl.client.auth=required
"""
LOGINS = {
    "plain": f'plain.PlainLoginModule required user_{USER}="{PASSWORD}"',
    "scram-sha-256": "scram.ScramLoginModule required",
    "scram-sha-512": "scram.ScramLoginModule required",
    "oauthbearer": "oauthbearer.OAuthBearerLoginModule required"
    ' unsecuredLoginStringClaim_sub="broker"',
}


class GuardedKafka(Kafka):
    """As Kafka; `files` holds ca.crt, client.crt and client.key."""

    def __init__(self, where: Path) -> None:
        super().__init__(where)
        self.files = where
        ports = dict(zip(("sasl", "tls", "both"), free_ports(3), strict=True))
        self.sasl, self.tls, self.both = (f"127.0.0.1:{p}" for p in ports.values())
        written = self._settings.read_text()
        kept = [
            line
            for line in written.splitlines()
            if not line.startswith(("listeners=", "listener.security"))
        ]
        (controller,) = (
            line.rpartition(":")[2] for line in kept if ".quorum.bootstrap" in line
        )
        more = LISTENERS.format(
            port=self.port, controller=controller, folder=where, **ports
        )
        logins = [
            f"listener.name.{listener}.{name}.sasl.jaas.config="
            f"org.apache.kafka.common.security.{login} ;"
            for listener in ("sasl", "both")
            for name, login in LOGINS.items()
        ]
        self._settings.write_text("\n".join([*kept, more, *logins, ""]))
        certificates(where)

    def _format(self) -> None:
        cluster = base64.urlsafe_b64encode(b"dbslo-guarded-01").decode().rstrip("=")
        scram = [
            word
            for name in ("SCRAM-SHA-256", "SCRAM-SHA-512")
            for word in ("--add-scram", f"{name}=[name={USER},password={PASSWORD}]")
        ]
        arguments = ("format", "--standalone", f"--cluster-id={cluster}", *scram)
        settings = ("-c", str(self._settings))
        tool = "kafka.tools.StorageTool"
        run(java(self._jars, tool, *arguments, *settings, heap_mb=64))

    def options(self, mechanism: str, **more: str) -> dict[str, str]:
        """librdkafka's options for the `sasl` listener, with the right password."""
        return {
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanism": mechanism,
            "sasl.username": USER,
            "sasl.password": PASSWORD,
            **{name.replace("_", "."): value for name, value in more.items()},
        }

    def certified(self, **more: str) -> dict[str, str]:
        """librdkafka's options for the `tls` listener."""
        return {
            "security.protocol": "SSL",
            "ssl.ca.location": str(self.files / "ca.crt"),
            "ssl.certificate.location": str(self.files / "client.crt"),
            "ssl.key.location": str(self.files / "client.key"),
            **{name.replace("_", "."): value for name, value in more.items()},
        }


def certificates(folder: Path) -> None:
    """A certificate authority, a server's and a client's key and certificate."""
    openssl = found("openssl", "openssl")
    new = ("-newkey", "rsa:2048", "-nodes", "-days", "2")

    def make(name: str, *more: str) -> None:
        key, certificate = folder / f"{name}.key", folder / f"{name}.crt"
        where = ("-keyout", str(key), "-out", str(certificate))
        run([openssl, "req", "-x509", *new, *where, "-subj", f"/CN={name}", *more])

    make("ca")
    signed = ("-CA", str(folder / "ca.crt"), "-CAkey", str(folder / "ca.key"))
    leaf = ("-addext", "basicConstraints=critical,CA:FALSE")
    make("server", *signed, *leaf, "-addext", "subjectAltName=IP:127.0.0.1")
    make("client", *signed, *leaf)
    both = [(folder / f"server.{end}").read_text() for end in ("key", "crt")]
    (folder / "server.pem").write_text("".join(both))


def unsecured(seconds: float, subject: str = USER) -> tuple[str, int]:
    """A token that Kafka's own validator for tests takes, and when it ends, ms."""
    now_s = time.time()
    claims = {"sub": subject, "iat": now_s, "exp": now_s + seconds}
    parts = ({"alg": "none"}, claims)
    coded = [
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
        for part in parts
    ]
    return f"{coded[0]}.{coded[1]}.", int((now_s + seconds) * 1000)
