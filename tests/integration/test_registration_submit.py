"""Submitting on a real MongoDB: the decision is confirmed after the commit, or the registration evaluated again."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from itertools import combinations
from pathlib import Path
from typing import Any, cast

import pytest

from services.registration.commands.form import RegistrationForm
from services.registration.commands.submit import submit
from services.registration.handlers import HandlerDeps, evaluate_registrations_when_approvals_changed
from services.registration.store.registrations import Store
from shared.bus.inbox import Inbox
from shared.clock import amsterdam_date, utc_now
from shared.envelope import Envelope
from shared.events import ActivityType, ApprovalGranted, Leg, Level, StudyAnswers
from shared.ids import new_id
from shared.mongo.client import MongoUnavailable
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


class Away:
    """Something of which one method fails, because MongoDB is away; everything else works."""

    def __init__(self, of: Any, **instead: Any) -> None:
        self._of, self._instead = of, instead

    def __getattr__(self, name: str) -> Any:
        """As it is, unless it was replaced."""
        return self._instead[name] if name in self._instead else getattr(self._of, name)


@pytest.mark.fault("MongoDB away between a submission's commit and its second look")
async def test_submission_that_is_committed_is_answered_although_the_second_look_fails(service: Parts) -> None:
    """The registration and its decision are stored: a student who got an error would register again."""
    student = permissions_with(await service.keyring.person_id("issuer", new_id()), "student")

    async def away(countries: Sequence[str]) -> Any:
        raise MongoUnavailable("away")

    read_models = Away(service.store.read_models, advice_event_ids=away)
    evaluation = replace(service.evaluation, store=cast(Store, Away(service.store, read_models=read_models)))
    answer = await submit(replace(service.commands, evaluation=evaluation), form(), command_by(student))

    assert (answer.status, answer.body["status"]) == (201, "approved")
    assert await event_names(service, answer.body["registrationId"]) == [
        "RegistrationSubmitted",
        "RegistrationApproved",
    ]


@pytest.mark.fault("a submission that dies right after its commit, and is sent again on other advice")
async def test_repeated_submission_is_evaluated_on_the_advice_of_the_repeat(service: Parts, pauses: Pauses) -> None:
    """R19: the repeat itself would be decided on red advice; the stored registration was approved on green advice."""
    student = permissions_with(await service.keyring.person_id("issuer", new_id()), "student")
    command = replace(command_by(student), idempotency=IdempotentRequest(new_id(), "digest"))

    async with pauses.at("after_commit") as is_reached:
        submission = asyncio.create_task(submit(service.commands, form(), command))
        await until(is_reached)
        submission.cancel()
        with pytest.raises(asyncio.CancelledError):
            await submission
    await service.advise("ES", Level.RED, 2)
    repeated = await submit(service.commands, form(), command)

    assert (repeated.body["status"], repeated.body["clearance"]["rule"]) == ("suspended", "R19")


#: What a submission and the handler of its grant do, each in its order; and every way in which the two can mix.
SUBMISSION, GRANT = ("decide", "commit", "confirm"), ("store", "evaluate")
MIXES = [
    tuple((GRANT if at in grants else SUBMISSION)[sum((earlier in grants) == (at in grants) for earlier in range(at))]
          for at in range(5))
    for grants in combinations(range(5), 2)
]  # fmt: skip


@pytest.mark.parametrize("mix", MIXES, ids="-".join)
async def test_submissions_and_their_grants_find_each_other_in_every_order(
    service: Parts, pauses: Pauses, mix: tuple[str, ...]
) -> None:
    """R2: whichever commits second sees the first, for three students whose submissions share a transaction."""
    students = [permissions_with(await service.keyring.person_id("issuer", new_id()), "student") for _ in range(3)]
    forms = [replace(form(), approval_id=new_id(), answers=STUDY) for _ in students]
    grants = [
        _granted(student.person_id, granted) for student, granted in zip(students, forms, strict=True)
    ]  # fmt: skip
    handler = HandlerDeps(service.evaluation, Inbox(service.mongo, service.mongo.database("registration")), "tests")
    running: dict[str, asyncio.Task[Any]] = {}

    async with AsyncExitStack() as at_decided, AsyncExitStack() as at_committed, AsyncExitStack() as at_stored:
        is_decided = await at_decided.enter_async_context(pauses.at("decided_provisionally"))
        is_committed = await at_committed.enter_async_context(pauses.at("after_commit"))
        is_stored = await at_stored.enter_async_context(pauses.at("approvals_stored"))
        for step in mix:
            match step:
                case "decide":
                    submissions = (
                        submit(service.commands, wanted, command_by(student))
                        for student, wanted in zip(students, forms, strict=True)
                    )
                    running["submissions"] = asyncio.ensure_future(asyncio.gather(*submissions))
                    await until(is_decided)
                case "commit":
                    await at_decided.aclose()
                    await until(is_committed)
                    await until(lambda: _all_stored(service, forms))
                case "confirm":
                    await at_committed.aclose()
                    answers = await running["submissions"]
                case "store":
                    running["grants"] = asyncio.create_task(
                        evaluate_registrations_when_approvals_changed(grants, handler)
                    )
                    await until(is_stored)
                case "evaluate":
                    await at_stored.aclose()
                    await running["grants"]

    for answer in answers:
        names = await event_names(service, answer.body["registrationId"])
        assert (names[0], names[-1]) == ("RegistrationSubmitted", "RegistrationApproved")
    if mix.index("store") < mix.index("confirm"):
        assert {answer.body["status"] for answer in answers} == {"approved"}, "the answer is what is stored"


STUDY = StudyAnswers(credits=True, university_funding=False, transcript_entry=False)


async def _all_stored(service: Parts, forms: Sequence[RegistrationForm]) -> bool:
    wanted = [submitted.approval_id for submitted in forms if submitted.approval_id is not None]
    return len(await service.store.naming_approvals(wanted)) == len(forms)


def _granted(person_id: str, submitted: RegistrationForm) -> Envelope[ApprovalGranted]:
    assert submitted.approval_id is not None
    event = ApprovalGranted(
        approval_id=submitted.approval_id,
        person_id=person_id,
        faculty_id=submitted.faculty_id,
        programme_id=submitted.programme_id,
        activity_type=submitted.activity_type,
        country="ES",
        start_date=submitted.legs[0].start_date,
        end_date=submitted.legs[0].end_date,
        decided_by="approver-1",
        catalogue_version="0" * 12,
    )
    return Envelope(
        new_id(), "ApprovalGranted", "/approval", utc_now(), event.stream, 1, "tests", "tests", None, None, None, event
    )
