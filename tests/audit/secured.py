"""A broker with TLS, SCRAM and an authorizer: a user has only the granted rights."""

import datetime
import ipaddress
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from deploy.local import jars
from deploy.local.ports import HOST, Ports, is_open
from deploy.local.processes import Processes, Program
from deploy.local.stack import ALONE, QUICK_JVM, cluster_name, java
from tests.integration.simulators import until

CACHE = Path(__file__).resolve().parents[2] / ".local"
PATIENCE_SECONDS = 90.0

_BROKER = """
process.roles=broker,controller
node.id=1
listeners=CLIENTS://{host}:{clients},INSIDE://{host}:{inside},CONTROLLER://{host}:{controller}
advertised.listeners=CLIENTS://{host}:{clients},INSIDE://{host}:{inside}
listener.security.protocol.map=CLIENTS:SASL_SSL,INSIDE:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=INSIDE
controller.listener.names=CONTROLLER
controller.quorum.bootstrap.servers={host}:{controller}
sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.clients.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.clients.ssl.keystore.type=PEM
listener.name.clients.ssl.keystore.location={keystore}
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
log.dirs={data}
"""


@dataclass(frozen=True, slots=True)
class Secured:
    """`clients` requires credentials; `inside` accepts everything, for preparing the test. `ca_file` is the issuing
    certificate.
    """

    clients: str
    inside: str
    ca_file: Path

    def may_read(self, user: str, prefix: str) -> None:
        """Grant a user READ and DESCRIBE on the topics with this prefix, and nothing else."""
        rules = [
            AclBinding(ResourceType.TOPIC, prefix, ResourcePatternType.PREFIXED, f"User:{user}", "*", operation,
                       AclPermissionType.ALLOW)
            for operation in (AclOperation.READ, AclOperation.DESCRIBE)
        ]  # fmt: skip
        admin = AdminClient({"bootstrap.servers": self.inside})
        for done in admin.create_acls(rules).values():
            done.result(timeout=60)


@contextmanager
def secured_broker(root: Path, users: dict[str, str]) -> Iterator[Secured]:
    """One broker with these users (name → password); stopped afterwards."""
    ports, processes = Ports.free(), Processes(root)
    clients = Ports.free().kafka
    ca_file, keystore = _certificate(root)
    properties, data = root / "server.properties", root / "data"
    properties.write_text(
        _BROKER.format(host=HOST, clients=clients, inside=ports.kafka, controller=ports.kafka_controller, data=data,
                       keystore=keystore) + ALONE,
        encoding="utf-8",
    )  # fmt: skip
    program = [
        str(java()),
        "-Xms128m",
        "-Xmx512m",
        "-XX:+UseSerialGC",
        *QUICK_JVM,
        "-cp",
        f"{jars.ready(CACHE, lambda said: None)}/*",
    ]
    known = [part for name, password in users.items()
             for part in ("--add-scram", f"SCRAM-SHA-512=[name={name},password={password}]")]  # fmt: skip
    arguments = ["format", "--standalone", "-t", cluster_name(), "-c", str(properties), *known]
    try:
        processes.start(Program("format", [*program, "kafka.tools.StorageTool", *arguments], root))
        until(lambda: processes.ended("format"), "formatted", PATIENCE_SECONDS)
        processes.start(Program("broker", [*program, "kafka.Kafka", str(properties)], root))
        until(lambda: is_open(clients) and is_open(ports.kafka), "a broker", PATIENCE_SECONDS)
        yield Secured(f"{HOST}:{clients}", f"{HOST}:{ports.kafka}", ca_file)
    finally:
        for name in processes.names():
            processes.kill(name)


def _certificate(root: Path) -> tuple[Path, Path]:
    """A certificate for this machine's loopback address, and the broker's file of it with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "broker of a test")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(HOST))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    shown = certificate.public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    ca_file, keystore = root / "ca.pem", root / "broker.pem"
    ca_file.write_bytes(shown)
    keystore.write_bytes(secret + shown)
    return ca_file, keystore
