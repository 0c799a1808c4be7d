"""compose.yaml run for real, without containers: its Kafka, its MongoDB, its logins, its four services."""

import asyncio
import ssl
from collections.abc import Iterator
from datetime import timedelta

import pymongo
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from pymongo.errors import OperationFailure, PyMongoError

from deploy.local.demo.people import People
from deploy.local.demo.world import PROGRAMMES, Plan, Student
from shared.bus import topics
from shared.clock import amsterdam_date, utc_now
from shared.web.local_tokens import AUDIENCE, create_keys, mint
from tests.abuse.compose_world import BY_HAND, DEPLOY, SERVICES, prepared
from tests.abuse.test_invented_catalogue import as_if_real
from tests.faults.production_world import Production, running

pytestmark = pytest.mark.long
#: Readiness depends on these alone; what is outside (the ministry, the mail server) does not answer here.
CRITICAL = ("mongo", "relay")  # and the subscriptions, where a service has some
NOBODY = "https://127.0.0.1:9"


@pytest.fixture(scope="module")
def production(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Production]:
    """A prepared deployment, filled in, whose Kafka and MongoDB run and are set up."""
    catalogue = tmp_path_factory.mktemp("catalogue")
    deployment = prepared(tmp_path_factory.mktemp("deploy"), as_if_real(catalogue))
    create_keys(deployment.folder / "keys")
    login = {"JWKS": "/app/keys/jwks.json", "TOKEN_ISSUER": BY_HAND["TOKEN_ISSUER"], "TOKEN_AUDIENCE": AUDIENCE}
    deployment.variables.update(FEED_URL=NOBODY, INFORMING_SOURCES="", **login)
    with running(deployment) as started:
        yield started


def kafka_login(production: Production, user: str, password: str) -> dict[str, object]:
    """How a client with this login reaches Kafka."""
    return {
        "bootstrap_servers": production.kafka,
        "security_protocol": "SASL_SSL",
        "ssl_context": ssl.create_default_context(cafile=production.authority),
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": user,
        "sasl_plain_password": password,
        "request_timeout_ms": 10_000,
    }


async def topics_seen(production: Production, user: str, password: str) -> set[str]:
    """The topics that this login sees. Raises KafkaError."""
    admin = AIOKafkaAdminClient(**kafka_login(production, user, password))
    await admin.start()
    try:
        return set(await admin.list_topics())
    finally:
        await admin.close()


@pytest.mark.fault("strangers at compose's Kafka and MongoDB")
async def test_only_logins_come_in_and_each_reads_its_own_database(production: Production) -> None:
    """No login, a wrong password, plain text: refused. A service's user reads its database and the keys, no other."""
    password = production.deployment.variables
    with pytest.raises(KafkaError):
        await AIOKafkaProducer(bootstrap_servers=production.kafka, request_timeout_ms=5_000).start()
    with pytest.raises(KafkaError):
        await topics_seen(production, "notify", password["SAFETY_PASSWORD"])
    for user in (*SERVICES, "auditor"):
        assert await topics_seen(production, user, password[f"{user.upper()}_PASSWORD"])

    port = production.port_of[27017]
    with pytest.raises(PyMongoError):
        pymongo.MongoClient("localhost", port, serverSelectionTimeoutMS=3_000).admin.command("ping")
    without = f"mongodb://localhost:{port}/?replicaSet=rs0&tls=true&tlsCAFile={production.authority}"
    with pytest.raises(OperationFailure):
        pymongo.MongoClient(without).notify.deliveries.find_one()
    with pymongo.MongoClient(production.mongo_url("approval", password["APPROVAL_PASSWORD"])) as approval:
        approval.approval.requests.find_one()
        approval.keyring.keys.find_one()
        for database in ("registration", "safety", "notify", "admin"):
            with pytest.raises(OperationFailure):
                approval[database].anything.find_one()


