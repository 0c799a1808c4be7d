"""During the stay: how to reach the student there (R24, R25), and what came of a return (R20)."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from services.registration.access import Permissions
from services.registration.commands.manual_decisions import remark_of
from services.registration.commands.registrations import CommandDeps, load_supervised, shown, state_of, visible
from services.registration.decision_events import ended_by
from services.registration.evaluation import load_inputs
from services.registration.model import Registration, Status
from services.registration.rules import places
from shared.clock import amsterdam_date
from shared.envelope import Cause, Draft
from shared.events import ReturnRecorded, StayContactUpdated
from shared.ids import new_id
from shared.mongo.client import Session
from shared.privacy.contact import ContactDetails
from shared.web.concurrency import must_match
from shared.web.idempotency import Answer, IdempotentRequest, run_once
from shared.web.problem import FieldError, Problem, invalid
from shared.web.sealing import sealed

Outcome = Literal["returned", "stays", "elsewhere", "unknown"]


@dataclass(frozen=True, slots=True)
class StayOutcome:
    """What came of the stay, or of a return that was asked for."""

    on: date
    outcome: Outcome
    remark: str | None


async def update_contact(
    deps: CommandDeps,
    permissions: Permissions,
    registration_id: str,
    contact: ContactDetails,
    seen: int | None,
    once: IdempotentRequest | None,
    *,
    cause: Cause,
    now: datetime,
) -> Answer:
    """R24, R25: how to reach the student from now on; the same details again say that they are still correct.

    The student, or the International Office for one who calls because the phone was stolen.
    """
    state = state_of(await visible(deps, permissions, registration_id))
    event_id = new_id()
    details = await sealed(deps.keyring, state.person_id, event_id, "/contact", contact)
    event = StayContactUpdated(
        registration_id=registration_id, person_id=state.person_id, contact=details, confirmed=permissions.owns(state)
    )

    async def work(session: Session) -> Answer:
        loaded = await visible(deps, permissions, registration_id, session)
        must_match(seen, loaded.version)
        current = state_of(loaded)
        if not (permissions.owns(current) or permissions.is_international_office):
            raise Problem(
                403, "Only the student, or the International Office, can change it.", reason="not_the_student"
            )
        _must_stand(current)
        after = await deps.store.record(loaded, [Draft(event, event_id)], cause=cause, now=now, session=session)
        return shown(deps, after, 200)

    return await run_once(deps.mongo, deps.database, once, work)


async def record_return(
    deps: CommandDeps,
    permissions: Permissions,
    registration_id: str,
    came: StayOutcome,
    seen: int | None,
    once: IdempotentRequest | None,
    *,
    cause: Cause,
    now: datetime,
) -> Answer:
    """R20: the student is back, or somebody wrote down what came of a requested return. Nothing is cancelled by it.

    A student says that they are back; every other outcome is for a person of the university.
    """
    state = state_of(await visible(deps, permissions, registration_id))
    checked = places.places(state.legs, await load_inputs(deps.evaluation, state), now)
    event_id = new_id()
    event = ReturnRecorded(
        registration_id=registration_id,
        person_id=state.person_id,
        on=came.on,
        outcome=came.outcome,
        recorded_by=permissions.person_id,
        remark=await remark_of(deps, state, event_id, came.remark) if came.remark else None,
        advice=places.advice_seen(checked),
    )

    async def work(session: Session) -> Answer:
        loaded = await load_supervised(deps, permissions, registration_id, session)
        must_match(seen, loaded.version)
        current = state_of(loaded)
        _must_be_recordable(permissions, current, came, now)
        drafts = [Draft(event, event_id), *ended_by(current, {"R20"})]
        after = await deps.store.record(loaded, drafts, cause=cause, now=now, session=session)
        return shown(deps, after, 201)

    return await run_once(deps.mongo, deps.database, once, work)


def _must_be_recordable(permissions: Permissions, state: Registration, came: StayOutcome, now: datetime) -> None:
    _must_stand(state)
    if permissions.owns(state) and not permissions.competences(state) and came.outcome != "returned":
        raise Problem(403, "You can say that you are back.", reason="not_yours_to_decide", rule="R20")
    if amsterdam_date(now) < state.departure_date:
        raise Problem(409, "The stay has not begun.", reason="not_departed", rule="R20")
    if not state.departure_date <= came.on <= amsterdam_date(now):
        raise invalid(FieldError("body.on", "is not between the day of departure and today"))


def _must_stand(state: Registration) -> None:
    if state.status is Status.CANCELLED:
        raise Problem(409, "It was cancelled; hand in a new one.", reason="cancelled")
