"""A registration and a change of advice at the same moment, in both orders; and redelivery of whole topics.

See docs/architecture.md, Two streams meet.
"""

import asyncio
from datetime import timedelta
from typing import Any

import pymongo
import pytest

from deploy.local.demo.world import Plan
from deploy.local.rewind import rewind
from shared.clock import utc_now
from tests.full_stack import COUNTRIES, PATIENCE_SECONDS, TOPICS, FullStack

OVERTAKEN = ["RegistrationSubmitted", "RegistrationApproved", "ClearanceSuspended", "TaskOpened"]


async def test_registration_stands_before_it_looks_again_while_the_advice_arrives(full_stack: FullStack) -> None:
    """The submission is stored and not yet evaluated again: the scan of the advice finds the registration."""
    student = full_stack.student(next(COUNTRIES), Plan.VOLUNTARY, (30, 60))
    async with full_stack.paused_at("registration", "after_commit") as wait_until_paused:
        submission = asyncio.create_task(full_stack.register(student))
        await wait_until_paused()
        await full_stack.raise_to_red(student.country)
        registration_id = await full_stack.registration_of(student)
        suspended = await full_stack.wait_for_status(registration_id, "suspended")
    assert await submission == registration_id
    assert suspended["clearance"]["rule"] == "R19"
    await full_stack.wait_until_idle()
    registration = await full_stack.registration(registration_id)
    assert [step["what"] for step in registration["history"]] == OVERTAKEN
    await full_stack.check()


async def test_registration_is_decided_on_advice_that_turns_before_it_is_durable(full_stack: FullStack) -> None:
    """The scan of the advice runs before the registration is stored: its re-evaluation finds the newer advice."""
    student = full_stack.student(next(COUNTRIES), Plan.VOLUNTARY, (30, 60))
    async with full_stack.paused_at("registration", "decided_provisionally") as wait_until_paused:
        submission = asyncio.create_task(full_stack.register(student))
        await wait_until_paused()
        await full_stack.raise_to_red(student.country)
        await full_stack.wait_for_red(student.country)
        await full_stack.wait_until_idle()
    registration = await full_stack.registration(await submission)
    assert registration["status"] == "suspended"
    assert [step["what"] for step in registration["history"]] == OVERTAKEN
    await full_stack.wait_for_mail(student.email)
    await full_stack.wait_until_idle()
    await full_stack.check()


async def test_my_registration_comes_in_the_moment_of_my_grant_and_does_not_wait_a_minute(
    full_stack: FullStack,
) -> None:
    """The grant is stored between the decision of a submission and its commit: the answer itself says `approved`."""
    student = full_stack.student(next(COUNTRIES), Plan.REGISTERED_FIRST, (30, 60))
    approval_id = await full_stack.request_approval(student)
    await full_stack.wait_until_idle()
    async with full_stack.paused_at("registration", "decided_provisionally") as wait_until_paused:
        submission = asyncio.create_task(full_stack.register(student, approval_id))
        await wait_until_paused()
        await full_stack.grant(approval_id, student)
        await full_stack.wait_until_idle()
    registration = await full_stack.registration(await submission)
    assert registration["status"] == "approved"
    history = [step["what"] for step in registration["history"]]
    assert history == ["RegistrationSubmitted", "RegistrationHeld", "RegistrationApproved"]
    await full_stack.check()


async def test_advice_stands_before_it_scans_while_the_registration_arrives(full_stack: FullStack) -> None:
    """The advice is stored and its scan has not run: the submission reads the advice and is refused."""
    country = next(COUNTRIES)
    student = full_stack.student(country, Plan.VOLUNTARY, (30, 60))
    async with full_stack.paused_at("registration", "advice_stored") as wait_until_paused:
        await full_stack.raise_to_red(country)
        await wait_until_paused()
        registration_id = await full_stack.register(student)
        assert (await full_stack.registration(registration_id))["status"] == "refused"
    await full_stack.wait_until_idle()
    registration = await full_stack.registration(registration_id)
    assert [step["what"] for step in registration["history"]] == ["RegistrationSubmitted", "RegistrationRefused"]
    await full_stack.check()


