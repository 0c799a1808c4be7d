"""What a student or an approver may ask for: request, decide, withdraw. One function each; a block says why."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

from services.approval import places
from services.approval.access import Reach
from services.approval.configured import setting
from services.approval.desk import (
    Desk,
    blocked,
    contact,
    receipt,
    sealed_if_said,
    state_of,
    visible,
    whom_to_ask,
)
from services.approval.model import ApprovalRequest
from services.approval.places import NextInLine
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
class Asked:
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
    desk: Desk, person_id: str, asked: Asked, once: IdempotentRequest | None, *, cause: Cause, now: datetime
) -> Answer:
    """A student asks the programme. Raises Problem: a wrong field, or a rule in the way."""
    catalogue = desk.catalogue
    programme = _programme(catalogue, asked)
    offered = activity.activity(asked.activity_type, catalogue.faculties[asked.faculty_id].activity_types)
    if offered.type is None:
        raise blocked("R3", offered.reason, contact(programme.coordinator), language=asked.language)
    if not before_start.before_start(asked.start_date, now).is_in_time:
        raise blocked(
            "R4", before_start.Reason.ALREADY_STARTED, contact(programme.coordinator), language=asked.language,
            errors=(FieldError("body.startDate", "has come already"),),
        )  # fmt: skip
    found = _found(catalogue, programme, asked, offered.type)
    placed = catalogue.pools()[found.pool_id] if found.pool_id is not None else None
    if placed is not None and asked.contact is None:
        raise invalid(FieldError("body.contact", "is required: whoever gets a place later is told by mail"))
    approval_id, event_id = new_id(), new_id()
    event = ApprovalRequested(
        approval_id=approval_id,
        person_id=person_id,
        faculty_id=asked.faculty_id,
        programme_id=asked.programme_id,
        activity_type=offered.type,
        country=asked.country,
        start_date=asked.start_date,
        end_date=asked.end_date,
        description=await sealed_if_said(desk, person_id, event_id, "/description", asked.description),
        catalogue_version=catalogue.version,
        details=asked.details if asked.details.model_fields_set else None,
        contact=await sealed_if_said(desk, person_id, event_id, "/contact", asked.contact),
        language=asked.language,
        institute_reason=await sealed_if_said(desk, person_id, event_id, "/instituteReason", asked.institute_reason),
        slot_pool_id=found.pool_id,
        findings=found.kept(),
    )

    after, new = desk.store.requests.new_documents(approval_id, [Draft(event, event_id)], cause=cause, now=now)

    def answer(slot: dict[str, Any] | None) -> Answer:
        body = {
            "approvalId": approval_id,
            "status": state_of(after).status,
            "contact": contact(programme.coordinator),
            "findings": shown_findings(catalogue, state_of(after)),
            "slot": slot,
        }
        headers = {"Location": f"/v1/approval-requests/{approval_id}", "ETag": etag(after.version)}
        return Answer(201, body, headers)

    if placed is None:
        return await insert_once(desk.commits, desk.database, once, answer(None), new)

    async def work(session: Session) -> Answer:
        await insert_all(desk.database, new, session)
        taken = await places.take(
            desk, placed, approval_id, person_id, asked.language, cause=cause, now=now, session=session
        )
        return answer({"slotPoolId": placed.pool.id, "hasPlace": taken.position is None, "position": taken.position})

    async def act(_: NextInLine | None) -> Answer:
        return await run_once(desk.mongo, desk.database, once, work)

    return await places.in_turn(desk, found.pool_id, None, act)


async def decide(
    desk: Desk,
    reach: Reach,
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
    catalogue = desk.catalogue
    first = state_of(await visible(desk, reach, approval_id))
    event_id = new_id()
    event = await _decision(desk, catalogue, first, reach.person_id, decision, words, event_id)

    async def act(following: NextInLine | None) -> Answer:
        async def work(session: Session) -> Answer:
            loaded = await visible(desk, reach, approval_id, session)
            must_match(seen, loaded.version)
            state = state_of(loaded)
            _may_decide(catalogue, reach, state, now)
            if decision == "grant":
                await _may_grant(desk, catalogue, state, session)
            after = await _record(desk, loaded, [Draft(event, event_id)], cause, now, session)
            if decision == "refuse" and state.slot_pool_id is not None:
                await places.give_back(
                    desk, state.slot_pool_id, approval_id, "refused", following, cause=cause, now=now, session=session
                )
            return receipt(after)

        return await run_once(desk.mongo, desk.database, once, work)

    return await places.in_turn(desk, first.slot_pool_id if decision == "refuse" else None, approval_id, act)


async def withdraw(
    desk: Desk,
    reach: Reach,
    approval_id: str,
    seen: int | None,
    once: IdempotentRequest | None,
    *,
    cause: Cause,
    now: datetime,
) -> Answer:
    """The student takes the request, or the approval, back. Raises Problem when it is not theirs or not open."""
    first = state_of(await visible(desk, reach, approval_id))

    async def act(following: NextInLine | None) -> Answer:
        async def work(session: Session) -> Answer:
            loaded = await visible(desk, reach, approval_id, session)
            state = state_of(loaded)
            if not reach.owns(state):
                raise Problem(403, "Only the student can withdraw it.", reason="not_the_student")
            must_match(seen, loaded.version)
            found = withdrawable.withdrawable(state.status)
            if not found.is_permitted:
                who = whom_to_ask(desk.catalogue, state, "coordinator")
                raise Problem(409, text(found.reason, state.language), reason=found.reason, contact=who)
            event = ApprovalWithdrawn(approval_id=approval_id, person_id=state.person_id, withdrawn_by=reach.person_id)
            after = await _record(desk, loaded, [Draft(event, new_id())], cause, now, session)
            if state.slot_pool_id is not None:
                await places.give_back(
                    desk, state.slot_pool_id, approval_id, "withdrawn", following, cause=cause, now=now, session=session
                )
            return receipt(after)

        return await run_once(desk.mongo, desk.database, once, work)

    return await places.in_turn(desk, first.slot_pool_id, approval_id, act)


def shown_findings(catalogue: Catalogue, state: ApprovalRequest) -> list[dict[str, object]]:
    """What the rules found, in the student's language, each with whom to turn to."""
    return [
        {
            "rule": each.rule,
            "effect": each.effect,
            "reason": each.reason,
            "reasonText": text(each.reason, state.language),
            "step": each.step,
            "contact": whom_to_ask(catalogue, state, each.queue),
        }
        for each in state.findings
    ]


