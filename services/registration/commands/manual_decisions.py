"""What a person decides about a registration: approve, refuse, restore; on the advice that they saw, or not at all.

What is known is read before the transaction; it records on exactly the version that was looked at, and a second look
follows, so that a change of advice at the same moment is not missed (DESIGN §4).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.registration.access import Permissions
from services.registration.commands.registrations import CommandDeps, contact_of, decided, shown, state_of, visible
from services.registration.decision_events import agreed, concluded
from services.registration.evaluation import ATTEMPTS, load_inputs
from services.registration.model import Registration
from services.registration.rules.clearance import Clearance, clearance
from services.registration.rules.decision import Ask, Reason, Ruling, Step, decision
from services.registration.rules.exception import OrangeException, exception_at_orange
from services.registration.texts import reason_text
from shared.bus.aggregate import Loaded
from shared.bus.outbox import StreamMoved
from shared.envelope import Cause, Draft
from shared.events import (
    ClearanceRestored,
    Event,
    ExceptionPermissions,
    RegistrationApproved,
    RegistrationRefused,
)
from shared.ids import new_id
from shared.mongo.client import Session
from shared.web.concurrency import must_match
from shared.web.idempotency import Answer, IdempotentRequest, run_once
from shared.web.problem import FieldError, Problem
from shared.web.sealing import sealed


@dataclass(frozen=True, slots=True)
class DecisionRequest:
    """What a person wants to decide, why, and the advice (country → version) that they looked at."""

    ask: Ask
    advice_seen: Mapping[str, int]
    remark: str
    exception: ExceptionPermissions | None = None


@dataclass(frozen=True, slots=True)
class _Prepared:
    """What the decision comes to on the version that was looked at: facts, or the problem that is in its way."""

    version: int
    drafts: tuple[Draft, ...] = ()
    problem: Problem | None = None


async def decide(
    deps: CommandDeps,
    permissions: Permissions,
    registration_id: str,
    asked: DecisionRequest,
    seen: int | None,
    once: IdempotentRequest | None,
    *,
    cause: Cause,
    now: datetime,
) -> Answer:
    """Record what a person decides. Raises Problem where a rule, or somebody else's matter, is in the way."""
    for _ in range(ATTEMPTS):
        prepared = await _prepare(deps, permissions, registration_id, asked, now)

        async def work(session: Session, prepared: _Prepared = prepared) -> Answer:
            loaded = await visible(deps, permissions, registration_id, session)
            must_match(seen, loaded.version)
            if loaded.version != prepared.version:
                raise StreamMoved("somebody else wrote it while it was looked at")
            if prepared.problem is not None:
                raise prepared.problem
            after = await deps.store.record(loaded, prepared.drafts, cause=cause, now=now, session=session)
            return shown(deps, after, 201)

        try:
            answer = await run_once(deps.mongo, deps.database, once, work)
        except StreamMoved:
            continue
        return await decided(deps, answer, once, cause, now)
    raise StreamMoved("a registration is being written all the time")


async def _prepare(
    deps: CommandDeps, permissions: Permissions, registration_id: str, asked: DecisionRequest, now: datetime
) -> _Prepared:
    loaded = await visible(deps, permissions, registration_id)
    state = state_of(loaded)
    if state.person_id == permissions.person_id:
        problem = Problem(403, "Nobody decides about their own registration.", reason="own_registration")
        return _Prepared(loaded.version, problem=problem)
    found = clearance(state, await load_inputs(deps.evaluation, state), now)
    ruling = decision(state, found, permissions.competences(state), asked.ask, _exception(deps, state, found, asked))
    if ruling.step is Step.DENIED:
        return _Prepared(loaded.version, problem=_denied(deps, state, ruling))
    if asked.ask is not Ask.REFUSE:
        changed = _changed(found, asked)
        if changed is not None:
            return _Prepared(loaded.version, problem=changed)
    return _Prepared(loaded.version, await _drafts(deps, permissions, loaded, found, ruling, asked))


def _exception(
    deps: CommandDeps, state: Registration, found: Clearance, asked: DecisionRequest
) -> OrangeException | None:
    if asked.exception is None:
        return None
    attached = [document.document_id for document in state.documents]
    return exception_at_orange(deps.exceptions_at_orange, found.places, asked.exception, attached)


def _denied(deps: CommandDeps, state: Registration, ruling: Ruling) -> Problem:
    """A block says which rule, why, and whom to contact."""
    return Problem(
        403 if ruling.reason == Reason.NOT_YOURS else 409,
        reason_text(ruling.reason, "en"),
        rule=ruling.rule,
        reason=str(ruling.reason),
        contact=contact_of(deps.catalogue, state, ruling.who) if ruling.who is not None else None,
    )


def _changed(found: Clearance, asked: DecisionRequest) -> Problem | None:
    """R10: decided on the advice as it is now, by somebody who has seen exactly that."""
    current = {seen.country: seen.advice_version for seen in found.advice}
    if dict(asked.advice_seen) == current:
        return None
    differing = sorted(
        country
        for country in current.keys() | asked.advice_seen.keys()
        if current.get(country) != asked.advice_seen.get(country)
    )
    errors = [FieldError("body.adviceSeen", f"is not the current advice for {country}") for country in differing]
    return Problem(409, "Look at the advice as it is now.", rule="R10", reason="advice_changed", errors=errors)


async def _drafts(
    deps: CommandDeps,
    permissions: Permissions,
    loaded: Loaded[Registration],
    found: Clearance,
    ruling: Ruling,
    asked: DecisionRequest,
) -> tuple[Draft, ...]:
    state, event_id = state_of(loaded), new_id()
    if ruling.step is Step.AGREED:
        return tuple(agreed(state, found, ruling, permissions.person_id))
    event = _event(
        state, found, ruling, asked, permissions.person_id, await remark_of(deps, state, event_id, asked.remark)
    )
    return (Draft(event, event_id), *concluded(state, found, ruling, permissions.person_id))


async def remark_of(deps: CommandDeps, state: Registration, event_id: str, remark: str) -> str:
    """A remark, sealed under the student's key. Raises Problem when the student was erased."""
    return await sealed(deps.keyring, state.person_id, event_id, "/remark", remark)


def _event(
    state: Registration, found: Clearance, ruling: Ruling, asked: DecisionRequest, decided_by: str, remark: str
) -> Event:
    common: dict[str, Any] = {
        "registration_id": state.registration_id,
        "person_id": state.person_id,
        "reason": str(ruling.reason),
        "advice": found.advice,
        "decided_by": decided_by,
        "remark": remark,
    }
    match ruling.step:
        case Step.APPROVED:
            rests_on = state.approval_id if state.study_related else None
            return RegistrationApproved(**common, approval_id=rests_on, exception=asked.exception)
        case Step.RESTORED:
            return ClearanceRestored(**common)
        case _:
            return RegistrationRefused(**common, rule=ruling.rule)
