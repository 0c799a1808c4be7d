"""What a student or an approver may ask for: request, decide, withdraw. One function each; a block says why."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

from services.approval import slots
from services.approval.access import Permissions
from services.approval.rule_settings import rule_settings
from services.approval.deps import (
    CommandDeps,
    blocked,
    contact,
    status_answer,
    seal_optional,
    state_of,
    visible,
    contact_for,
)
from services.approval.model import ApprovalRequest
from services.approval.slots import NextInLine
from services.approval.rules import activity, before_start, decidable, findings, grantable, withdrawable
from services.approval.texts import text
from shared.bus.aggregate import Loaded
from shared.catalogue import Catalogue, Programme
from shared.envelope import Cause, Draft
from shared.events import (
    ActivityDetails,
    ActivityType,
    ApprovalEvent,
    ApprovalGranted,
    ApprovalRefused,
    ApprovalRequested,
    ApprovalReturned,
    ApprovalWithdrawn,
)
from shared.ids import new_id
from shared.mongo.client import Session
from shared.mongo.group_commit import insert_all
from shared.privacy.contact import ContactDetails
from shared.web.concurrency import etag, must_match
from shared.web.idempotency import Answer, IdempotentRequest, insert_once, run_once
from shared.web.problem import FieldError, Problem, invalid
from shared.web.sealing import sealed

Decision = Literal["grant", "return", "refuse"]


@dataclass(frozen=True, slots=True)
class Application:
    """What a student asks approval for. Dates Europe/Amsterdam."""

    faculty_id: str
    programme_id: str
    activity_type: str
    country: str
    start_date: date
    end_date: date
    description: str | None
    details: ActivityDetails
    institute_reason: str | None = None
    contact: ContactDetails | None = None
    language: Literal["nl", "en"] = "en"


async def request_approval(
    deps: CommandDeps, person_id: str, application: Application, once: IdempotentRequest | None, *, cause: Cause, now: datetime
) -> Answer:
    """A student asks the programme. Raises Problem: a wrong field, or a rule in the way."""
    catalogue = deps.catalogue
    programme = _programme(catalogue, application)
    offered = activity.activity(application.activity_type, catalogue.faculties[application.faculty_id].activity_types)
    if offered.type is None:
        raise blocked("R3", offered.reason, contact(programme.coordinator), language=application.language)
    if not before_start.before_start(application.start_date, now).is_in_time:
        raise blocked(
            "R4", before_start.Reason.ALREADY_STARTED, contact(programme.coordinator), language=application.language,
            errors=(FieldError("body.startDate", "has come already"),),
        )  # fmt: skip
    found = _found(catalogue, programme, application, offered.type)
    placed = catalogue.pools()[found.pool_id] if found.pool_id is not None else None
    if placed is not None and application.contact is None:
        raise invalid(FieldError("body.contact", "is required: whoever gets a place later is told by mail"))
    approval_id, event_id = new_id(), new_id()
    event = ApprovalRequested(
        approval_id=approval_id,
        person_id=person_id,
        faculty_id=application.faculty_id,
        programme_id=application.programme_id,
        activity_type=offered.type,
        country=application.country,
        start_date=application.start_date,
        end_date=application.end_date,
        description=await seal_optional(deps, person_id, event_id, "/description", application.description),
        catalogue_version=catalogue.version,
        details=application.details if application.details.model_fields_set else None,
        contact=await seal_optional(deps, person_id, event_id, "/contact", application.contact),
        language=application.language,
        institute_reason=await seal_optional(deps, person_id, event_id, "/instituteReason", application.institute_reason),
        slot_pool_id=found.pool_id,
        findings=found.kept(),
    )

    after, new = deps.store.requests.new_documents(approval_id, [Draft(event, event_id)], cause=cause, now=now)

    def answer(slot: dict[str, Any] | None) -> Answer:
        body = {
            "approvalId": approval_id,
            "status": state_of(after).status,
            "contact": contact(programme.coordinator),
            "findings": show_findings(catalogue, state_of(after)),
            "slot": slot,
        }
        headers = {"Location": f"/v1/approval-requests/{approval_id}", "ETag": etag(after.version)}
        return Answer(201, body, headers)

    if placed is None:
        return await insert_once(deps.commits, deps.database, once, answer(None), new)

    async def work(session: Session) -> Answer:
        await insert_all(deps.database, new, session)
        taken = await places.take(
            deps, placed, approval_id, person_id, application.language, cause=cause, now=now, session=session
        )
        return answer({"slotPoolId": placed.pool.id, "hasPlace": taken.position is None, "position": taken.position})

    async def act(_: NextInLine | None) -> Answer:
        return await run_once(deps.mongo, deps.database, once, work)

    return await places.with_next_in_line(deps, found.pool_id, None, act)


async def decide(
    deps: CommandDeps,
    reach: Permissions,
    approval_id: str,
    decision: Decision,
    words: str | None,
    seen: int | None,
    once: IdempotentRequest | None,
    *,
    cause: Cause,
    now: datetime,
) -> Answer:
    """An approver grants, returns with a question, or refuses with a reason. Raises Problem: a rule, or the state."""
    if decision != "grant" and words is None:
        raise invalid(FieldError("body.reason", "is required to return or refuse"))
    catalogue = deps.catalogue
    first = state_of(await visible(deps, reach, approval_id))
    event_id = new_id()
    event = await _decision(deps, catalogue, first, reach.person_id, decision, words, event_id)

    async def act(following: NextInLine | None) -> Answer:
        async def work(session: Session) -> Answer:
            loaded = await visible(deps, reach, approval_id, session)
            must_match(seen, loaded.version)
            state = state_of(loaded)
            _may_decide(catalogue, reach, state, now)
            if decision == "grant":
                await _may_grant(deps, catalogue, state, session)
            after = await _record(deps, loaded, [Draft(event, event_id)], cause, now, session)
            if decision == "refuse" and state.slot_pool_id is not None:
                await places.release_slot(
                    deps, state.slot_pool_id, approval_id, "refused", following, cause=cause, now=now, session=session
                )
            return status_answer(after)

        return await run_once(deps.mongo, deps.database, once, work)

    return await places.with_next_in_line(deps, first.slot_pool_id if decision == "refuse" else None, approval_id, act)


async def withdraw(
    deps: CommandDeps,
    reach: Permissions,
    approval_id: str,
    seen: int | None,
    once: IdempotentRequest | None,
    *,
    cause: Cause,
    now: datetime,
) -> Answer:
    """The student takes the request, or the approval, back. Raises Problem when it is not theirs or not open."""
    first = state_of(await visible(deps, reach, approval_id))

    async def act(following: NextInLine | None) -> Answer:
        async def work(session: Session) -> Answer:
            loaded = await visible(deps, reach, approval_id, session)
            state = state_of(loaded)
            if not reach.owns(state):
                raise Problem(403, "Only the student can withdraw it.", reason="not_the_student")
            must_match(seen, loaded.version)
            found = withdrawable.withdrawable(state.status)
            if not found.is_permitted:
                who = contact_for(deps.catalogue, state, "coordinator")
                raise Problem(409, text(found.reason, state.language), reason=found.reason, contact=who)
            event = ApprovalWithdrawn(approval_id=approval_id, person_id=state.person_id, withdrawn_by=reach.person_id)
            after = await _record(deps, loaded, [Draft(event, new_id())], cause, now, session)
            if state.slot_pool_id is not None:
                await places.release_slot(
                    deps, state.slot_pool_id, approval_id, "withdrawn", following, cause=cause, now=now, session=session
                )
            return status_answer(after)

        return await run_once(deps.mongo, deps.database, once, work)

    return await places.with_next_in_line(deps, first.slot_pool_id, approval_id, act)


def show_findings(catalogue: Catalogue, state: ApprovalRequest) -> list[dict[str, object]]:
    """What the rules found, in the student's language, each with whom to turn to."""
    return [
        {
            "rule": each.rule,
            "effect": each.effect,
            "reason": each.reason,
            "reasonText": text(each.reason, state.language),
            "step": each.step,
            "contact": contact_for(catalogue, state, each.queue),
        }
        for each in state.findings
    ]


