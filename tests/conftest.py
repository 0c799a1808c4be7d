"""What all tests share: Kafka and MongoDB, the full stack, and which tests run in the same worker."""

import asyncio
import functools
import os
import re
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import pymongo
import pytest
from aiokafka.admin import AIOKafkaAdminClient
from hypothesis import Phase, settings
from xdist.scheduler import LoadScopeScheduling

from deploy.local.errors import LocalStackError
from deploy.local.ports import Ports
from deploy.local.services import SERVICES, Choices, LocalServices
from deploy.local.stack import LocalStack
from shared.mongo.client import Mongo
from shared.web.local_tokens import mint
from tests.containers import containers
from tests.full_stack import FullStack
from tests.shared_stack import SharedStackHooks, mongod_folder, shared_addresses

pytest_plugins = (
    "tests.fault_table",
    "tests.log_repeats",
    "tests.approval_service",
    "tests.four_services",
    "tests.provider_simulators",
)

ROOT = Path(__file__).resolve().parents[1]
#: The groups that take longest. They start first, so that all workers end at about the same time.
LONGEST = ("full_stack", "tests/integration/test_safety_feed.py", "services", "tests/integration/test_local_stack.py")
FIRST_READING_SECONDS = 180.0
_FULL_STACK = pytest.StashKey[FullStack]()


@dataclass(frozen=True)
class Stack:
    """Addresses of Kafka and MongoDB."""

    kafka: str
    mongo: str


def pytest_configure(config: pytest.Config) -> None:
    """Let all workers of a parallel run share one Kafka and one MongoDB. No example has a time limit."""
    settings.register_profile("without_deadline", deadline=None)
    settings.load_profile("without_deadline")
    # Chosen by `make mutants`: thousands of short runs, which must not differ from each other.
    settings.register_profile(
        "mutants",
        deadline=None,
        derandomize=True,
        database=None,
        max_examples=10,
        phases=(Phase.explicit, Phase.generate),
    )
    config.pluginmanager.register(SharedStackHooks(), "shared-stack")


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """Tests that share a slow fixture run in the same worker."""

    class SharedFixtureScheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid.split("::")[0])

    return SharedFixtureScheduling(config, log)


@functools.cache
def group_of(file: str) -> str:
    """The group of tests that runs in one worker: the slow fixture that the file uses, else the file itself."""
    if file.startswith("tests/contracts/"):
        return "services"
    text = (ROOT / file).read_text(encoding="utf-8")
    if re.search(r"\bfour_services: ", text):
        return "services"
    return next((name for name in ("full_stack", "approval_service") if re.search(rf"\b{name}: ", text)), file)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In a parallel run the longest groups come first."""
    if hasattr(config, "workerinput"):
        rank = {group: number for number, group in enumerate(LONGEST)}
        items.sort(key=lambda item: rank.get(group_of(item.nodeid.split("::")[0]), len(rank)))


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """After the last test of a file the state of the full stack is rebuilt from Kafka, if a test checked the stack.

    A worker then stops the full stack after the group that uses it: an idle one takes a quarter of a core.
    """
    full_stack = item.config.stash.get(_FULL_STACK, None)
    if full_stack is None or (nextitem is not None and nextitem.path == item.path):
        return
    try:
        _rebuild_if_due(full_stack)
    finally:
        following = "" if nextitem is None else group_of(nextitem.nodeid.split("::")[0])
        if hasattr(item.config, "workerinput") and following != "full_stack":
            full_stack.services.stack.stop()
            del item.config.stash[_FULL_STACK]


def _rebuild_if_due(full_stack: FullStack) -> None:
    """Rebuild the state in a thread, because the loop of a test may still be open in this one."""
    if full_stack.is_rebuild_due:
        with ThreadPoolExecutor(1) as thread:
            thread.submit(asyncio.run, full_stack.check_rebuilt_state()).result()


@pytest.fixture(scope="session")
def stack(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Kafka and MongoDB for the whole session: given by the environment, shared by the workers, or started here.

    Where they cannot be started the test skips and says why; with `CI` set it fails.
    """
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
    try:
        addresses = shared_addresses(request.config)
    except LocalStackError as error:
        _give_up(error)
    if addresses is not None:
        yield Stack(addresses["kafka"], addresses["mongo"])
        return
    with mongod_folder() as data:
        local = LocalStack(tmp_path_factory.mktemp("stack"), ROOT / ".local", Ports.free(), mongod_data=data)
        try:
            local.start()
        except LocalStackError as error:
            local.stop()
            _give_up(error)
        yield Stack(local.kafka, local.mongo)
        local.stop()


