"""How a service reaches Kafka, and the names that it uses there."""

import socket
import ssl
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class BusSettings:
    """`namespace` prefixes topics and groups; `instance` is the static member id, which one process alone may have.

    Without an `instance` Kafka gives every process an id of its own.

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

    @property
    def client_id(self) -> str:
        """How Kafka's logs and tools name this process."""
        return f"{self.service}-{self.instance or socket.gethostname()}"

    def member_id(self, topic: str) -> str | None:
        """The static member id in the group of a topic; None: Kafka gives one."""
        return f"{self.namespace}{self.instance}.{topic}" if self.instance else None

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
            "client_id": self.client_id,
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
