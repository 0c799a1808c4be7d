"""Real Kafka and real MongoDB for the tests, given by the environment or started here; and the whole full_stack."""

import functools
import os
import re
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymongo
import pytest
from aiokafka.admin import AIOKafkaAdminClient
from xdist.scheduler import LoadScopeScheduling

from deploy.local.errors import LocalStackError
from deploy.local.ports import Ports
from deploy.local.services import SERVICES, Choices, LocalServices
from deploy.local.stack import LocalStack
from shared.web.local_tokens import mint
from tests.containers import containers
from tests.full_stack import FullStack

pytest_plugins = ("tests.fault_table", "tests.approval_service")

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Stack:
    """Where Kafka and MongoDB are."""

    kafka: str
    mongo: str


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """Who shares something that takes long to make stays together, in one of the processes that `make test` runs."""

    class ByWhatTheyShare(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return shared_by(nodeid.split("::")[0])

    return ByWhatTheyShare(config, log)


@functools.cache
def shared_by(file: str) -> str:
    """What the tests of a file share with those of other files; the file itself when that is nothing."""
    text = (ROOT / file).read_text(encoding="utf-8")
    if file.startswith("tests/contracts/"):
        return "services"
    return next((name for name in ("full_stack", "approval_service") if re.search(rf"\b{name}: ", text)), file)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Kafka and MongoDB for the whole session. On CI they are never absent; elsewhere the test skips and says why."""
    if os.environ.get("KAFKA_BOOTSTRAP_SERVERS") and os.environ.get("MONGO_URL"):
        yield Stack(os.environ["KAFKA_BOOTSTRAP_SERVERS"], os.environ["MONGO_URL"])
        return
    if os.environ.get("STACK") == "containers":
        try:
            with containers() as (kafka, mongo):
                yield Stack(kafka, mongo)
        except LocalStackError as error:
            pytest.skip(str(error))
        return
    local = LocalStack(tmp_path_factory.mktemp("stack"), ROOT / ".local", Ports.free())
    try:
        local.start()
    except LocalStackError as error:
        local.stop()
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(str(error))
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


@pytest.fixture(scope="session")
def full_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FullStack]:
    """Kafka, MongoDB, simulators and services of the session's own: they may be killed. Absent: as above."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("KAFKA_BOOTSTRAP_SERVERS", "MONGO_URL"):
            patch.delenv(name, raising=False)
        root = tmp_path_factory.mktemp("full_stack")
        folders = {name: root / "failpoints" / name for name in SERVICES}
        for folder in folders.values():
            folder.mkdir(parents=True)
        overrides = {name: {"FAILPOINTS_DIR": str(folder)} for name, folder in folders.items()}
        overrides["notify"]["UNKNOWN_WAIT_SECONDS"] = "1"
        stack = LocalStack(root, ROOT / ".local", Ports.free())
        services = LocalServices(stack, Choices(keys=root / "keys", overrides=overrides))
        try:
            stack.start()
            services.start()
        except LocalStackError as error:
            stack.stop()
            if os.environ.get("CI"):
                pytest.fail(str(error))
            pytest.skip(str(error))
        _first_picture(services)
        yield FullStack(services, root / "failpoints", functools.partial(mint, root / "keys"))
        stack.stop()


def _first_picture(services: LocalServices) -> None:
    """Wait until safety has read the feed once and the others know every country."""
    deadline = time.monotonic() + 60
    while True:
        source = _check(services, "safety", "source netherlands")
        advice = [_check(services, name, "subscription travel.advice.v1") for name in ("registration", "notify")]
        if source.get("ok") and all(
            each.get("handled", 0) >= source["countries"] and not each["lag"] for each in advice
        ):
            return
        assert time.monotonic() < deadline, (source, advice)
        time.sleep(0.1)


def _check(services: LocalServices, service: str, name: str) -> dict[str, Any]:
    checks = services.readiness(service).get("checks", [])
    return next((check for check in checks if check["name"] == name), {})
