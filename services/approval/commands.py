"""Commands of a student: ask for approval, withdraw. A block names its rule."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

from services.approval import slots
from services.approval.access import Permissions
from services.approval.deps import CommandDeps, load_readable, seal_optional, state_of
from services.approval.presentation import (
    blocked,
    contact_body,
    contact_for,
    refused,
    show_findings,
    status_answer,
    with_choices,
)
from services.approval.rule_settings import rule_settings
from services.approval.rules import activity, before_start, findings, withdrawable
from services.approval.rules.inputs import RuleInput
from services.approval.rules.programme import Reason as ProgrammeReason
from services.approval.rules.programme import named_programme
from services.approval.slots import NextInLine
from services.approval.texts import text
from shared.catalogue import Catalogue, Programme
from shared.clock import amsterdam_date
from shared.command import Command
from shared.envelope import Draft
from shared.events import (
    ActivityDetails,
    ActivityType,
    ApprovalRequested,
    ApprovalWithdrawn,
)
from shared.ids import new_id
from shared.mongo.client import Session
from shared.mongo.group_commit import insert_all
from shared.privacy.contact import ContactDetails
from shared.web.carried_addresses import check_address
from shared.web.concurrency import etag, must_match
from shared.web.idempotency import Answer, insert_once, run_once
from shared.web.identity import LoginFacts
from shared.web.problem import FieldError, Problem, invalid


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
    institute_reason: str | None
    contact: ContactDetails
    login: LoginFacts
    language: Literal["nl", "en"] = "en"


async def request_approval(deps: CommandDeps, command: Command[str], application: Application) -> Answer:
    """A student asks for approval. `command.caller` is the student. Raises Problem: a wrong field, or a rule."""
    catalogue, cause, now = deps.catalogue, command.cause, command.now
    check_address("body.contact.email", application.contact.email, smtp_non_ascii=deps.smtp_non_ascii)
    programme = _programme(catalogue, application)
    _check_own_programme(programme, application)
    kind = _activity_type(catalogue, programme, application, command)
    found = _findings(catalogue, programme, application, kind, now)
    placed = catalogue.pools()[found.pool_id] if found.pool_id is not None else None
    approval_id, event_id = new_id(), new_id()
    event = await _requested(deps, command.caller, application, found, catalogue.version, approval_id, event_id)
    after, documents = deps.store.requests.new_documents(approval_id, [Draft(event, event_id)], cause=cause, now=now)

    def answer(slot: dict[str, Any] | None) -> Answer:
        body = {
            "approvalId": approval_id,
            "status": state_of(after).status,
            "contact": _coordinator(catalogue, programme, application),
            "findings": show_findings(catalogue, state_of(after)),
            "slot": slot,
        }
        headers = {"Location": f"/v1/approval-requests/{approval_id}", "ETag": etag(after.version)}
        return Answer(201, body, headers)

    if placed is None:
        return await insert_once(deps.commits, deps.database, command.idempotency, answer(None), documents)

    async def work(session: Session) -> Answer:
        await insert_all(deps.database, documents, session)
        allocation = await slots.allocate(deps, command, placed, approval_id, application.language, session)
        return answer(
            {
                "slotPoolId": placed.pool.id,
                "hasPlace": allocation.position is None,
                "position": allocation.position,
            }
        )

    async def act(_: NextInLine | None) -> Answer:
        return await run_once(deps.mongo, deps.database, command.idempotency, work)

    return await slots.with_next_in_line(deps, found.pool_id, None, act)


async def withdraw(deps: CommandDeps, command: Command[Permissions], approval_id: str) -> Answer:
    """The student withdraws the request, or the approval. Raises Problem: not theirs, or not in such a state."""
    caller, cause, now = command.caller, command.cause, command.now
    request = state_of(await load_readable(deps, caller, approval_id))

    async def act(next_in_line: NextInLine | None) -> Answer:
        async def work(session: Session) -> Answer:
            loaded = await load_readable(deps, caller, approval_id, session)
            state = state_of(loaded)
            if not caller.owns(state):
                raise Problem(403, "Only the student can withdraw it.", reason="not_the_student")
            must_match(command.expected_version, loaded.version)
            decision = withdrawable.withdrawable(state.status)
            if not decision.is_permitted:
                contact = contact_for(deps.catalogue, state, "coordinator")
                raise refused(None, decision.reason, contact, language=state.language)
            event = ApprovalWithdrawn(approval_id=approval_id, person_id=state.person_id, withdrawn_by=caller.person_id)
            drafts = [Draft(event, new_id())]
            after = await deps.store.requests.record(loaded, drafts, cause=cause, now=now, session=session)
            if state.slot_pool_id is not None:
                await slots.release(
                    deps, cause, now, state.slot_pool_id, approval_id, "withdrawn", next_in_line, session
                )
            return status_answer(after)

        return await run_once(deps.mongo, deps.database, command.idempotency, work)

    return await slots.with_next_in_line(deps, request.slot_pool_id, approval_id, act)


def _programme(catalogue: Catalogue, application: Application) -> Programme:
    """The programme of an application. Raises Problem with everything that is wrong, together."""
    errors = []
    programme = catalogue.programme(application.faculty_id, application.programme_id)
    if programme is None:
        is_known_faculty = application.faculty_id in catalogue.faculties
        field = "body.programmeId" if is_known_faculty else "body.facultyId"
        errors.append(FieldError(field, "is not in the catalogue"))
    if application.end_date < application.start_date:
        errors.append(FieldError("body.endDate", "lies before the start"))
    if programme is None or errors:
        raise invalid(*errors)
    return programme


def _coordinator(catalogue: Catalogue, programme: Programme, application: Application) -> dict[str, str]:
    """Whom the student asks: the coordinator of this activity at this level of study."""
    kind = next((kind for kind in ActivityType if kind == application.activity_type), None)
    level = application.details.study_level
    return contact_body(catalogue.coordinator(application.programme_id, kind, level) or programme.coordinator)


def _check_own_programme(programme: Programme, application: Application) -> None:
    """R5: the login does not say that the student is one of other programmes. Raises Problem."""
    decision = named_programme(
        vouched_for=application.login.vouches_for(application.programme_id),
        ruled_out=application.login.rules_out(application.programme_id),
    )
    if decision.reason is ProgrammeReason.NOT_OF_THE_LOGIN:
        raise blocked(
            "R5", decision.reason, contact_body(programme.coordinator), language=application.language,
            errors=(FieldError("body.programmeId", "is not one of your login's programmes"),),
        )  # fmt: skip


def _activity_type(
    catalogue: Catalogue, programme: Programme, application: Application, command: Command[str]
) -> ActivityType:
    """The activity, if the faculty offers it (R3) and it is not over (R4). Raises Problem."""
    coordinator = _coordinator(catalogue, programme, application)
    types = catalogue.activity_types(application.faculty_id, application.programme_id)
    offered = activity.activity(application.activity_type, types)
    if offered.type is None:
        raise blocked("R3", offered.reason, coordinator, language=application.language)
    if application.end_date < amsterdam_date(command.now):
        raise blocked(
            "R4", "already_over", coordinator, language=application.language,
            errors=(FieldError("body.endDate", "has passed already"),),
        )  # fmt: skip
    return offered.type


def _findings(
    catalogue: Catalogue, programme: Programme, application: Application, kind: ActivityType, now: datetime
) -> findings.Findings:
    """What the rules find. Raises Problem if a rule makes it impossible, or needs another or a missing detail."""
    settings = rule_settings(catalogue, application.faculty_id, programme, application.details.research_at)
    if application.details.research_at is not None and (
        settings.research is None or kind not in settings.research.activity_types
    ):
        raise invalid(FieldError("body.details.researchAt", "has no such research projects"))
    rule_input = RuleInput(
        programme_id=application.programme_id,
        kind=kind,
        country=application.country,
        start_date=application.start_date,
        details=application.details,
        has_institute_reason=application.institute_reason is not None,
        has_started=not before_start.before_start(application.start_date, now).is_in_time,
        has_description=application.description is not None,
    )
    found = findings.findings(rule_input, settings)
    coordinator = _coordinator(catalogue, programme, application)
    language = application.language
    if found.blocked is not None:
        raise blocked(found.blocked.rule, found.blocked.reason, coordinator, language=language)
    errors = [
        FieldError(f"body.{ruling.field}", with_choices(text(ruling.reason, language), ruling.choices))
        for ruling in found.incomplete
    ]
    errors += [FieldError(f"body.{field}", "is not asked for this activity") for field in found.unexpected_fields]
    if found.incomplete:
        first = found.incomplete[0]
        raise Problem(
            400, text(first.reason, language), type_="invalid-request", rule=first.rule, reason=first.reason,
            contact=coordinator, errors=errors,
        )  # fmt: skip
    if errors:
        raise invalid(*errors)
    return found


async def _requested(
    deps: CommandDeps,
    person_id: str,
    application: Application,
    found: findings.Findings,
    catalogue_version: str,
    approval_id: str,
    event_id: str,
) -> ApprovalRequested:
    """The event of a request; what the student writes is sealed under the student's key."""

    async def seal(path: str, value: Any) -> str | None:
        return await seal_optional(deps, person_id, event_id, path, value)

    return ApprovalRequested(
        approval_id=approval_id,
        person_id=person_id,
        faculty_id=application.faculty_id,
        programme_id=application.programme_id,
        activity_type=ActivityType(application.activity_type),
        country=application.country,
        start_date=application.start_date,
        end_date=application.end_date,
        description=await seal("/description", application.description),
        catalogue_version=catalogue_version,
        details=application.details if application.details.model_fields_set else None,
        contact=await seal("/contact", application.contact),
        language=application.language,
        institute_reason=await seal("/instituteReason", application.institute_reason),
        slot_pool_id=found.pool_id,
        findings=found.as_event_findings(),
        programme_from_login=application.login.vouches_for(application.programme_id),
    )
