"""A registration and a change of advice at the same moment, in both orders (DESIGN §4); and whole topics again."""

import asyncio
from typing import Any

import pymongo
import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from deploy.local.demo.world import Plan
from shared.kafka import partitions
from tests.full_stack import COUNTRIES, TOPICS, FullStack

OVERTAKEN = ["RegistrationSubmitted", "RegistrationApproved", "ClearanceSuspended", "TaskOpened"]


async def test_registration_stands_before_it_looks_again_while_the_advice_arrives(full_stack: FullStack) -> None:
    """The submission is durable, its second look is not: the advice's own scan finds it."""
    student = full_stack.student(next(COUNTRIES), Plan.VOLUNTARY, (30, 60))
    async with full_stack.held("registration", "after_commit") as stands:
        submission = asyncio.create_task(full_stack.register(student))
        await stands()
        await full_stack.raise_to_red(student.country)
        registration_id = await full_stack.registration_of(student)
        suspended = await full_stack.becomes(registration_id, "suspended")
    assert await submission == registration_id
    assert suspended["clearance"]["rule"] == "R19"
    await full_stack.all_is_quiet()
    found = await full_stack.registration(registration_id)
    assert [step["what"] for step in found["history"]] == OVERTAKEN
    await full_stack.check()


async def test_registration_is_decided_on_advice_that_turns_before_it_is_durable(full_stack: FullStack) -> None:
    """The advice's scan comes too early to find it: its own second look, after the commit, sees the newer advice."""
    student = full_stack.student(next(COUNTRIES), Plan.VOLUNTARY, (30, 60))
    async with full_stack.held("registration", "decided_provisionally") as stands:
        submission = asyncio.create_task(full_stack.register(student))
        await stands()
        await full_stack.raise_to_red(student.country)
        await full_stack.has_adopted_red(student.country)
        await full_stack.all_is_quiet()
    found = await full_stack.registration(await submission)
    assert found["status"] == "suspended"
    assert [step["what"] for step in found["history"]] == OVERTAKEN
    await full_stack.has_mail(student.email)
    await full_stack.all_is_quiet()
    await full_stack.check()


async def test_advice_stands_before_it_scans_while_the_registration_arrives(full_stack: FullStack) -> None:
    """The advice is kept, its scan is not done: the submission reads it and is refused."""
    country = next(COUNTRIES)
    student = full_stack.student(country, Plan.VOLUNTARY, (30, 60))
    async with full_stack.held("registration", "advice_stored") as stands:
        await full_stack.raise_to_red(country)
        await stands()
        registration_id = await full_stack.register(student)
        assert (await full_stack.registration(registration_id))["status"] == "refused"
    await full_stack.all_is_quiet()
    found = await full_stack.registration(registration_id)
    assert [step["what"] for step in found["history"]] == ["RegistrationSubmitted", "RegistrationRefused"]
    await full_stack.check()


@pytest.mark.parametrize(("first", "failpoint"), [("registration", "registration_stored"), ("advice", "advice_stored")])
async def test_notify_tells_whoever_came_at_the_same_moment(full_stack: FullStack, first: str, failpoint: str) -> None:
    """Notify has kept the one and not yet looked when the other arrives: told, and once."""
    student = full_stack.student(next(COUNTRIES))
    async with full_stack.held("notify", failpoint) as stands:
        if first == "registration":
            await full_stack.register(student)
            await stands()
            await full_stack.raise_to_red(student.country)
        else:
            await full_stack.raise_to_red(student.country)
            await stands()
            await full_stack.register(student)
        await full_stack.everybody_is_told([student])
    await full_stack.all_is_quiet()
    assert await full_stack.count_of(student) == (1, 1)
    await full_stack.check()


@pytest.mark.parametrize("service", ["registration", "notify"])
async def test_redelivery_of_whole_topics_changes_nothing(full_stack: FullStack, service: str) -> None:
    """Everything that the service reads, from the beginning: no fact more, no state changed, no message sent."""
    country = next(COUNTRIES)
    students = [full_stack.student(country) for _ in range(3)]
    for student in students:
        await full_stack.register(student)
    await full_stack.raise_to_red(country)
    await full_stack.everybody_is_told(students)
    await full_stack.all_is_quiet()
    before = await _kept(full_stack, service)
    counts = [await full_stack.count_of(student) for student in students]
    await asyncio.to_thread(full_stack.services.stack.processes.stop, service)
    read = {"registration": ("approval", "safety"), "notify": ("registration", "safety", "notify")}[service]
    for topic in read:
        await _rewind(full_stack, service, TOPICS[topic])
    await asyncio.to_thread(full_stack.services.start_service, service)
    await asyncio.to_thread(full_stack.services.wait_ready, service)
    await full_stack.all_is_quiet()
    after = await _kept(full_stack, service)
    for name, documents in before.items():
        for key, document in documents.items():
            assert after[name].get(key) == document, name
    assert {name: len(documents) for name, documents in after.items()} == {
        name: len(documents) for name, documents in before.items()
    }
    assert [await full_stack.count_of(student) for student in students] == counts == [(1, 1)] * 3
    await full_stack.check()


#: Says only who is at work, how far the relay is, and up to when everybody has been looked at once more.
_MOVES = {"leases", "relay_batches", "looks"}


async def _kept(full_stack: FullStack, service: str) -> dict[str, Any]:
    """Every document of the service, but for what only says who is at work."""
    client: pymongo.MongoClient[dict[str, Any]] = pymongo.MongoClient(full_stack.services.stack.mongo)
    database = client[f"{full_stack.services.choices.namespace}{service}"]
    found = {
        name: {str(each["_id"]): each for each in database[name].find({})}
        for name in database.list_collection_names()
        if name not in _MOVES
    }
    client.close()
    return found


async def _rewind(full_stack: FullStack, service: str, topic: str) -> None:
    """The service's group reads the topic from its beginning."""
    bootstrap = full_stack.services.stack.kafka
    wanted = await partitions({"bootstrap_servers": bootstrap}, [topic])
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=f"{service}.{topic}", enable_auto_commit=False)
    await consumer.start()
    consumer.assign(wanted)

    async def committed() -> bool:
        try:
            await consumer.commit(dict.fromkeys(wanted, 0))
        except KafkaError:  # a static member is remembered until its session ends
            return False
        return True

    await full_stack.until(committed, f"{topic} is read again")
    await consumer.stop()
