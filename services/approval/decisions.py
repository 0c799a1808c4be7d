"""The command of an approver: grant, return with a question, refuse or revoke with a reason. A block names its rule."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from services.approval import slots
from services.approval.access import Permissions
from services.approval.deps import CommandDeps, load_readable, seal_optional, state_of
from services.approval.model import ApprovalRequest
from services.approval.presentation import blocked, contact_for, refused, status_answer
from services.approval.rules import before_start, decidable, grantable, revocable
from services.approval.rules.programme import own_programme
from services.approval.slots import NextInLine
from services.approval.texts import text
from shared.catalogue import Catalogue
from shared.command import Command
from shared.envelope import Draft
from shared.events import ApprovalEvent, ApprovalGranted, ApprovalRefused, ApprovalReturned, ApprovalRevoked
from shared.ids import new_id
from shared.mongo.client import Session
from shared.web.concurrency import must_match
from shared.web.idempotency import Answer, run_once
from shared.web.problem import FieldError, Problem, invalid
from shared.web.sealing import sealed

Decision = Literal["grant", "return", "refuse", "revoke"]
#: Decisions after which a slot is free again, with the reason that its release records.
_RELEASES: dict[Decision, Literal["refused", "revoked"]] = {"refuse": "refused", "revoke": "revoked"}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an approver decides. `programme_confirmed`: the student is one of the programme, the approver says (R5)."""

    decision: Decision
    reason: str | None = None
    programme_confirmed: bool = False


async def decide(deps: CommandDeps, command: Command[Permissions], approval_id: str, verdict: Verdict) -> Answer:
    """An approver grants, returns with a question, refuses or revokes with a reason. Raises Problem: rule or state."""
    decision = verdict.decision
    if decision != "grant" and verdict.reason is None:
        raise invalid(FieldError("body.reason", "is required to return, refuse or revoke"))
    catalogue, caller, cause, now = deps.catalogue, command.caller, command.cause, command.now
    request = state_of(await load_readable(deps, caller, approval_id))
    event_id = new_id()
    event = await _decision_event(deps, catalogue, request, caller.person_id, verdict, event_id, now)
    released = _RELEASES.get(decision)

    async def act(next_in_line: NextInLine | None) -> Answer:
        async def work(session: Session) -> Answer:
            loaded = await load_readable(deps, caller, approval_id, session)
            must_match(command.expected_version, loaded.version)
            state = state_of(loaded)
            if decision == "revoke":
                _check_revocable(catalogue, command, state)
            else:
                _check_decidable(catalogue, command, state, has_reason=verdict.reason is not None)
            if decision == "grant":
                _check_dates(catalogue, state, now)
                _check_programme(catalogue, state, verdict)
                await _check_grantable(deps, catalogue, state, session)
            drafts = [Draft(event, event_id)]
            after = await deps.store.requests.record(loaded, drafts, cause=cause, now=now, session=session)
            if released is not None and state.slot_pool_id is not None:
                await slots.release(deps, cause, now, state.slot_pool_id, approval_id, released, next_in_line, session)
            return status_answer(after)

        return await run_once(deps.mongo, deps.database, command.idempotency, work)

    return await slots.with_next_in_line(deps, request.slot_pool_id if released is not None else None, approval_id, act)


def _check_decidable(
    catalogue: Catalogue, command: Command[Permissions], state: ApprovalRequest, *, has_reason: bool
) -> None:
    """R4, R5 and the state of the request. Raises Problem."""
    caller = command.caller
    decision = decidable.decidable(
        state,
        caller.person_id,
        caller.scopes,
        catalogue.approver_scopes(state.programme_id),
        catalogue.coordinator_scopes(state.programme_id),
        command.now,
        has_reason=has_reason,
    )
    if decision.is_permitted:
        return
    contact = contact_for(catalogue, state, "coordinator")
    if decision.reason is decidable.Reason.REASON_REQUIRED:
        raise Problem(
            400, text(decision.reason, "en"), type_="invalid-request", rule=decision.rule, reason=decision.reason,
            contact=contact, errors=(FieldError("body.reason", "is required after the start of the activity"),),
        )  # fmt: skip
    raise refused(decision.rule, decision.reason, contact, status=409 if decision.rule is None else 403)


