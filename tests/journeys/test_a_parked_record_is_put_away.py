"""A record that nobody can process is put away with a reason: the service is well again, and nobody vanishes."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from typer.testing import CliRunner

from services.passage import main
from services.passage.rebuild import ShadowRebuild
from shared.audit.event_query import ReadingReport, follow
from shared.audit.reader import Reader
from shared.bus import topics
from shared.bus.settings import BusSettings
from shared.clock import utc_now
from shared.envelope import parse
from shared.events import RecordDiscardedByNotify, RegistrationEvent
from shared.mongo.client import Mongo
from shared.web.local_tokens import create_keys
from tests.contracts.services_world import SAFETY_OFFICER, STUDENT, Call, World, instances, operation, registration_body
from tests.integration.bus_world import TOPICS, until

TOPIC = RegistrationEvent.topic
COUNTRY = "ES"


@dataclass
class Installation:
    """The four services with their background work, in a namespace of their own on the real Kafka and MongoDB."""

    world: World
    kafka: str
    mongo: str
    namespace: str

    async def spoil(self, key: str) -> None:
        """Publish bytes that are no event under this key."""
        producer = AIOKafkaProducer(bootstrap_servers=self.kafka)
        await producer.start()
        try:
            await producer.send_and_wait(f"{self.namespace}{TOPIC}", b"{torn", key=key.encode())
        finally:
            await producer.stop()

    async def passage(self, *arguments: str) -> tuple[int, str, str]:
        """A command: exit code, standard output, standard error."""
        environment = {
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka, "MONGO_URL": self.mongo, "NAMESPACE": self.namespace,
        }  # fmt: skip
        result = await asyncio.to_thread(CliRunner().invoke, main, list(arguments), env=environment)
        return result.exit_code, result.stdout, result.stderr

    async def parked(self, *options: str) -> list[dict[str, Any]]:
        """The parked records of notify."""
        _, out, err = await self.passage("parked", "list", "notify", "--json", *options)
        assert out, err
        return list(json.loads(out))

    async def discard(self, parked_id: str, reason: str, *options: str) -> tuple[int, str]:
        """Put a record away: the exit code, and what the operator reads."""
        code, out, err = await self.passage("parked", "discard", "notify", parked_id, "--reason", reason, *options)
        return code, out + err

    async def whereabouts(self) -> dict[str, Any]:
        """The board of the country."""
        response = await self.world.send(Call(operation("listWhereabouts"), SAFETY_OFFICER, query={"country": COUNTRY}))
        assert response.status_code == 200, response.text
        found: dict[str, Any] = response.json()
        return found

    async def is_well(self) -> bool:
        """Whether notify's subscription of registrations has nothing to say."""
        body = (await self.world.clients["notify"].get("/readyz")).json()
        check = next(check for check in body["checks"] if check["name"] == f"subscription {TOPIC}")
        return bool(check["ok"])

    async def change(self, registration_id: str, mobile: str) -> None:
        """The student gives another number; the event carries the whole registration."""
        path = {"registration_id": registration_id}
        body = {**registration_body(in_days=-2), "contact": {**STUDENT.contact, "mobile": mobile}}
        response = await self.world.send(
            Call(operation("changeRegistration"), STUDENT, path, json=body, headers={"If-Match": "*"})
        )
        assert response.status_code == 200, response.text

    async def differences(self) -> list[str]:
        """What `audit diff` finds in the documents about discarded records."""
        shadow, report = ShadowRebuild(Mongo(self.mongo, namespace=self.namespace)), ReadingReport()
        try:
            async with Reader(self.kafka, self.namespace) as reader:
                async for evidence in follow(reader, report, utc_now()):
                    await shadow.fold(evidence)
            await shadow.flush()
            return [difference.id async for difference in shadow.differences() if difference.collection == "parked"]
        finally:
            await shadow.close()


