"""How an auditor reaches Kafka: credentials of their own where there are some, the common variables otherwise."""

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.errors import PermanentError


class NotConfigured(PermanentError):
    """A variable is missing or names something that is not there: wrong use."""


@dataclass(frozen=True, slots=True)
class AuditSettings:
    """`AUDIT_KAFKA_USERNAME` wins over `KAFKA_USERNAME`, and so on. `password` never shows in a log."""

    bootstrap_servers: str
    namespace: str = ""
    ca_file: str | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    @classmethod
    def of(cls, environment: Mapping[str, str] = os.environ) -> "AuditSettings":
        """From the environment. Raises NotConfigured with the name of the variable."""

        def value(name: str) -> str | None:
            return environment.get(f"AUDIT_{name}") or environment.get(name) or None

        servers = value("KAFKA_BOOTSTRAP_SERVERS")
        if servers is None:
            raise NotConfigured(
                "KAFKA_BOOTSTRAP_SERVERS is not set: where is Kafka? (`set -a; . .local/env` for the local stack)"
            )
        ca_file, username, password = value("KAFKA_CA_FILE"), value("KAFKA_USERNAME"), value("KAFKA_PASSWORD")
        if ca_file is not None and not os.path.isfile(ca_file):
            raise NotConfigured(f"KAFKA_CA_FILE names {ca_file}, which is not there")
        if ca_file is not None:
            try:
                ssl.create_default_context(cafile=ca_file)
            except (ssl.SSLError, OSError):
                raise NotConfigured(f"KAFKA_CA_FILE names {ca_file}, which is no PEM file of certificates") from None
        if username is not None and password is None:
            raise NotConfigured("KAFKA_USERNAME is set and KAFKA_PASSWORD is not")
        return cls(servers, value("NAMESPACE") or "", ca_file, username, password)

    def client(self) -> dict[str, Any]:
        """Connection options of librdkafka."""
        # Quiet connections die in address translation after 350 s.
        options: dict[str, Any] = {"client.id": "passage-audit", "connections.max.idle.ms": 60_000}
        if self.ca_file is not None:
            options |= {"security.protocol": "SSL", "ssl.ca.location": self.ca_file}
        if self.username is not None:
            options |= {
                "security.protocol": "SASL_SSL" if self.ca_file else "SASL_PLAINTEXT",
                "sasl.mechanism": "SCRAM-SHA-512",
                "sasl.username": self.username,
                "sasl.password": self.password,
            }
        return options
