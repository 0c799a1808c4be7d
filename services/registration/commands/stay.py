"""During the stay: how to reach the student there (R24, R25), and the outcome of a requested return (R20)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

from services.registration.access import Permissions
from services.registration.commands.answers import registration_answer
from services.registration.commands.deps import CommandDeps
from services.registration.commands.loading import (
    check_not_cancelled,
    check_version,
    load_looked_after,
    load_visible,
    state_of,
)
from services.registration.commands.manual_decisions import seal_remark
from services.registration.decision_events import close_tasks
from services.registration.decision_inputs import load_inputs
from services.registration.model import Registration
from services.registration.rules import places
from services.registration.rules.task_end import ENDED_BY_RETURN
from services.registration.search_terms import student_terms
from services.registration.student_contact import open_student_contact
from shared.clock import amsterdam_date
from shared.command import Command
from shared.envelope import Draft
from shared.events import ContactField, ReturnRecorded, StayContactUpdated
from shared.ids import new_id
from shared.mongo.client import Session
from shared.privacy.contact import StudentContact
from shared.web.carried_addresses import check_address
from shared.web.idempotency import Answer, run_once
from shared.web.problem import FieldError, Problem, invalid
from shared.web.sealing import erased, sealed

Outcome = Literal["returned", "stays", "elsewhere", "unknown"]


@dataclass(frozen=True, slots=True)
class StayOutcome:
    """The outcome of the stay, or of a return that was requested."""

    on: date
    outcome: Outcome
    remark: str | None


async def update_contact(
    deps: CommandDeps, registration_id: str, parts: Mapping[ContactField, Any], command: Command[Permissions]
) -> Answer:
    """R24, R25: how to reach the student during the stay; the same details again confirm that they are still correct.

    Parts that are not given stay as they were. For the student, or for the International Office when a student calls
    whose phone was stolen.
    """
    check_address("body.email", parts.get(ContactField.EMAIL), smtp_non_ascii=deps.smtp_non_ascii)
    event_id = new_id()

    async def work(session: Session) -> Answer:
        loaded = await load_visible(deps, command.caller, registration_id, session)
        await check_version(deps, command, loaded)
        current = state_of(loaded)
        if not (command.caller.owns(current) or command.caller.is_international_office):
            raise Problem(
                403,
                "Only the student and the International Office can change the contact details.",
                reason="not_the_student",
            )
        check_not_cancelled(current)
        contact = await _stay_contact(deps, current, parts)
        event = StayContactUpdated(
            registration_id=registration_id,
            person_id=current.person_id,
            contact=await sealed(deps.keyring, current.person_id, event_id, "/contact", contact.stay),
            confirmed=command.caller.owns(current),
            given=contact.given,
        )
        drafts = [Draft(event, event_id)]
        after = await deps.store.record(loaded, drafts, cause=command.cause, now=command.now, session=session)
        terms = await student_terms(deps.keyring, state_of(after))
        await deps.store.search.put(registration_id, current.person_id, terms, session)
        return registration_answer(deps.catalogue, after, 200)

    return await run_once(deps.mongo, deps.database, command.idempotency, work)


async def _stay_contact(deps: CommandDeps, state: Registration, parts: Mapping[ContactField, Any]) -> StudentContact:
    """The contact details with these parts for the stay. Raises Problem when the student was erased."""
    before = await open_student_contact(deps.keyring, state)
    if before is None:
        raise erased()
    return before.with_parts_for_stay(parts)


async def record_return(
    deps: CommandDeps, registration_id: str, outcome: StayOutcome, command: Command[Permissions]
) -> Answer:
    """R20: the student is back, or staff record the outcome of a requested return. It cancels nothing.

    A student may record only that they are back.
    """
    state = state_of(await load_visible(deps, command.caller, registration_id))
    checked = places.places(state.legs, await load_inputs(deps.evaluation, state), command.now)
    event_id = new_id()
    event = ReturnRecorded(
        registration_id=registration_id,
        person_id=state.person_id,
        on=outcome.on,
        outcome=outcome.outcome,
        recorded_by=command.caller.person_id,
        remark=await seal_remark(deps, state, event_id, outcome.remark) if outcome.remark else None,
        advice=places.advice_seen(checked),
    )

    async def work(session: Session) -> Answer:
        loaded = await load_looked_after(deps, command.caller, registration_id, session)
        await check_version(deps, command, loaded)
        current = state_of(loaded)
        _check_outcome(current, outcome, command)
        ended = ENDED_BY_RETURN if outcome.outcome == "returned" else {"R20"}
        drafts = [Draft(event, event_id), *close_tasks(current, ended)]
        after = await deps.store.record(loaded, drafts, cause=command.cause, now=command.now, session=session)
        return registration_answer(deps.catalogue, after, 201)

    return await run_once(deps.mongo, deps.database, command.idempotency, work)


def _check_outcome(state: Registration, outcome: StayOutcome, command: Command[Permissions]) -> None:
    permissions, today = command.caller, amsterdam_date(command.now)
    check_not_cancelled(state)
    if permissions.owns(state) and not permissions.competences(state) and outcome.outcome != "returned":
        raise Problem(
            403, "As the student you can only record that you are back.", reason="not_yours_to_decide", rule="R20"
        )
    if today < state.departure_date:
        raise Problem(409, "The stay has not begun.", reason="not_departed", rule="R20")
    if not state.departure_date <= outcome.on <= today:
        raise invalid(FieldError("body.on", "is not between the day of departure and today"))
