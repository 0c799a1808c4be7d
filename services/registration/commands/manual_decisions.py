"""Decisions by persons: approve, refuse or restore a registration, on exactly the advice that they saw.

`rules/decision.py` says what each person may decide. The inputs are read before the transaction, which stores the
decision only on the version that was read; afterwards the registration is evaluated on newer advice, if there is any.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from services.registration.access import Permissions
from services.registration.commands.after_commit import evaluate_after_commit
from services.registration.commands.answers import contact_for_queue, registration_answer
from services.registration.commands.deps import CommandDeps
from services.registration.commands.loading import check_version, load_visible, state_of
from services.registration.decision_events import agreement_events, close_decided_tasks
from services.registration.decision_inputs import load_inputs
from services.registration.evaluation import ATTEMPTS
from services.registration.model import Registration
from services.registration.rules.checklist import override_in
from services.registration.rules.clearance import Clearance, clearance
from services.registration.rules.decision import Ask, Reason, Ruling, Step, decision
from services.registration.rules.exception import OrangeException, exception_at_orange
from services.registration.texts import staff_text
from shared.bus.outbox import StreamMoved
from shared.command import Command
from shared.country_names import country_name
from shared.envelope import Draft
from shared.events import (
    ClearanceRestored,
    Event,
    ExceptionPermissions,
    RegistrationApproved,
    RegistrationRefused,
    TaskClosed,
)
from shared.ids import new_id
from shared.mongo.client import Session
from shared.mongo.retry import retry
from shared.web.idempotency import Answer, run_once
from shared.web.problem import FieldError, Problem
from shared.web.sealing import sealed


@dataclass(frozen=True, slots=True)
class DecisionRequest:
    """What a person wants to decide, why, and on which advice (country → version)."""

    ask: Ask
    advice_seen: Mapping[str, int]
    remark: str
    exception: ExceptionPermissions | None = None


@dataclass(frozen=True, slots=True)
class _PreparedDecision:
    """The events to store on this version of the registration, or the problem that forbids them."""

    version: int
    drafts: tuple[Draft, ...] = ()
    problem: Problem | None = None


async def decide(
    deps: CommandDeps, registration_id: str, request: DecisionRequest, command: Command[Permissions]
) -> Answer:
    """Store a person's decision. Raises Problem when a rule forbids it or another person has to decide."""

    async def attempt() -> Answer:
        prepared = await _prepare(deps, registration_id, request, command)

        async def work(session: Session) -> Answer:
            loaded = await load_visible(deps, command.caller, registration_id, session)
            await check_version(deps, command, loaded)
            if loaded.version != prepared.version:
                raise StreamMoved(f"registration {registration_id} changed while the decision was prepared")
            if prepared.problem is not None:
                raise prepared.problem
            after = await deps.store.record(
                loaded, prepared.drafts, cause=command.cause, now=command.now, session=session
            )
            return registration_answer(deps.catalogue, after, 201)

        return await run_once(deps.mongo, deps.database, command.idempotency, work)

    answer = await retry(
        attempt, what=f"decision about registration {registration_id}", retry_on=(StreamMoved,), attempts=ATTEMPTS
    )
    return await evaluate_after_commit(deps, answer, command)


async def _prepare(
    deps: CommandDeps, registration_id: str, request: DecisionRequest, command: Command[Permissions]
) -> _PreparedDecision:
    permissions = command.caller
    loaded = await load_visible(deps, permissions, registration_id)
    state = state_of(loaded)
    if state.person_id == permissions.person_id:
        problem = Problem(403, "Nobody decides about their own registration.", reason="own_registration")
        return _PreparedDecision(loaded.version, problem=problem)
    current = clearance(state, await load_inputs(deps.evaluation, state), command.now)
    exception = _exception(deps, state, current, request)
    ruling = decision(state, current, permissions.competences(state), request.ask, exception)
    if ruling.step is Step.DENIED:
        return _PreparedDecision(loaded.version, problem=_denial(deps, state, current, ruling))
    if request.ask is not Ask.REFUSE:
        outdated = _outdated_advice(current, request)
        if outdated is not None:
            return _PreparedDecision(loaded.version, problem=outdated)
    drafts = await _events(deps, state, current, ruling, request, permissions.person_id)
    return _PreparedDecision(loaded.version, drafts)


