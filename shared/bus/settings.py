"""How a service reaches Kafka, and the names that it uses there."""

import ssl
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class BusSettings:
    """`namespace` prefixes topics and groups; `instance` is the static member id and the owner of leases.

    `version_gap_seconds`: an event whose predecessor in the stream is missing waits this long before it is parked.
    """

    bootstrap_servers: str
    namespace: str
    service: str
    instance: str
    topics_file: str = "deploy/topics.yaml"
    username: str | None = None
    password: str | None = None
    ssl_context: ssl.SSLContext | None = None
    version_gap_seconds: float = 60.0

    def physical(self, topic: str) -> str:
        """The topic's name in Kafka."""
        return self.namespace + topic

    def group(self, topic: str) -> str:
        """The consumer group of this service for a topic."""
        return f"{self.namespace}{self.service}.{topic}"

    def dead_letters(self, topic: str) -> str:
        """The dead-letter topic of this service for a topic, as named in Kafka."""
        return f"{self.namespace}{topic}.{self.service}.dlq"

    def client(self) -> dict[str, Any]:
        """Connection arguments for any aiokafka client."""
        arguments: dict[str, Any] = {
            "bootstrap_servers": self.bootstrap_servers,
            "client_id": f"{self.service}-{self.instance}",
            # Address translation (NAT) drops connections that were idle for 350 s.
            "connections_max_idle_ms": 60_000,
        }
        if self.ssl_context is not None:
            arguments |= {"ssl_context": self.ssl_context, "security_protocol": "SSL"}
        if self.username is not None:
            arguments |= {
                "security_protocol": "SASL_SSL" if self.ssl_context else "SASL_PLAINTEXT",
                "sasl_mechanism": "SCRAM-SHA-512",
                "sasl_plain_username": self.username,
                "sasl_plain_password": self.password,
            }
        return arguments
