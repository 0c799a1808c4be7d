"""Commands between a request and its decision: record a step that a rule demands, answer the approver's question."""

from services.approval.access import OFFICE, Permissions
from services.approval.deps import CommandDeps, load_readable, seal_optional, state_of
from services.approval.presentation import contact_for, refused, status_answer
from services.approval.rules import answerable, recorder
from shared.command import Command
from shared.envelope import Draft
from shared.events import ApprovalAnswered, ApprovalStepRecorded, StepKind
from shared.ids import new_id
from shared.mongo.client import Session
from shared.web.concurrency import must_match
from shared.web.idempotency import Answer, run_once
from shared.web.problem import Problem
from shared.web.sealing import sealed


async def record_step(
    deps: CommandDeps,
    command: Command[Permissions],
    approval_id: str,
    step: StepKind,
    positive: bool,
    remark: str | None,
) -> Answer:
    """A person in the right role records a step. Raises Problem: wrong role, R5, or the state of the request."""
    catalogue, caller, now = deps.catalogue, command.caller, command.now
    request = state_of(await load_readable(deps, caller, approval_id))
    event_id = new_id()
    event = ApprovalStepRecorded(
        approval_id=approval_id,
        person_id=request.person_id,
        step=step,
        positive=positive,
        recorded_by=caller.person_id,
        remark=await seal_optional(deps, request.person_id, event_id, "/remark", remark),
        catalogue_version=catalogue.version,
    )

    async def work(session: Session) -> Answer:
        loaded = await load_readable(deps, caller, approval_id, session)
        must_match(command.expected_version, loaded.version)
        state = state_of(loaded)
        programme_scopes = catalogue.approver_scopes(state.programme_id)
        decision = recorder.recorder(state, step, caller.person_id, caller.scopes, programme_scopes, caller.is_office)
        if not decision.is_permitted:
            is_forbidden = decision.reason in (recorder.Reason.OWN_REQUEST, recorder.Reason.WRONG_ROLE)
            queue = OFFICE if decision.queue == OFFICE else "coordinator"
            contact = contact_for(catalogue, state, queue)
            raise refused(decision.rule, decision.reason, contact, status=403 if is_forbidden else 409)
        drafts = [Draft(event, event_id)]
        return status_answer(
            await deps.store.requests.record(loaded, drafts, cause=command.cause, now=now, session=session)
        )

    return await run_once(deps.mongo, deps.database, command.idempotency, work)


async def answer_question(
    deps: CommandDeps, command: Command[Permissions], approval_id: str, answer_text: str
) -> Answer:
    """The student answers, and the request is the approver's again. Raises Problem: no question was asked."""
    caller, now = command.caller, command.now
    request = state_of(await load_readable(deps, caller, approval_id))
    event_id = new_id()
    event = ApprovalAnswered(
        approval_id=approval_id,
        person_id=request.person_id,
        answered_by=caller.person_id,
        answer=await sealed(deps.keyring, request.person_id, event_id, "/answer", answer_text),
    )

    async def work(session: Session) -> Answer:
        loaded = await load_readable(deps, caller, approval_id, session)
        state = state_of(loaded)
        if not caller.owns(state):
            raise Problem(403, "Only the student can answer.", reason="not_the_student")
        must_match(command.expected_version, loaded.version)
        decision = answerable.answerable(state)
        if not decision.is_permitted:
            contact = contact_for(deps.catalogue, state, "coordinator")
            raise refused(None, decision.reason, contact, language=state.language)
        drafts = [Draft(event, event_id)]
        return status_answer(
            await deps.store.requests.record(loaded, drafts, cause=command.cause, now=now, session=session)
        )

    return await run_once(deps.mongo, deps.database, command.idempotency, work)