def _programme(catalogue: Catalogue, application: Application) -> Programme:
    """The programme that is asked. Raises Problem with everything that is wrong, together."""
    errors = []
    programme = catalogue.programme(application.faculty_id, application.programme_id)
    if programme is None:
        known = application.faculty_id in catalogue.faculties
        errors.append(FieldError("body.programmeId" if known else "body.facultyId", "is not in the catalogue"))
    if application.end_date < application.start_date:
        errors.append(FieldError("body.endDate", "lies before the start"))
    if programme is None or errors:
        raise invalid(*errors)
    return programme


def _found(catalogue: Catalogue, programme: Programme, application: Application, kind: ActivityType) -> findings.Findings:
    """What the rules say. Raises Problem for what makes it impossible, or for what they cannot judge."""
    where = rule_settings(catalogue, application.faculty_id, programme, application.details.research_at)
    if application.details.research_at is not None and (where.research is None or kind not in where.research.activity_types):
        raise invalid(FieldError("body.details.researchAt", "has no such research projects"))
    wish = findings.RuleInput(
        application.programme_id, kind, application.country, application.start_date, application.details, application.institute_reason is not None
    )
    found = findings.findings(wish, where)
    if found.blocked is not None:
        who = contact(programme.coordinator)
        raise blocked(found.blocked.rule, found.blocked.reason, who, language=application.language)
    errors = [FieldError(f"body.{each.field}", text(each.reason, application.language)) for each in found.incomplete]
    errors += [FieldError(f"body.{each}", "is not asked for this activity") for each in found.unexpected_fields]
    if found.incomplete:
        first = found.incomplete[0]
        raise Problem(
            400, text(first.reason, application.language), type_="invalid-request", rule=first.rule, reason=first.reason,
            contact=contact(programme.coordinator), errors=errors,
        )  # fmt: skip
    if errors:
        raise invalid(*errors)
    return found


