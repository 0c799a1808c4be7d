"""Commands that meet another writer between their reading and their commit, or a failure after it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from services.registration.commands import change, documents, group_trips, manual_decisions, stay, tasks
from services.registration.commands.documents import GRACE, Upload, delete_unreferenced_documents
from services.registration.commands.form import RegistrationForm
from services.registration.commands.manual_decisions import DecisionRequest
from services.registration.commands.stay import StayOutcome
from services.registration.evaluation import evaluate
from services.registration.model import Registration, Status
from services.registration.rules.decision import Ask
from shared.clock import amsterdam_date, in_amsterdam, utc_now
from shared.errors import TransientError
from shared.events import ActivityType, Leg, Level, StudyAnswers, TaskClosed, TripChangeOffered
from shared.ids import new_id
from shared.mongo.files import Files
from shared.privacy.contact import ContactDetails
from shared.privacy.keyring import Keyring
from shared.web.problem import Problem
from tests.conftest import Stack
from tests.contracts.services_world import PDF
from tests.integration.registration_parts import CAUSE, KEY, Parts, command_by, journey, parts, permissions_with

CONTACT_PERSON, COLLEAGUE = (
    permissions_with(person, "faculty-contact:example-sciences") for person in ("contact-1", "contact-2")
)  # fmt: skip
VOLUNTARY = StudyAnswers(credits=False, university_funding=False, transcript_entry=False)
DETAILS = ContactDetails(given_name="Ada", surname="Example", email="ada@example.org", mobile="+31612345678")
ADVICE = {"ES": 1}


class Meeting(Keyring):
    """Runs `meanwhile()` once, when a command seals something: after its reading and before its transaction."""

    meanwhile: Callable[[], Awaitable[object]] | None = None

    async def seal(self, person_id: str, event_id: str, path: str, value: Any) -> str:
        """As always, after the other writer."""
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            await meanwhile()
        return await super().seal(person_id, event_id, path, value)


@pytest.fixture
async def one(stack: Stack, namespace: str) -> AsyncIterator[Parts]:
    """One process of the service; the advice for Spain is green."""
    async with parts(stack.mongo, namespace) as made:
        await made.advise("ES", Level.GREEN, 1)
        yield made


@pytest.fixture
def meeting(one: Parts) -> Meeting:
    """The keyring of the command that another writer meets."""
    return Meeting(one.mongo, KEY)


async def routed(one: Parts) -> Registration:
    """A journey that begins in five days: it waits for the faculty contact person."""
    person_id = await one.keyring.person_id("issuer", new_id())
    (loaded,) = await one.submit([journey(5, 20, person_id=person_id)], utc_now())
    return await state_of(one, (await evaluate(one.evaluation, loaded.id, cause=CAUSE, now=utc_now())).id)


async def state_of(one: Parts, registration_id: str) -> Registration:
    """The registration as it is stored."""
    state = (await one.store.registrations.load(registration_id)).state
    assert state is not None
    return state


@pytest.mark.fault("two persons who decide about one registration at the same moment")
async def test_decision_is_taken_again_when_a_colleague_decided_meanwhile(one: Parts, meeting: Meeting) -> None:
    """An approved registration is not refused as well: the second person reads that there is nothing to decide."""
    state = await routed(one)
    approves, refuses = (DecisionRequest(ask, ADVICE, "Remark") for ask in (Ask.APPROVE, Ask.REFUSE))

    async def colleague() -> None:
        await manual_decisions.decide(one.commands, state.registration_id, approves, command_by(COLLEAGUE))

    meeting.meanwhile = colleague
    slower = replace(one.commands, keyring=meeting)
    with pytest.raises(Problem) as told:
        await manual_decisions.decide(slower, state.registration_id, refuses, command_by(CONTACT_PERSON))

    assert (told.value.status, told.value.reason) == (409, "nothing_to_decide")
    after = await state_of(one, state.registration_id)
    assert after.status is Status.APPROVED
    assert after.decision is not None
    assert after.decision.decided_by == "contact-2"


@pytest.mark.fault("a task that a colleague closes while its remark is written")
async def test_task_is_closed_once_and_a_closed_one_takes_no_remark(one: Parts, meeting: Meeting) -> None:
    """The second closing changes nothing, and a comment is refused."""
    state = await routed(one)
    (task,) = state.open_tasks

    async def colleague() -> None:
        await tasks.close(one.commands, task.task_id, "Done", command_by(COLLEAGUE))

    meeting.meanwhile = colleague
    slower = replace(one.commands, keyring=meeting)
    answer = await tasks.close(slower, task.task_id, "Done as well", command_by(CONTACT_PERSON))
    with pytest.raises(Problem) as told:
        await tasks.comment(one.commands, task.task_id, "Too late", command_by(CONTACT_PERSON))

    assert answer.body["open"] is False
    assert told.value.reason == "closed"
    closed = [event for event in await one.events(state.registration_id) if isinstance(event, TaskClosed)]
    assert [event.closed_by for event in closed] == ["contact-2"]


@pytest.mark.fault("a registration that is cancelled while a document is uploaded")
async def test_document_of_a_registration_that_was_cancelled_meanwhile_leaves_no_bytes(
    one: Parts, meeting: Meeting
) -> None:
    """The upload is refused, and its bytes do not wait for the sweep."""
    state = await routed(one)
    student = permissions_with(state.person_id, "student")

    async def cancels() -> None:
        await change.cancel(one.commands, state.registration_id, command_by(student))

    meeting.meanwhile = cancels
    with pytest.raises(Problem) as told:
        await documents.attach(
            replace(one.commands, keyring=meeting), state.registration_id, upload(), command_by(student)
        )

    assert told.value.reason == "cancelled"
    assert await one.commands.documents.files.stored_bytes(state.person_id) == 0
    assert (await state_of(one, state.registration_id)).documents == ()


@pytest.mark.fault("a database that is away when the document that was replaced is to be deleted")
async def test_replaced_document_that_was_not_deleted_is_left_to_the_sweep(one: Parts) -> None:
    """The new one is attached all the same; the sweep deletes the former one, once the event has had its time."""
    state = await routed(one)
    student = permissions_with(state.person_id, "student")
    commands = one.commands
    first = (await documents.attach(commands, state.registration_id, upload(), command_by(student))).body["documentId"]
    await delete_unreferenced_documents(commands, utc_now() + 2 * GRACE)
    assert await commands.documents.files.doubted(utc_now() + 2 * GRACE, 9) == [], "it is attached: not looked at again"

    class Away(Files):
        """Deletes nothing."""

        async def delete(self, file_id: str) -> None:
            """Fails."""
            raise TransientError("away")

    files, commands.documents.files = commands.documents.files, Away(commands.database, "documents", 300_000)
    second = (await documents.attach(commands, state.registration_id, upload(), command_by(student))).body["documentId"]
    commands.documents.files = files
    kept = [await files.read(document_id) is not None for document_id in (first, second)]
    await delete_unreferenced_documents(commands, utc_now())
    early = await files.read(first) is not None
    await delete_unreferenced_documents(commands, utc_now() + 2 * GRACE)

    assert kept == [True, True]
    assert early, "an event that names it may still be on its way"
    assert [await files.read(document_id) is not None for document_id in (first, second)] == [False, True]


async def test_repeated_upload_gets_the_answer_that_its_evaluation_gave(one: Parts) -> None:
    """R9: incomplete at the commit, approved a moment later; who asks again is not told the older state."""
    person_id = await one.keyring.person_id("issuer", new_id())
    clerkship = {"faculty_id": "example-medical-centre", "programme_id": "example-clinical-medicine"}
    submitted = journey(40, person_id=person_id).model_copy(
        update=clerkship | {"activity_type": ActivityType.CLINICAL_CLERKSHIP}
    )
    await one.submit([submitted], utc_now())
    registration_id, student = submitted.registration_id, permissions_with(person_id, "student")
    held = await evaluate(one.evaluation, registration_id, cause=CAUSE, now=utc_now())
    assert held.state is not None
    assert held.state.status is Status.INCOMPLETE
    letters = [replace(upload(), kind=kind, key=new_id()) for kind in ("placement_letter", "liability_form")]

    for letter in letters:
        answer = await documents.attach(one.commands, registration_id, letter, command_by(student))
    again = replace(upload(), kind=letters[-1].kind, key=letters[-1].key)
    repeated = await documents.attach(one.commands, registration_id, again, command_by(student))

    assert answer.body["status"] == "approved"
    assert (repeated.status, repeated.body) == (answer.status, answer.body)


def upload() -> Upload:
    """A letter."""

    async def chunks() -> AsyncIterator[bytes]:
        yield PDF

    return Upload(kind="Letter", name="letter.pdf", chunks=chunks(), key=None)


@pytest.mark.fault("a leader who changes the trip while a participant joins it")
async def test_who_joins_while_the_trip_is_changed_is_offered_the_change(one: Parts, meeting: Meeting) -> None:
    """The leader's change did not find this participant, who registered the former dates."""
    leader, student = [
        permissions_with(await one.keyring.person_id("issuer", new_id()), "student") for _ in range(2)
    ]  # fmt: skip
    start = amsterdam_date(utc_now()) + timedelta(days=40)
    group_id = (await group_trips.create(one.commands, trip(start), command_by(leader))).body["groupId"]

    async def changes() -> None:
        await group_trips.change(one.commands, group_id, trip(start + timedelta(days=1)), command_by(leader))

    meeting.meanwhile = changes
    joins = group_trips.ParticipantForm(approval_id=None, contact=DETAILS, language="en")
    answer = await group_trips.join(replace(one.commands, keyring=meeting), group_id, joins, command_by(student))

    registration_id = answer.body["registrationId"]
    offers = [event for event in await one.events(registration_id) if isinstance(event, TripChangeOffered)]
    assert [(offer.trip_version, offer.withdrawn) for offer in offers] == [(2, False)]
    assert (await state_of(one, registration_id)).departure_date == start


