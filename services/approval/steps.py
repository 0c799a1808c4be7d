"""What is done between a request and its decision: steps that rules demand are recorded, questions are answered."""

from datetime import datetime

from services.approval.access import OFFICE, Permissions
from services.approval.deps import CommandDeps, status_answer, seal_optional, state_of, visible, contact_for
from services.approval.rules import answerable, recorder
from services.approval.texts import text
from shared.envelope import Cause, Draft
from shared.events import ApprovalAnswered, ApprovalStepRecorded, StepKind
from shared.ids import new_id
from shared.mongo.client import Session
from shared.web.concurrency import must_match
from shared.web.idempotency import Answer, IdempotentRequest, run_once
from shared.web.problem import Problem
from shared.web.sealing import sealed


async def record_step(
    deps: CommandDeps,
    reach: Permissions,
    approval_id: str,
    step: StepKind,
    positive: bool,
    remark: str | None,
    seen: int | None,
    once: IdempotentRequest | None,
    *,
    cause: Cause,
    now: datetime,
) -> Answer:
    """Somebody in the right role records what a rule demands. Raises Problem: the role, R4, R5, or the state."""
    catalogue = deps.catalogue
    first = state_of(await visible(deps, reach, approval_id))
    event_id = new_id()
    event = ApprovalStepRecorded(
        approval_id=approval_id,
        person_id=first.person_id,
        step=step,
        positive=positive,
        recorded_by=reach.person_id,
        remark=await seal_optional(deps, first.person_id, event_id, "/remark", remark),
        catalogue_version=catalogue.version,
    )

    async def work(session: Session) -> Answer:
        loaded = await visible(deps, reach, approval_id, session)
        must_match(seen, loaded.version)
        state = state_of(loaded)
        scopes = catalogue.approver_scopes(state.faculty_id, state.programme_id)
        found = recorder.recorder(state, step, reach.person_id, reach.scopes, scopes, reach.is_office, now)
        if not found.is_permitted:
            forbidden = found.reason in (recorder.Reason.OWN_REQUEST, recorder.Reason.WRONG_ROLE)
            raise Problem(
                403 if forbidden else 409,
                text(found.reason, "en"),
                type_="blocked-by-rule" if found.rule else "conflict",
                rule=found.rule,
                reason=found.reason,
                contact=contact_for(catalogue, state, OFFICE if found.queue == OFFICE else "coordinator"),
            )
        drafts = [Draft(event, event_id)]
        return status_answer(await deps.store.requests.record(loaded, drafts, cause=cause, now=now, session=session))

    return await run_once(deps.mongo, deps.database, once, work)


async def answer_question(
    deps: CommandDeps,
    reach: Permissions,
    approval_id: str,
    words: str,
    seen: int | None,
    once: IdempotentRequest | None,
    *,
    cause: Cause,
    now: datetime,
) -> Answer:
    """The student answers; the request is the approver's again. Raises Problem when nothing was asked, or R4."""
    first = state_of(await visible(deps, reach, approval_id))
    event_id = new_id()
    event = ApprovalAnswered(
        approval_id=approval_id,
        person_id=first.person_id,
        answered_by=reach.person_id,
        answer=await sealed(deps.keyring, first.person_id, event_id, "/answer", words),
    )

    async def work(session: Session) -> Answer:
        loaded = await visible(deps, reach, approval_id, session)
        state = state_of(loaded)
        if not reach.owns(state):
            raise Problem(403, "Only the student can answer.", reason="not_the_student")
        must_match(seen, loaded.version)
        found = answerable.answerable(state, now)
        if not found.is_permitted:
            raise Problem(
                409,
                text(found.reason, state.language),
                type_="blocked-by-rule" if found.rule else "conflict",
                rule=found.rule,
                reason=found.reason,
                contact=contact_for(deps.catalogue, state, "coordinator"),
            )
        drafts = [Draft(event, event_id)]
        return status_answer(await deps.store.requests.record(loaded, drafts, cause=cause, now=now, session=session))

    return await run_once(deps.mongo, deps.database, once, work)