def _check_revocable(catalogue: Catalogue, command: Command[Permissions], state: ApprovalRequest) -> None:
    """R5 and the state of the request. Raises Problem."""
    caller = command.caller
    programme_scopes = catalogue.approver_scopes(state.programme_id)
    decision = revocable.revocable(state, caller.person_id, caller.scopes, programme_scopes, command.now)
    if not decision.is_permitted:
        contact = contact_for(catalogue, state, "coordinator")
        raise refused(decision.rule, decision.reason, contact, status=409 if decision.rule is None else 403)


def _check_dates(catalogue: Catalogue, state: ApprovalRequest, now: datetime) -> None:
    """R4: dates that can be right. Raises Problem."""
    if not before_start.dates_are_plausible(state.start_date, state.end_date, now):
        raise blocked("R4", before_start.Reason.DATES_NOT_PLAUSIBLE, contact_for(catalogue, state, "coordinator"))


def _check_programme(catalogue: Catalogue, state: ApprovalRequest, verdict: Verdict) -> None:
    """R5: the login or the approver has to confirm the student's programme. Raises Problem."""
    decision = own_programme(from_login=state.programme_from_login, confirmed=verdict.programme_confirmed)
    if not decision.is_certain:
        contact = contact_for(catalogue, state, "international-office")
        error = FieldError("body.programmeConfirmed", "is required: the programme is only claimed")
        raise blocked("R5", decision.reason, contact, errors=(error,))


async def _check_grantable(deps: CommandDeps, catalogue: Catalogue, state: ApprovalRequest, session: Session) -> None:
    """Every step and slot that a grant needs. Raises Problem with all that is missing; the first one gives its rule."""
    pool = (await deps.store.pools.load(state.slot_pool_id, session)).state if state.slot_pool_id else None
    decision = grantable.grantable(state, pool)
    if decision.is_permitted:
        return
    first = decision.missing[0]
    errors = tuple(
        FieldError(
            f"steps.{item.step}" if item.step else "slot",
            f"{item.rule}: {text(item.reason, 'en')}",
            f"{item.rule}: {text(item.reason, 'nl')}",
        )
        for item in decision.missing
    )
    raise blocked(first.rule, first.reason, contact_for(catalogue, state, first.queue), errors=errors)


async def _decision_event(
    deps: CommandDeps,
    catalogue: Catalogue,
    state: ApprovalRequest,
    decided_by: str,
    verdict: Verdict,
    event_id: str,
    now: datetime,
) -> ApprovalEvent:
    """The event of a decision; what the approver writes is sealed under the student's key."""
    if verdict.decision == "grant":
        return ApprovalGranted(
            approval_id=state.approval_id,
            person_id=state.person_id,
            faculty_id=state.faculty_id,
            programme_id=state.programme_id,
            activity_type=state.activity_type,
            country=state.country,
            start_date=state.start_date,
            end_date=state.end_date,
            decided_by=decided_by,
            catalogue_version=catalogue.version,
            reason=await seal_optional(deps, state.person_id, event_id, "/reason", verdict.reason),
            after_start=not before_start.before_start(state.start_date, now).is_in_time,
            programme_confirmed=verdict.programme_confirmed,
        )
    path = "/question" if verdict.decision == "return" else "/reason"
    sealed_reason = await sealed(deps.keyring, state.person_id, event_id, path, verdict.reason)
    if verdict.decision == "return":
        return ApprovalReturned(
            approval_id=state.approval_id, person_id=state.person_id, decided_by=decided_by,
            question=sealed_reason, catalogue_version=catalogue.version,
        )  # fmt: skip
    event_class = ApprovalRevoked if verdict.decision == "revoke" else ApprovalRefused
    return event_class(
        approval_id=state.approval_id, person_id=state.person_id, decided_by=decided_by,
        reason=sealed_reason, catalogue_version=catalogue.version,
    )  # fmt: skip
