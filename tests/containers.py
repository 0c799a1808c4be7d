"""Kafka and MongoDB as containers (`STACK=containers`), with the images of the compose file."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pymongo
import yaml
from docker.errors import DockerException
from testcontainers.core.container import DockerContainer
from testcontainers.core.docker_client import DockerClient
from testcontainers.core.waiting_utils import wait_for_logs

from deploy.local.errors import LocalStackError

COMPOSE = Path(__file__).resolve().parents[1] / "deploy" / "compose.yaml"
KAFKA_PORT, MONGO_PORT = 9092, 27017
READY_SECONDS = 120.0


@contextmanager
def containers() -> Iterator[tuple[str, str]]:
    """Bootstrap servers and connection URL. Raises LocalStackError if no engine answers or an image is missing."""
    try:
        DockerClient().client.ping()
    except (DockerException, OSError) as error:
        raise LocalStackError(f"STACK=containers: no container engine answers ({type(error).__name__}).") from None
    services = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["services"]
    try:
        with _kafka(services["kafka"]["image"]) as bootstrap, _mongo(services["mongo"]["image"]) as url:
            yield bootstrap, url
    except (DockerException, TimeoutError) as error:
        raise LocalStackError(f"STACK=containers: the containers cannot be started: {error}") from None


@contextmanager
def _kafka(image: str) -> Iterator[str]:
    # Kafka must know before it starts which address it gives to clients: a fixed port on the host.
    port = 20_000 + secrets.randbelow(10_000)
    environment = {
        "KAFKA_NODE_ID": "1",
        "KAFKA_PROCESS_ROLES": "broker,controller",
        "KAFKA_LISTENERS": f"PLAINTEXT://:{KAFKA_PORT},CONTROLLER://:9093",
        "KAFKA_ADVERTISED_LISTENERS": f"PLAINTEXT://localhost:{port}",
        "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
        "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
        "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
        "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
        "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
    }
    container = DockerContainer(image).with_bind_ports(KAFKA_PORT, port)
    for name, value in environment.items():
        container.with_env(name, value)
    with container:
        wait_for_logs(container, "Kafka Server started", timeout=READY_SECONDS)
        yield f"localhost:{port}"


@contextmanager
def _mongo(image: str) -> Iterator[str]:
    container = DockerContainer(image).with_command("--replSet rs0 --bind_ip_all").with_exposed_ports(MONGO_PORT)
    with container:
        wait_for_logs(container, "Waiting for connections", timeout=READY_SECONDS)
        host, port = container.get_container_host_ip(), container.get_exposed_port(MONGO_PORT)
        # The member's own name is localhost inside the container; clients outside need a direct connection.
        url = f"mongodb://{host}:{port}/?directConnection=true"
        client: pymongo.MongoClient[dict[str, object]] = pymongo.MongoClient(url)
        member = {"_id": 0, "host": f"localhost:{MONGO_PORT}"}
        client.admin.command("replSetInitiate", {"_id": "rs0", "members": [member]})
        with client.watch(max_await_time_ms=100):  # only a primary opens one
            pass
        client.close()
        yield url
