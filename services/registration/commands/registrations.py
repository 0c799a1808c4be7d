"""What a student may ask for: submit, change, cancel. The decision follows each at once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from services.registration.access import Permissions
from services.registration.decision_events import ended
from services.registration.document_storage import DocumentStorage
from services.registration.evaluation import EvaluationDeps, decide_provisionally, evaluate, inputs_unchanged
from services.registration.model import Registration, Status, evolve
from services.registration.rules.checklist import whom_to_ask
from services.registration.rules.clearance import Queue
from services.registration.rules.itinerary import itinerary_mistakes
from services.registration.rules.study_related import study_related
from services.registration.store.persons import PersonsStore
from services.registration.store.store import Store
from services.registration.texts import reason_text
from shared.bus.aggregate import Loaded
from shared.catalogue import Catalogue, Contact
from shared.clock import amsterdam_date
from shared.envelope import Cause, Draft
from shared.errors import TransientError
from shared.events import (
    ActivityType,
    Leg,
    RegistrationCancelled,
    RegistrationChanged,
    RegistrationSubmitted,
    StudyAnswers,
)
from shared.ids import new_id
from shared.mongo.client import Database, Mongo, PyMongoError, Session
from shared.mongo.group_commit import GroupCommit, NewDocuments, insert_all
from shared.observability.logs import get_logger
from shared.privacy.contact import ContactDetails
from shared.privacy.keyring import Keyring
from shared.testing.failpoints import failpoint
from shared.web.concurrency import etag, must_match
from shared.web.idempotency import Answer, IdempotentRequest, insert_once, replace_stored_answer, run_once
from shared.web.problem import FieldError, Problem, invalid, not_found
from shared.web.sealing import sealed

log = get_logger()


@dataclass(frozen=True, slots=True)
class CommandDeps:
    """Where commands get their facts and leave their events."""

    mongo: Mongo
    database: Database
    store: Store
    persons: PersonsStore
    keyring: Keyring
    catalogue: Catalogue
    evaluation: EvaluationDeps
    documents: DocumentStorage
    commits: GroupCommit
    exceptions_at_orange: bool = False


@dataclass(frozen=True, slots=True)
class RegistrationForm:
    """A registration as a student hands it in."""

    approval_id: str | None
    faculty_id: str
    programme_id: str
    activity_type: ActivityType
    legs: tuple[Leg, ...]
    answers: StudyAnswers
    contact: ContactDetails
    language: Literal["nl", "en"]
    group_id: str | None = None


async def submit(
    deps: CommandDeps,
    person_id: str,
    form: RegistrationForm,
    once: IdempotentRequest | None,
    *,
    cause: Cause,
    now: datetime,
) -> Answer:
    """A student registers. Durable with its decision, then looked at again. Raises Problem for what is none."""
    check(deps, form.faculty_id, form.programme_id, form.legs, form.language, now)
    registration_id, event_id = new_id(), new_id()
    event = await _filed(deps, RegistrationSubmitted, registration_id, person_id, form, event_id)
    # Decided in the same transaction, on what is known before it; what is known after it is looked at below.
    state = evolve(None, event, now, 1)
    foreseen = await decide_provisionally(deps.evaluation, state, now=now)
    await failpoint("foreseen")

    drafts = [Draft(event, event_id), *foreseen.drafts]
    after, new = deps.store.begin(registration_id, drafts, cause=cause, now=now, begun=state)
    answer = shown(deps, after, 201)
    if form.group_id is None:
        answer = await insert_once(deps.commits, deps.database, once, answer, new)
    else:
        answer = await _joined(deps, form.group_id, person_id, once, answer, new)
    await failpoint("after_commit")
    await _must_stay(deps, person_id)
    is_first = answer.body["registrationId"] == registration_id
    try:
        if is_first and foreseen.drafts and await inputs_unchanged(deps.evaluation, state, foreseen):
            return answer
    except (TransientError, PyMongoError):
        return answer  # the sweep looks once more
    return await decided(deps, answer, once, cause, now)


async def _joined(
    deps: CommandDeps, group_id: str, person_id: str, once: IdempotentRequest | None, answer: Answer, new: NewDocuments
) -> Answer:
    """A participant of a trip: whether they may join is read in the transaction that keeps them."""

    async def work(session: Session) -> Answer:
        await _may_join(deps, group_id, person_id, session)
        await insert_all(deps.database, new, session)
        return answer

    return await run_once(deps.mongo, deps.database, once, work)


async def change(
    deps: CommandDeps,
    permissions: Permissions,
    registration_id: str,
    form: RegistrationForm,
    seen: int | None,
    once: IdempotentRequest | None,
    *,
    cause: Cause,
    now: datetime,
) -> Answer:
    """The student replaces the registration as a whole, on the version that was seen."""
    check(deps, form.faculty_id, form.programme_id, form.legs, form.language, now)
    first = state_of(await visible(deps, permissions, registration_id))
    event_id = new_id()
    event = await _filed(deps, RegistrationChanged, registration_id, first.person_id, form, event_id)

    async def work(session: Session) -> Answer:
        loaded = await own(deps, permissions, registration_id, session)
        must_match(seen, loaded.version)
        if form.group_id is not None and form.group_id != state_of(loaded).group_id:
            await _may_join(deps, form.group_id, permissions.person_id, session)
        after = await deps.store.record(loaded, [Draft(event, event_id)], cause=cause, now=now, session=session)
        return shown(deps, after, 200)

    answer = await run_once(deps.mongo, deps.database, once, work)
    await _must_stay(deps, first.person_id)
    return await decided(deps, answer, once, cause, now)


async def cancel(
    deps: CommandDeps,
    permissions: Permissions,
    registration_id: str,
    seen: int | None,
    once: IdempotentRequest | None,
    *,
    cause: Cause,
    now: datetime,
) -> Answer:
    """The student does not go: its open tasks end with it."""

    async def work(session: Session) -> Answer:
        loaded = await own(deps, permissions, registration_id, session)
        must_match(seen, loaded.version)
        state = state_of(loaded)
        event = RegistrationCancelled(
            registration_id=registration_id, person_id=state.person_id, cancelled_by=permissions.person_id
        )
        drafts = [Draft(event, new_id()), *ended(state)]
        after = await deps.store.record(loaded, drafts, cause=cause, now=now, session=session)
        return shown(deps, after, 201)

    return await run_once(deps.mongo, deps.database, once, work)


async def visible(
    deps: CommandDeps, permissions: Permissions, registration_id: str, session: Session | None = None
) -> Loaded[Registration]:
    """The registration as this caller may see it. Raises Problem 404 otherwise."""
    loaded = await deps.store.registrations.load(registration_id, session)
    if loaded.state is None or not permissions.sees(loaded.state):
        raise not_found()
    return loaded


async def load_supervised(
    deps: CommandDeps, permissions: Permissions, registration_id: str, session: Session
) -> Loaded[Registration]:
    """The registration of somebody whom this caller looks after, or the caller's own. Raises Problem 404, 403."""
    loaded = await visible(deps, permissions, registration_id, session)
    if not permissions.looks_after(state_of(loaded)):
        raise Problem(403, "Who looks after the student can say that.", reason="not_looking_after")
    return loaded


