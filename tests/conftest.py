"""Real Kafka and real MongoDB for the tests: given by the environment, or started here."""

import os
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pymongo
import pytest
from aiokafka.admin import AIOKafkaAdminClient

from deploy.local.ports import Ports
from deploy.local.stack import LocalStack
from deploy.local.trouble import Trouble

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Stack:
    """Where Kafka and MongoDB are."""

    kafka: str
    mongo: str


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Kafka and MongoDB for the whole session. On CI they are never absent; elsewhere the test skips and says why."""
    if os.environ.get("KAFKA_BOOTSTRAP_SERVERS") and os.environ.get("MONGO_URL"):
        yield Stack(os.environ["KAFKA_BOOTSTRAP_SERVERS"], os.environ["MONGO_URL"])
        return
    local = LocalStack(tmp_path_factory.mktemp("stack"), ROOT / ".local", Ports.free())
    try:
        local.start()
    except Trouble as trouble:
        local.stop()
        if os.environ.get("CI"):
            pytest.fail(str(trouble))
        pytest.skip(str(trouble))
    yield Stack(local.kafka, local.mongo)
    local.stop()


@pytest.fixture
async def namespace(stack: Stack) -> AsyncIterator[str]:
    """A prefix of the test's own; its databases and topics are dropped afterwards."""
    prefix = f"t{uuid.uuid4().hex[:8]}-"
    yield prefix
    client: pymongo.MongoClient[dict[str, object]] = pymongo.MongoClient(stack.mongo, serverSelectionTimeoutMS=5_000)
    for name in client.list_database_names():
        if name.startswith(prefix):
            client.drop_database(name)
    client.close()
    admin = AIOKafkaAdminClient(bootstrap_servers=stack.kafka)
    await admin.start()
    ours = [topic for topic in await admin.list_topics() if topic.startswith(prefix)]
    if ours:
        await admin.delete_topics(ours)
    await admin.close()