def _exception(
    deps: CommandDeps, state: Registration, current: Clearance, request: DecisionRequest
) -> OrangeException | None:
    if request.exception is None:
        return None
    attached = [document.document_id for document in state.documents]
    return exception_at_orange(deps.exceptions_at_orange, current.places, request.exception, attached)


def _denial(deps: CommandDeps, state: Registration, current: Clearance, ruling: Ruling) -> Problem:
    """The problem names the rule, the reason and whom to contact; of an override its document and reason (R17)."""
    grounds = override_in(current.advice) if ruling.rule == "R17" else None
    return Problem(
        403 if ruling.reason == Reason.NOT_YOURS else 409,
        staff_text(ruling.reason, "en", grounds),
        dutch=staff_text(ruling.reason, "nl", grounds),
        rule=ruling.rule,
        reason=str(ruling.reason),
        contact=contact_for_queue(deps.catalogue, state, ruling.who) if ruling.who is not None else None,
    )


def _outdated_advice(current: Clearance, request: DecisionRequest) -> Problem | None:
    """R10: a person approves or restores only on the current advice, and only after seeing it."""
    current_versions = {seen.country: seen.advice_version for seen in current.advice}
    if dict(request.advice_seen) == current_versions:
        return None
    differing = sorted(
        country
        for country in current_versions.keys() | request.advice_seen.keys()
        if current_versions.get(country) != request.advice_seen.get(country)
    )
    errors = [
        FieldError(
            "body.adviceSeen",
            f"is not the current advice for {country_name(country, 'en')}",
            f"is niet het huidige advies voor {country_name(country, 'nl')}",
        )
        for country in differing
    ]
    return Problem(
        409,
        "The travel advice has changed; look at the current advice and decide again.",
        rule="R10",
        reason="advice_changed",
        errors=errors,
    )


async def _events(
    deps: CommandDeps,
    state: Registration,
    current: Clearance,
    ruling: Ruling,
    request: DecisionRequest,
    decided_by: str,
) -> tuple[Draft, ...]:
    if ruling.step is Step.AGREED:
        drafts = agreement_events(state, current, ruling, decided_by)
        return tuple([await _with_remark(deps, state, draft, request.remark) for draft in drafts])
    event_id = new_id()
    remark = await seal_remark(deps, state, event_id, request.remark)
    event = _decision_event(state, current, ruling, request, decided_by, remark)
    return (Draft(event, event_id), *close_decided_tasks(state, current, ruling, decided_by))


async def _with_remark(deps: CommandDeps, state: Registration, draft: Draft, remark: str) -> Draft:
    """The same; a task that the person settled by agreeing gets the remark."""
    if not isinstance(draft.data, TaskClosed):
        return draft
    sealed_remark = await seal_remark(deps, state, draft.id, remark)
    return replace(draft, data=draft.data.model_copy(update={"remark": sealed_remark}))


async def seal_remark(deps: CommandDeps, state: Registration, event_id: str, remark: str) -> str:
    """A remark, sealed under the student's key. Raises Problem when the student was erased."""
    return await sealed(deps.keyring, state.person_id, event_id, "/remark", remark)


def _decision_event(
    state: Registration, current: Clearance, ruling: Ruling, request: DecisionRequest, decided_by: str, remark: str
) -> Event:
    fields: dict[str, Any] = {
        "registration_id": state.registration_id,
        "person_id": state.person_id,
        "reason": str(ruling.reason),
        "advice": current.advice,
        "decided_by": decided_by,
        "remark": remark,
    }
    match ruling.step:
        case Step.APPROVED:
            approval_id = state.approval_id if state.study_related else None
            return RegistrationApproved(**fields, approval_id=approval_id, exception=request.exception)
        case Step.RESTORED:
            return ClearanceRestored(**fields)
        case _:
            return RegistrationRefused(**fields, rule=ruling.rule)