def shown(deps: CommandDeps, loaded: Loaded[Registration], status: int) -> Answer:
    """The answer to a command: ids, states, the reason and whom to turn to; nothing personal."""
    state = state_of(loaded)
    body = {
        "registrationId": state.registration_id,
        "status": state.status.value,
        "studyRelated": state.study_related,
        "clearance": clearance(deps, state),
    }
    headers = {"Location": f"/v1/registrations/{loaded.id}", "ETag": etag(loaded.version)}
    return Answer(status, body, headers)


def clearance(deps: CommandDeps, state: Registration) -> dict[str, Any]:
    """The decision in words; `undecided` until there is one."""
    decision = state.decision
    if state.status is Status.SUBMITTED or decision is None:
        rule, reason, outcome = "R10", "undecided", "undecided"
    elif state.status is Status.CANCELLED:
        rule, reason, outcome = "R10", "cancelled", "cancelled"
    else:
        rule, reason, outcome = decision.rule, decision.reason, state.status.value
    asks = outcome not in ("approved", "cancelled", "undecided")
    return {
        "outcome": outcome,
        "rule": rule,
        "reason": reason,
        "reasonText": reason_text(reason, state.language),
        "contact": contact_of(deps.catalogue, state, whom_to_ask(rule)) if asks else None,
    }


def contact_of(catalogue: Catalogue, state: Registration, queue: Queue) -> dict[str, str]:
    """Whom a student turns to: the function behind a queue, as the catalogue has it now."""
    who = catalogue.university.international_office
    faculty = catalogue.faculties.get(state.faculty_id)
    programme = catalogue.programme(state.faculty_id, state.programme_id)
    if queue is Queue.SAFETY_OFFICER:
        who = catalogue.university.safety_officers
    elif queue is Queue.FACULTY_CONTACT and faculty is not None:
        who = faculty.contact_person
    elif queue in (Queue.COORDINATOR, Queue.BOARD_OF_EXAMINERS) and programme is not None:
        who = programme.coordinator
    return _contact(who)


def state_of(loaded: Loaded[Registration]) -> Registration:
    """The state of what is known to exist."""
    assert loaded.state is not None
    return loaded.state


def _contact(who: Contact) -> dict[str, str]:
    return {"function": who.function, "email": who.email, "phone": who.phone}


def _location(answer: Answer) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name == "Location"}