def _give_up(error: LocalStackError) -> NoReturn:
    """Fail on CI, where the stack is never absent; skip elsewhere."""
    if os.environ.get("CI"):
        pytest.fail(str(error))
    pytest.skip(str(error))


@pytest.fixture
async def namespace(stack: Stack) -> AsyncIterator[str]:
    """A prefix for the databases and topics of this test, which are dropped afterwards."""
    prefix = f"t{uuid.uuid4().hex[:8]}-"
    yield prefix
    client: pymongo.MongoClient[dict[str, object]] = pymongo.MongoClient(stack.mongo, serverSelectionTimeoutMS=30_000)
    for name in client.list_database_names():
        if name.startswith(prefix):
            client.drop_database(name)
    client.close()
    admin = AIOKafkaAdminClient(bootstrap_servers=stack.kafka)
    await admin.start()
    topics = [topic for topic in await admin.list_topics() if topic.startswith(prefix)]
    if topics:
        await admin.delete_topics(topics)
    await admin.close()


@pytest.fixture
async def mongo(stack: Stack, namespace: str) -> AsyncIterator[Mongo]:
    """A client in a namespace of its own."""
    client = Mongo(stack.mongo, namespace=namespace)
    yield client
    client.close()


@pytest.fixture(scope="session")
def full_stack(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FullStack]:
    """Kafka, MongoDB, simulators and services of this session alone, because tests kill them."""
    with pytest.MonkeyPatch.context() as patch, mongod_folder() as data:
        for name in ("KAFKA_BOOTSTRAP_SERVERS", "MONGO_URL"):
            patch.delenv(name, raising=False)
        root = tmp_path_factory.mktemp("full_stack")
        failpoints = {name: root / "failpoints" / name for name in SERVICES}
        for folder in failpoints.values():
            folder.mkdir(parents=True)
        overrides = {name: {"FAILPOINTS_DIR": str(folder)} for name, folder in failpoints.items()}
        # An office that got a mail for one test hears of the next one at once, too.
        overrides["notify"] |= {"UNKNOWN_WAIT_SECONDS": "1", "OFFICE_MAIL_MINUTES": "0"}
        stack = LocalStack(root, ROOT / ".local", Ports.free(), mongod_data=data)
        services = LocalServices(stack, Choices(keys=root / "keys", overrides=overrides))
        try:
            stack.start()
            services.start()
        except LocalStackError as error:
            stack.stop()
            _give_up(error)
        _wait_for_first_reading(services)
        full_stack = FullStack(services, root / "failpoints", functools.partial(mint, root / "keys"))
        request.config.stash[_FULL_STACK] = full_stack
        yield full_stack
        try:
            _rebuild_if_due(full_stack)  # the last test of all: its fixtures end before the hook
        finally:
            if _FULL_STACK in request.config.stash:
                del request.config.stash[_FULL_STACK]
            stack.stop()


def _wait_for_first_reading(services: LocalServices) -> None:
    """Wait until safety has read the feed once, and registration and notify know the advice of every country."""
    deadline = time.monotonic() + FIRST_READING_SECONDS
    while True:
        source = _check(services, "safety", "source netherlands")
        advice = [_check(services, name, "subscription travel.advice.v1") for name in ("registration", "notify")]
        if source.get("ok") and all(
            subscription.get("handled", 0) >= source["countries"] and not subscription["lag"] for subscription in advice
        ):
            return
        assert time.monotonic() < deadline, (source, advice)
        time.sleep(0.1)


def _check(services: LocalServices, service: str, name: str) -> dict[str, Any]:
    """One check of the service's readiness; empty while the service does not answer."""
    checks = services.readiness(service).get("checks", [])
    return next((check for check in checks if check["name"] == name), {})