def trip(start: date) -> group_trips.TripForm:
    """A week in Spain."""
    return group_trips.TripForm(
        name="Excursion", faculty_id="example-sciences", programme_id="example-biology",
        activity_type=ActivityType.FIELD_TRIP,
        legs=(Leg(start_date=start, end_date=start + timedelta(days=7), country="ES"),), answers=VOLUNTARY,
    )  # fmt: skip


@pytest.mark.fault("a registration that its student changes while their data are being erased")
async def test_who_changes_a_registration_while_being_erased_is_told_so(one: Parts) -> None:
    """As who registers: the change is stored, and goes with everything else."""
    state = await routed(one)
    student = permissions_with(state.person_id, "student")
    await one.commands.persons.mark_being_erased(state.person_id, new_id(), utc_now())
    form = RegistrationForm(
        approval_id=None, faculty_id=state.faculty_id, programme_id=state.programme_id,
        activity_type=state.activity_type, legs=state.legs, answers=VOLUNTARY, contact=DETAILS, language="en",
    )  # fmt: skip
    await one.store.registrations.collection.update_one(
        {"_id": state.registration_id},
        {"$set": {"contact": await one.keyring.seal(state.person_id, new_id(), "/contact", DETAILS.model_dump())}},
    )

    with pytest.raises(Problem) as told:
        await change.change(one.commands, state.registration_id, form, command_by(student))

    assert told.value.reason == "being_erased"


