"""A good environment for each service, local and in production, for the tests that spoil one variable of it."""

import base64
import datetime
import hashlib
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.x509.oid import NameOID

from services.passage.settings import SETTINGS

ROOT = Path(__file__).resolve().parents[2]
SERVICES = tuple(SETTINGS)


def secret(purpose: str) -> str:
    """A secret that looks random, and is the same in each run."""
    return hashlib.sha256(purpose.encode()).hexdigest()


def key(purpose: str) -> str:
    """The base64 of 32 bytes that look random."""
    return base64.b64encode(hashlib.sha256(purpose.encode()).digest()).decode()


def certificates(folder: Path) -> Path:
    """A PEM file with one certificate."""
    private = generate_private_key(SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "brokers.university.example")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(private.public_key())
        .serial_number(1).not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(private, hashes.SHA256())
    )  # fmt: skip
    file = folder / "ca.pem"
    file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return file


def production(service: str, folder: Path) -> dict[str, str]:
    """An environment that production accepts, with every variable that it needs and none besides."""
    common = {
        "ENV": "production",
        "KAFKA_BOOTSTRAP_SERVERS": "kafka-1.university.example:9093,kafka-2.university.example:9093",
        "KAFKA_CA_FILE": str(certificates(folder)),
        "KAFKA_USERNAME": service,
        "KAFKA_PASSWORD": secret("kafka"),
        "MONGO_URL": f"mongodb://{service}:{secret('mongo')}@mongo.university.example/?replicaSet=rs0&tls=true",
        "KEY_ENCRYPTION_KEY": key("key-encryption-key"),
        "JWKS": "https://login.university.example/jwks",
        "TOKEN_ISSUER": "https://login.university.example",
        "TOKEN_AUDIENCE": "safe-passage",
        "TOPICS_FILE": str(ROOT / "deploy" / "topics.yaml"),
    }
    catalogue = {"CATALOGUE_DIR": str(ROOT / "deploy" / "local" / "catalogue")}
    own: dict[str, dict[str, str]] = {
        "approval": catalogue,
        "registration": {**catalogue, "CLAMD": "clamd:3310"},
        "safety": {"USER_AGENT_CONTACT": "mailto:safe-passage@university.example"},
        "notify": {
            **catalogue,
            "SERVICE_KEY": key("service-key"),
            "SMTP_HOST": "smtp.university.example",
            "SMTP_SENDER": "alerts@university.example",
            "SMTP_STARTTLS": "true",
            "SMS_URL": "https://sms.example",
            "SMS_TOKEN": secret("sms"),
            "SMS_SENDER": "+31970000000",
            "ANSWER_BASE_URL": "https://travel.university.example/notify",
            "WEBHOOK_SECRET": secret("webhook"),
        },
    }
    return {**common, **own[service]}


def local(service: str, folder: Path) -> dict[str, str]:
    """The same on one machine: nothing is encrypted, nobody logs in."""
    without = {"KAFKA_CA_FILE", "KAFKA_USERNAME", "KAFKA_PASSWORD", "SMTP_STARTTLS", "CLAMD"}
    kept = {name: value for name, value in production(service, folder).items() if name not in without}
    return {**kept, "ENV": "local", "MONGO_URL": "mongodb://127.0.0.1:9/?replicaSet=rs0"}