@pytest.mark.parametrize(("first", "failpoint"), [("registration", "registration_stored"), ("advice", "advice_stored")])
async def test_notify_tells_whoever_came_at_the_same_moment(full_stack: FullStack, first: str, failpoint: str) -> None:
    """Notify has stored the first and not yet read the other side when the second arrives: notified once."""
    student = full_stack.student(next(COUNTRIES))
    async with full_stack.paused_at("notify", failpoint) as wait_until_paused:
        if first == "registration":
            await full_stack.register(student)
            await wait_until_paused()
            await full_stack.raise_to_red(student.country)
        else:
            await full_stack.raise_to_red(student.country)
            await wait_until_paused()
            await full_stack.register(student)
        await full_stack.wait_for_messages([student])
    await full_stack.wait_until_idle()
    assert await full_stack.count_messages(student) == (1, 1)
    await full_stack.check()


@pytest.mark.parametrize("service", ["registration", "notify"])
async def test_redelivery_of_whole_topics_changes_nothing(full_stack: FullStack, service: str) -> None:
    """The service reads all its topics from the beginning: no new event, no changed state, no message sent.

    Safety is stopped meanwhile, because its `SourceChecked` arrives by the clock and changes what the others store.
    """
    country = next(COUNTRIES)
    students = [full_stack.student(country) for _ in range(3)]
    for student in students:
        await full_stack.register(student)
    await full_stack.raise_to_red(country)
    await full_stack.wait_for_messages(students)
    await full_stack.wait_until_idle()
    async with full_stack.stopped("safety"):
        await full_stack.wait_until(lambda: _service_mail_has_left(full_stack), "no service mail becomes due soon")
        await full_stack.wait_until_idle(WITHOUT_SAFETY)
        before = await _documents(full_stack, service)
        counts = [await full_stack.count_messages(student) for student in students]

        async with full_stack.stopped(service):
            for topic in READS[service]:
                await rewind(full_stack.services.stack.kafka, f"{service}.{topic}", topic, PATIENCE_SECONDS)
        await full_stack.wait_until_idle(WITHOUT_SAFETY)

        after = await _documents(full_stack, service)
    for name, documents in before.items():
        for key, document in documents.items():
            assert after[name].get(key) == document, name
    assert {name: len(documents) for name, documents in after.items()} == {
        name: len(documents) for name, documents in before.items()
    }
    assert [await full_stack.count_messages(student) for student in students] == counts == [(1, 1)] * 3
    await full_stack.wait_until_idle()
    await full_stack.check()


WITHOUT_SAFETY = ("approval", "registration", "notify")
#: Service → the topics that it reads.
READS = {
    "registration": (TOPICS["approval"], TOPICS["safety"]),
    "notify": (TOPICS["registration"], TOPICS["safety"], TOPICS["notify"]),
}
#: Collections that hold which process is at work, the relay's progress, until when registrations were swept, and which
#: submissions came a moment ago.
_CHANGE_BY_THE_CLOCK = {"leases", "relay_batches", "looks", "known_until", "submissions"}


async def _service_mail_has_left(full_stack: FullStack) -> bool:
    """Whether no planned mail becomes due within the test: mail leaves by the clock."""
    client: pymongo.MongoClient[dict[str, Any]] = pymongo.MongoClient(full_stack.services.stack.mongo)
    planned = client[f"{full_stack.services.choices.namespace}notify"]["plannedmails"]
    soon = {"state": "waiting", "dueAt": {"$lte": utc_now() + timedelta(minutes=20)}}
    count = planned.count_documents(soon)
    client.close()
    return count == 0


async def _documents(full_stack: FullStack, service: str) -> dict[str, Any]:
    """Collection → id → document of the service, without the collections that change by the clock."""
    client: pymongo.MongoClient[dict[str, Any]] = pymongo.MongoClient(full_stack.services.stack.mongo)
    database = client[f"{full_stack.services.choices.namespace}{service}"]
    documents = {
        name: {str(document["_id"]): document for document in database[name].find({})}
        for name in database.list_collection_names()
        if name not in _CHANGE_BY_THE_CLOCK
    }
    client.close()
    return documents