@pytest.mark.parametrize(
    ("departed", "on", "reason"),
    [
        (1, 0, "not_departed"),
        (0, 0, None),
        (-9, -9, None),
        (-9, 0, None),
        (-9, -10, "validation"),
        (-9, 1, "validation"),
    ],
)
async def test_outcome_of_a_stay_is_of_a_day_from_the_departure_until_today(
    one: Parts, departed: int, on: int, reason: str | None
) -> None:
    """R20: both days themselves count; nobody is back tomorrow."""
    person_id = await one.keyring.person_id("issuer", new_id())
    (loaded,) = await one.submit(
        [journey(departed, 20, today=in_amsterdam(utc_now()), person_id=person_id)], utc_now() - timedelta(days=30)
    )
    outcome = StayOutcome(amsterdam_date(utc_now()) + timedelta(days=on), "returned", None)
    answered = None

    try:
        await stay.record_return(
            one.commands, loaded.id, outcome, command_by(permissions_with(person_id, "student"))
        )  # fmt: skip
    except Problem as problem:
        answered = problem.reason if problem.status == 409 else "validation"

    assert answered == reason
    assert (await state_of(one, loaded.id)).has_returned is (reason is None)


@pytest.mark.parametrize(("error", "is_noted"), [(TransientError("away"), False), (ValueError("odd"), True)])
async def test_command_that_is_committed_answers_though_its_evaluation_fails(
    one: Parts, error: Exception, is_noted: bool
) -> None:
    """The sweep evaluates it later; one that the rules cannot judge is noted as not assessable, another one is not."""
    state = await routed(one)

    def resolve(country: str, place: str) -> str | None:
        raise error

    await one.store.registrations.collection.update_one(
        {"_id": state.registration_id}, {"$set": {"legs.0.place": "Examplestad"}}
    )
    failing = replace(one.commands, evaluation=replace(one.evaluation, resolve=resolve))
    await documents.attach(
        failing, state.registration_id, upload(), command_by(permissions_with(state.person_id, "student"))
    )

    after = await state_of(one, state.registration_id)
    assert len(after.documents) == 1
    (check,) = await one.store.unjudged.health()
    assert check.ok is not is_noted