#: What a second look may move right after a command.
_FOLLOWED = frozenset({Status.SUBMITTED, Status.INCOMPLETE, Status.APPROVED})


async def decided(
    deps: CommandDeps, answer: Answer, once: IdempotentRequest | None, cause: Cause, now: datetime
) -> Answer:
    """The answer with the decision in it. What is committed stays committed when the decision has to wait."""
    if answer.body["status"] not in _FOLLOWED:
        return answer
    await failpoint("after_commit")
    try:
        after = await evaluate(deps.evaluation, answer.body["registrationId"], cause=cause, now=now)
        look = shown(deps, after, answer.status)
        # What the command itself made keeps its place in the answer.
        fuller = Answer(answer.status, {**answer.body, **look.body}, {**look.headers, **_location(answer)})
        await replace_stored_answer(deps.database, once, fuller)
        return fuller
    except (TransientError, PyMongoError) as error:
        log.warning("decision_waits", registration_id=answer.body["registrationId"], error=type(error).__name__)
        return answer  # the sweep decides


async def own(
    deps: CommandDeps, permissions: Permissions, registration_id: str, session: Session
) -> Loaded[Registration]:
    """The student's own, not cancelled. Raises Problem."""
    loaded = await visible(deps, permissions, registration_id, session)
    state = state_of(loaded)
    if not permissions.owns(state):
        raise Problem(403, "Only the student can change it.", reason="not_the_student")
    if state.status is Status.CANCELLED:
        raise Problem(409, "It was cancelled; hand in a new one.", reason="cancelled")
    return loaded


async def _filed(
    deps: CommandDeps,
    kind: Callable[..., RegistrationSubmitted],
    registration_id: str,
    person_id: str,
    form: RegistrationForm,
    event_id: str,
) -> RegistrationSubmitted:
    contact = await sealed(deps.keyring, person_id, event_id, "/contact", form.contact)
    return kind(**fields_of(form, registration_id, person_id, contact), group_id=form.group_id)


def fields_of(form: RegistrationForm, registration_id: str, person_id: str, contact: str) -> dict[str, Any]:
    """What a filing says, as the fields of its fact; `contact` is sealed."""
    return {
        "registration_id": registration_id,
        "person_id": person_id,
        "approval_id": form.approval_id,
        "faculty_id": form.faculty_id,
        "programme_id": form.programme_id,
        "activity_type": form.activity_type,
        "legs": form.legs,
        "answers": form.answers,
        "study_related": study_related(form.answers).is_study_related,
        "contact": contact,
        "language": form.language,
    }


async def _must_stay(deps: CommandDeps, person_id: str) -> None:
    """Read after the commit, as an erasure reads registrations after it noted itself: one of the two sees the other.

    Raises Problem: nobody is told that they are registered whose data are being erased.
    """
    if await deps.persons.is_being_erased(person_id):
        raise Problem(
            409,
            "This person's data are being erased at this moment. Look in ten minutes whether the registration is "
            "there; if it is not, hand it in again.",
            reason="being_erased",
        )


async def _may_join(deps: CommandDeps, group_id: str, person_id: str, session: Session) -> None:
    """The trip exists and is open, and the person is not in it yet. Raises Problem."""
    trip = (await deps.store.trips.load(group_id, session)).state
    if trip is None:
        raise invalid(FieldError("body.groupId", "is no group trip"))
    if not trip.is_open:
        raise Problem(409, "The trip is closed; ask its leader.", reason="closed")
    if await deps.store.is_in_group(group_id, person_id, session):
        raise Problem(409, "You are registered for this trip; change that registration.", reason="already_joined")


def check(
    deps: CommandDeps,
    faculty_id: str,
    programme_id: str,
    legs: Sequence[Leg],
    language: Literal["nl", "en"],
    now: datetime,
) -> None:
    """Raises Problem with everything that is wrong, together."""
    errors = mistakes(deps, faculty_id, programme_id, legs, language, now)
    if errors:
        raise invalid(*errors)


def mistakes(
    deps: CommandDeps,
    faculty_id: str,
    programme_id: str,
    legs: Sequence[Leg],
    language: Literal["nl", "en"],
    now: datetime,
) -> list[FieldError]:
    """Everything about a filing that only the catalogue and the itinerary's rules can tell."""
    errors: list[FieldError] = []
    if deps.catalogue.programme(faculty_id, programme_id) is None:
        known = faculty_id in deps.catalogue.faculties
        errors.append(FieldError("body.programmeId" if known else "body.facultyId", "is not in the catalogue"))
    return errors + _itinerary(legs, language, now)


def _itinerary(legs: Sequence[Leg], language: Literal["nl", "en"], now: datetime) -> list[FieldError]:
    return [
        FieldError(f"body.{mistake.field}", reason_text(mistake.reason, language))
        for mistake in itinerary_mistakes(legs, amsterdam_date(now))
    ]
