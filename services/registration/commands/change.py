"""Changes and cancels a registration; only the student can. During the stay a return is recorded instead (R20)."""

from dataclasses import replace
from datetime import datetime

from services.registration.access import Permissions
from services.registration.commands.after_commit import check_not_being_erased, evaluate_after_commit
from services.registration.commands.answers import contact_for_queue, registration_answer
from services.registration.commands.deps import CommandDeps
from services.registration.commands.form import RegistrationForm, check_registration, event_fields, with_login_facts
from services.registration.commands.loading import check_version, load_own, load_visible, state_of
from services.registration.commands.overlaps import check_overlaps
from services.registration.commands.submit import check_may_join
from services.registration.decision_events import asked_to_cancel, close_all_tasks, left_negative_area
from services.registration.decision_inputs import load_inputs_of
from services.registration.evaluation import decide_and_record
from services.registration.evolve import evolve
from services.registration.itinerary_places import seal_places
from services.registration.model import Registration
from services.registration.read_models import DecisionInputs
from services.registration.rules.cancellation import Cancellation, Reason, cancellation, itinerary_change
from services.registration.rules.clearance import Queue
from services.registration.rules.during_stay import during_stay
from services.registration.search_terms import student_terms
from services.registration.student_contact import open_student_contact
from services.registration.texts import reason_text
from shared.command import Command
from shared.envelope import Draft
from shared.events import RegistrationCancelled, RegistrationChanged, Sealed
from shared.ids import new_id
from shared.mongo.client import Session
from shared.privacy.contact import ContactDetails, with_student_number
from shared.web.idempotency import Answer, run_once
from shared.web.problem import Problem
from shared.web.sealing import erased, sealed


async def change(
    deps: CommandDeps, registration_id: str, form: RegistrationForm, command: Command[Permissions]
) -> Answer:
    """Replace the registration, on the version that the student saw; then evaluate it.

    Contact details that were given for the stay are not part of it: they stay as they are (R24).
    """
    check_registration(deps, form, command.now)
    former = state_of(await load_visible(deps, command.caller, registration_id))
    person_id = former.person_id
    form = with_login_facts(deps.catalogue, form, command.caller.login, former)
    legs = await seal_places(deps.keyring, deps.evaluation.resolve, person_id, form.legs, former.legs)
    form = replace(form, legs=legs)
    event_id = new_id()

    async def work(session: Session) -> Answer:
        loaded = await load_own(deps, command.caller, registration_id, session)
        await check_version(deps, command, loaded)
        before = state_of(loaded)
        ruling = itinerary_change(before, form.legs, command.now)
        if not ruling.permits:
            raise _refusal(deps, before, ruling)
        if form.legs != before.legs:
            await check_overlaps(deps, form, before.person_id, registration_id, session)
        if form.group_id is not None and form.group_id != before.group_id:
            await check_may_join(deps, form.group_id, command.caller.person_id, session)
        contact = await _seal_contact(deps, before, form.contact, event_id)
        event = RegistrationChanged(**event_fields(deps.catalogue, form, registration_id, person_id, contact))
        drafts = [Draft(event, event_id), *await _task_of_leaving(deps, before, event, command.now)]
        after = await deps.store.record(loaded, drafts, cause=command.cause, now=command.now, session=session)
        terms = await student_terms(deps.keyring, state_of(after))
        await deps.store.search.put(registration_id, person_id, terms, session)
        return registration_answer(deps.catalogue, after, 200)

    answer = await run_once(deps.mongo, deps.database, command.idempotency, work)
    await check_not_being_erased(deps, person_id)
    return await evaluate_after_commit(deps, answer, command)


async def _seal_contact(
    deps: CommandDeps, state: Registration, contact: ContactDetails | None, event_id: str
) -> Sealed:
    """The details as they are registered from now on; those of before when the change has none. Raises Problem."""
    student = await open_student_contact(deps.keyring, state)
    if student is None:
        raise erased()
    contact = contact or student.registered
    if contact.student_number is None:
        contact = with_student_number(contact, student.registered.student_number)
    return await sealed(deps.keyring, state.person_id, event_id, "/contact", contact)


async def _task_of_leaving(
    deps: CommandDeps, before: Registration, event: RegistrationChanged, now: datetime
) -> list[Draft]:
    """R20: a task for a safety officer when the student, by this change, leaves an area with negative advice."""
    if event.legs == before.legs or not before.has_departed(now):
        return []
    after = evolve(before, event, now, 0)
    inputs_before, inputs_after = await load_inputs_of(deps.evaluation, [before, after])
    return left_negative_area(before, during_stay(before, inputs_before, now), during_stay(after, inputs_after, now))


async def cancel(deps: CommandDeps, registration_id: str, command: Command[Permissions]) -> Answer:
    """Cancel the registration and close its open tasks. Raises Problem 409 when the stay has begun (R20)."""

    async def work(session: Session) -> Answer:
        loaded = await load_own(deps, command.caller, registration_id, session)
        await check_version(deps, command, loaded)
        state = state_of(loaded)
        ruling = cancellation(state, command.now)
        if not ruling.permits:
            raise _refusal(deps, state, ruling)
        event = RegistrationCancelled(
            registration_id=registration_id, person_id=state.person_id, cancelled_by=command.caller.person_id
        )
        drafts = [Draft(event, new_id()), *close_all_tasks(state)]
        after = await deps.store.record(loaded, drafts, cause=command.cause, now=command.now, session=session)
        return registration_answer(deps.catalogue, after, 201)

    try:
        return await run_once(deps.mongo, deps.database, command.idempotency, work)
    except Problem as problem:
        if problem.reason == Reason.STAY_HAS_BEGUN:
            await _ask_where_they_are(deps, registration_id, command)
        raise


async def _ask_where_they_are(deps: CommandDeps, registration_id: str, command: Command[Permissions]) -> None:
    """R20: who tries to cancel while in an area with negative advice is asked by a safety officer where they are."""

    def decide(state: Registration, inputs: DecisionInputs) -> list[Draft]:
        return asked_to_cancel(state, during_stay(state, inputs, command.now))

    await decide_and_record(deps.evaluation, registration_id, decide, cause=command.cause, now=command.now)


def _refusal(deps: CommandDeps, state: Registration, ruling: Cancellation) -> Problem:
    """The problem says how a return is recorded, and who helps."""
    contact = contact_for_queue(deps.catalogue, state, Queue.FACULTY_CONTACT)
    text = reason_text(ruling.reason, state.language)
    return Problem(409, text, rule="R20", reason=ruling.reason.value, contact=contact)