@pytest.mark.fault("a new container for compose's Kafka")
async def test_the_log_outlives_the_container(production: Production) -> None:
    """Nothing but the volume is kept: the topics and the logins are there, and `setup` changes nothing."""
    declared = {topic.name for topic in topics.load(DEPLOY / "topics.yaml").topics}
    await asyncio.to_thread(production.processes.stop, "kafka")
    (production.folder / "kafka-config" / "server.properties").unlink()

    await asyncio.to_thread(production.start_kafka)
    said = await asyncio.to_thread(production.set_up)

    assert "every topic exists" in said
    assert declared <= await topics_seen(production, "auditor", production.deployment.variables["AUDITOR_PASSWORD"])


@pytest.mark.fault("a password of compose is changed")
async def test_a_changed_password_holds_after_setup(production: Production) -> None:
    """For Kafka and MongoDB: the new one opens, the old one does not."""
    old = production.deployment.variables["SAFETY_PASSWORD"]
    production.deployment.variables["SAFETY_PASSWORD"] = new = "n" * 48

    await asyncio.to_thread(production.set_up)

    assert await topics_seen(production, "safety", new)
    with pytest.raises(KafkaError):
        await topics_seen(production, "safety", old)
    with pymongo.MongoClient(production.mongo_url("safety", new)) as safety:
        safety.safety.countries.find_one()
    with pytest.raises(PyMongoError), pymongo.MongoClient(production.mongo_url("safety", old)) as safety:
        safety.safety.countries.find_one()


@pytest.mark.fault("compose's production starts; the ministry and the mail server are away")
async def test_the_four_services_start_with_exactly_composes_environment(production: Production) -> None:
    """As ENV=production, over TLS with their logins. A registration goes through two services and reaches the third."""
    for name in SERVICES:
        await asyncio.to_thread(production.start_service, name)
    for name in SERVICES:
        await asyncio.to_thread(production.wait, name, lambda name=name: is_well(production.checks(name)))  # type: ignore[misc]

    subscribed = {name for name in SERVICES if any("travel." in check for check in production.checks(name))}
    assert subscribed == {"registration", "notify"}
    registration_id = await _registered(production)
    root = production.mongo_url("root", production.deployment.variables["MONGO_ROOT_PASSWORD"])
    with pymongo.MongoClient(root) as client:

        def has_arrived() -> bool:
            collections = client.notify.list_collection_names()
            return any(client.notify[name].find_one({"_id": registration_id}) for name in collections)

        await asyncio.to_thread(production.wait, "notify", has_arrived)


async def _registered(production: Production) -> str:
    """The id of a registration whose approval was asked for and granted: two services, two topics, transactions."""
    today = amsterdam_date(utc_now())
    start, end = today + timedelta(days=30), today + timedelta(days=60)
    student = Student(7, Plan.APPROVED_FIRST, "AT", None, None, start, end, "nl", *PROGRAMMES[0])
    keys = production.deployment.folder / "keys"
    bases = {name: production.base(name) for name in SERVICES}
    async with People(bases, lambda who, roles: mint(keys, who, roles, issuer=BY_HAND["TOKEN_ISSUER"])) as people:
        approval_id = await people.request_approval(student)
        await people.grant(approval_id, student.programme)
        answer = await people.register(student, approval_id)
    return str(answer.body["registrationId"])


@pytest.mark.fault("compose's production with the invented catalogue")
async def test_a_service_with_the_invented_catalogue_does_not_start(production: Production) -> None:
    """The process ends, and its last words say why."""
    production.processes.stop("notify")
    await asyncio.to_thread(production.start_service, "notify", CATALOGUE_FOLDER="./local/catalogue")

    def has_ended() -> bool:
        return production.processes.ended("notify")

    while not has_ended():
        await asyncio.sleep(0.1)
    assert "invented" in production.processes.log("notify").read_text(encoding="utf-8")


def is_well(checks: dict[str, bool]) -> bool:
    """Whether MongoDB, the relay and every subscription are well."""
    named = [name for name in checks if name in CRITICAL or name.startswith(("travel.", "subscription"))]
    return set(CRITICAL) <= set(named) and all(checks[name] for name in named)