@pytest.fixture
async def installation(stack: Any, namespace: str, tmp_path: Path) -> AsyncIterator[Installation]:
    """Everything runs, and a student registers who is in the country now."""
    create_keys(tmp_path)
    settings = BusSettings(stack.kafka, namespace, "operator", "tests", str(TOPICS))
    await topics.apply(settings, topics.load(TOPICS), "local")
    async with instances(
        stack.mongo, namespace, tmp_path, role="all", kafka_bootstrap_servers=stack.kafka
    ) as world:  # fmt: skip
        yield Installation(world, stack.kafka, stack.mongo, namespace)


async def registered(installation: Installation) -> str:
    """A student is in the country, and the board shows them."""
    registration_id = await installation.world.register(**registration_body(in_days=-2))

    async def is_shown() -> bool:
        return [person["registrationId"] for person in (await installation.whereabouts())["items"]] == [registration_id]

    await until(is_shown)
    return registration_id


async def test_i_put_an_unreadable_record_away_and_say_why(installation: Installation) -> None:
    """What waited behind it is processed and tells the whole registration again; who decided and why stays."""
    registration_id = await registered(installation)
    await installation.spoil(registration_id)
    await until(lambda: _has(installation, 1))
    (row,) = await installation.parked()
    await installation.change(registration_id, "+34600000001")
    await until(lambda: _has(installation, 2))
    waiting = (await installation.parked())[1]

    code, words = await installation.discard(waiting["id"], "It is in the way of another one.")
    assert code == 1
    assert f"it waits behind {row['id']}" in words
    code, words = await installation.discard(row["id"], "no")
    assert code == 2
    assert "--reason has 10 to 500 characters" in words
    assert not await installation.is_well()

    code, words = await installation.discard(row["id"], "A test tool wrote these bytes.", "--by", "operator-1")
    assert code == 0
    assert "not assessable until the registration changes" in words

    async def is_over() -> bool:
        return await installation.parked() == [] and (await installation.whereabouts())["notAssessable"] == 0

    await until(is_over)
    await until(installation.is_well)
    (person,) = (await installation.whereabouts())["items"]
    assert person["contact"]["mobile"] == "+34600000001"
    (shown,) = await installation.parked("--discarded")
    assert (shown["id"], shown["state"], shown["discardedBy"]) == (row["id"], "discarded", "operator-1")
    code, words = await installation.discard(row["id"], "A second time, to be sure.")
    assert (code, "it was discarded already, by operator-1" in words) == (1, True)
    assert (await installation.discard("notify|nowhere|0|0", "There is no such record."))[0] == 1
    assert await told(installation) == [("operator-1", "A test tool wrote these bytes.")]
    await until(lambda: _agrees(installation))


async def test_who_was_in_a_discarded_record_stays_on_the_board(installation: Installation) -> None:
    """Notify is well, and the person counts as not assessable until a change tells the whole registration."""
    registration_id = await registered(installation)
    await installation.spoil(registration_id)
    await until(lambda: _has(installation, 1))
    assert (await installation.whereabouts())["notAssessable"] == 1
    (row,) = await installation.parked()

    assert (await installation.discard(row["id"], "Nobody knows what this was."))[0] == 0

    await until(installation.is_well)
    assert await installation.parked() == []
    assert (await installation.whereabouts())["notAssessable"] == 1
    await installation.change(registration_id, "+34600000002")

    async def is_assessed() -> bool:
        return (await installation.whereabouts())["notAssessable"] == 0

    await until(is_assessed)


async def told(installation: Installation) -> list[tuple[str, str]]:
    """Who discarded what and why, as notify's events say."""
    found = []
    async for event in installation.world.mongo.database("notify")["events"].find({}):
        fact = parse(bytes(event["body"])).data
        if isinstance(fact, RecordDiscardedByNotify):
            found.append((fact.discarded_by, fact.reason))
    return found


async def _has(installation: Installation, count: int) -> bool:
    return len(await installation.parked()) == count


async def _agrees(installation: Installation) -> bool:
    return await installation.differences() == []