def _may_decide(catalogue: Catalogue, reach: Permissions, state: ApprovalRequest, now: datetime) -> None:
    """R4, R5, and where it stands. Raises Problem."""
    programme_scopes = catalogue.approver_scopes(state.faculty_id, state.programme_id)
    found = decidable.decidable(state, reach.person_id, reach.scopes, programme_scopes, now)
    if not found.is_permitted:
        raise Problem(
            403 if found.rule == "R5" else 409,
            text(found.reason, "en"),
            type_="blocked-by-rule" if found.rule else "conflict",
            rule=found.rule,
            reason=found.reason,
            contact=contact_for(catalogue, state, "coordinator"),
        )


async def _may_grant(deps: CommandDeps, catalogue: Catalogue, state: ApprovalRequest, session: Session) -> None:
    """Every step and place that a grant needs. Raises Problem naming all that lack; the first gives its rule."""
    pool = (await deps.store.pools.load(state.slot_pool_id, session)).state if state.slot_pool_id else None
    found = grantable.grantable(state, pool)
    if found.is_permitted:
        return
    first = found.missing[0]
    errors = tuple(
        FieldError(f"steps.{each.step}" if each.step else "slot", f"{each.rule}: {text(each.reason, 'en')}")
        for each in found.missing
    )
    who = contact_for(catalogue, state, first.queue)
    raise blocked(first.rule, first.reason, who, errors=errors)


async def _decision(
    deps: CommandDeps,
    catalogue: Catalogue,
    state: ApprovalRequest,
    decided_by: str,
    decision: Decision,
    words: str | None,
    event_id: str,
) -> ApprovalEvent:
    """The event of a decision; what the approver writes is sealed under the student's key."""
    if decision == "grant":
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
        )
    path = "/question" if decision == "return" else "/reason"
    said = await sealed(deps.keyring, state.person_id, event_id, path, words)
    if decision == "return":
        return ApprovalReturned(
            approval_id=state.approval_id, person_id=state.person_id, decided_by=decided_by, question=said,
            catalogue_version=catalogue.version,
        )  # fmt: skip
    return ApprovalRefused(
        approval_id=state.approval_id, person_id=state.person_id, decided_by=decided_by, reason=said,
        catalogue_version=catalogue.version,
    )  # fmt: skip


async def _record(
    deps: CommandDeps,
    loaded: Loaded[ApprovalRequest],
    drafts: Sequence[Draft],
    cause: Cause,
    now: datetime,
    session: Session,
) -> Loaded[ApprovalRequest]:
    return await deps.store.requests.record(loaded, drafts, cause=cause, now=now, session=session)