def _programme(catalogue: Catalogue, asked: Asked) -> Programme:
    """The programme that is asked. Raises Problem with everything that is wrong, together."""
    errors = []
    programme = catalogue.programme(asked.faculty_id, asked.programme_id)
    if programme is None:
        known = asked.faculty_id in catalogue.faculties
        errors.append(FieldError("body.programmeId" if known else "body.facultyId", "is not in the catalogue"))
    if asked.end_date < asked.start_date:
        errors.append(FieldError("body.endDate", "lies before the start"))
    if programme is None or errors:
        raise invalid(*errors)
    return programme


def _found(catalogue: Catalogue, programme: Programme, asked: Asked, kind: ActivityType) -> findings.Findings:
    """What the rules say. Raises Problem for what makes it impossible, or for what they cannot judge."""
    where = setting(catalogue, asked.faculty_id, programme, asked.details.research_at)
    if asked.details.research_at is not None and (where.research is None or kind not in where.research.activity_types):
        raise invalid(FieldError("body.details.researchAt", "has no such research projects"))
    wish = findings.Wish(
        asked.programme_id, kind, asked.country, asked.start_date, asked.details, asked.institute_reason is not None
    )
    found = findings.findings(wish, where)
    if found.blocked is not None:
        who = contact(programme.coordinator)
        raise blocked(found.blocked.rule, found.blocked.reason, who, language=asked.language)
    errors = [FieldError(f"body.{each.field}", text(each.reason, asked.language)) for each in found.incomplete]
    errors += [FieldError(f"body.{each}", "is not asked for this activity") for each in found.unasked]
    if found.incomplete:
        first = found.incomplete[0]
        raise Problem(
            400, text(first.reason, asked.language), type_="invalid-request", rule=first.rule, reason=first.reason,
            contact=contact(programme.coordinator), errors=errors,
        )  # fmt: skip
    if errors:
        raise invalid(*errors)
    return found


def _may_decide(catalogue: Catalogue, reach: Reach, state: ApprovalRequest, now: datetime) -> None:
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
            contact=whom_to_ask(catalogue, state, "coordinator"),
        )


async def _may_grant(desk: Desk, catalogue: Catalogue, state: ApprovalRequest, session: Session) -> None:
    """Every step and place that a grant needs. Raises Problem naming all that lack; the first gives its rule."""
    pool = (await desk.store.pools.load(state.slot_pool_id, session)).state if state.slot_pool_id else None
    found = grantable.grantable(state, pool)
    if found.is_permitted:
        return
    first = found.lacks[0]
    errors = tuple(
        FieldError(f"steps.{each.step}" if each.step else "slot", f"{each.rule}: {text(each.reason, 'en')}")
        for each in found.lacks
    )
    who = whom_to_ask(catalogue, state, first.queue)
    raise blocked(first.rule, first.reason, who, errors=errors)


async def _decision(
    desk: Desk,
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
    said = await sealed(desk.keyring, state.person_id, event_id, path, words)
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
    desk: Desk,
    loaded: Loaded[ApprovalRequest],
    drafts: Sequence[Draft],
    cause: Cause,
    now: datetime,
    session: Session,
) -> Loaded[ApprovalRequest]:
    return await desk.store.requests.record(loaded, drafts, cause=cause, now=now, session=session)
