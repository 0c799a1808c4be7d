"""Submitting on a real MongoDB: the decision is confirmed after the commit, or the registration evaluated again."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from services.registration.commands.form import RegistrationForm
from services.registration.commands.submit import submit
from shared.clock import amsterdam_date, utc_now
from shared.events import ActivityType, Leg, Level, StudyAnswers
from shared.ids import new_id
from shared.privacy.contact import ContactDetails
from shared.web.idempotency import IdempotentRequest
from tests.conftest import Stack
from tests.integration.bus_world import until
from tests.integration.registration_parts import Parts, Pauses, command_by, parts, permissions_with

VOLUNTARY = StudyAnswers(credits=False, university_funding=False, transcript_entry=False)
CONTACT = ContactDetails(given_name="Ada", surname="Example", email="ada@example.org", mobile="+31612345678")


@pytest.fixture
async def service(stack: Stack, namespace: str) -> AsyncIterator[Parts]:
    """One process of the service; the advice for Spain is green."""
    async with parts(stack.mongo, namespace) as made:
        await made.advise("ES", Level.GREEN, 1)
        yield made


@pytest.fixture
def pauses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pauses:
    """No failpoint is armed yet."""
    monkeypatch.setenv("FAILPOINTS_DIR", str(tmp_path))
    return Pauses(tmp_path)


def form() -> RegistrationForm:
    """A voluntary journey to Spain in forty days."""
    start = amsterdam_date(utc_now()) + timedelta(days=40)
    return RegistrationForm(
        approval_id=None,
        faculty_id="example-sciences",
        programme_id="example-biology",
        activity_type=ActivityType.INTERNSHIP,
        legs=(Leg(start_date=start, end_date=start, country="ES"),),
        answers=VOLUNTARY,
        contact=CONTACT,
        language="en",
    )


async def event_names(service: Parts, registration_id: str) -> list[str]:
    """The types of a registration's events."""
    return [type(event).__name__ for event in await service.events(registration_id)]


async def test_submission_on_unchanged_inputs_is_evaluated_once(service: Parts) -> None:
    """The decision is stored with the submission, and a repeated request gets the first answer."""
    student = permissions_with(await service.keyring.person_id("issuer", new_id()), "student")
    command = replace(command_by(student), idempotency=IdempotentRequest(new_id(), "digest"))

    answer = await submit(service.commands, form(), command)
    repeated = await submit(service.commands, form(), command)

    assert (answer.status, answer.body["status"]) == (201, "approved")
    assert repeated == answer
    assert await event_names(service, answer.body["registrationId"]) == [
        "RegistrationSubmitted",
        "RegistrationApproved",
    ]


@pytest.mark.fault("advice that changes between a submission's decision and its commit")
async def test_submission_whose_inputs_change_before_the_commit_is_evaluated_again(
    service: Parts, pauses: Pauses
) -> None:
    """R19: approved on green advice that turned red before the commit; the answer says `suspended`, not `approved`."""
    student = permissions_with(await service.keyring.person_id("issuer", new_id()), "student")

    async with pauses.at("decided_provisionally") as is_reached:
        submission = asyncio.create_task(submit(service.commands, form(), command_by(student)))
        await until(is_reached)
        await service.advise("ES", Level.RED, 2)
    answer = await submission

    assert (answer.body["status"], answer.body["clearance"]["rule"]) == ("suspended", "R19")
    assert await event_names(service, answer.body["registrationId"]) == [
        "RegistrationSubmitted",
        "RegistrationApproved",
        "ClearanceSuspended",
        "TaskOpened",
    ]
