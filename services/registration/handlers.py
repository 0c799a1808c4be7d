"""What registration does with each event from approval or safety. Idempotent: a repeated event changes nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from services.registration.decision_inputs import EvaluationDeps
from services.registration.evaluation import evaluate_all, evaluate_country
from shared.bus.inbox import Inbox
from shared.clock import utc_now
from shared.envelope import Envelope
from shared.events import (
    ApprovalEvent,
    ApprovalGranted,
    ApprovalRefused,
    ApprovalRequested,
    ApprovalReturned,
    ApprovalWithdrawn,
    Event,
    SourceChecked,
    TravelAdviceChanged,
)
from shared.mongo.client import Session
from shared.testing.failpoints import failpoint


@dataclass(frozen=True, slots=True)
class HandlerDeps:
    """What the handlers work with. `approval_group`: the consumer group that reads the approvals."""

    evaluation: EvaluationDeps
    inbox: Inbox
    approval_group: str


async def evaluate_registrations_when_approval_changed(envelope: Envelope[ApprovalEvent], deps: HandlerDeps) -> None:
    """R2: store what the programme decided, then evaluate the registrations that name the approval."""
    event, store = envelope.data, deps.evaluation.store

    async def save(session: Session) -> None:
        await store.read_models.save_approval(event, session)

    await deps.inbox.apply(deps.approval_group, envelope, save)
    # Also when it was stored before: the process may have died before it evaluated them.
    registrations = await store.naming_approval(event.approval_id)
    await evaluate_all(deps.evaluation, registrations, cause=envelope.cause(), now=utc_now())


async def evaluate_registrations_when_travel_advice_changed(
    envelope: Envelope[TravelAdviceChanged], deps: HandlerDeps
) -> None:
    """R13, R19, R21: store the advice, and only then evaluate every registration that goes to the country."""
    await deps.evaluation.store.read_models.save_advice(envelope)
    await failpoint("advice_stored")
    event = envelope.data
    await evaluate_country(deps.evaluation, event.country, event.advice_version, cause=envelope.cause(), now=utc_now())


async def save_freshness_when_source_checked(envelope: Envelope[SourceChecked], deps: HandlerDeps) -> None:
    """R14: store until when the source's advice may be trusted."""
    await deps.evaluation.store.read_models.save_source(envelope)


class Handler(Protocol):
    """A function of this module."""

    async def __call__(self, envelope: Envelope[Any], deps: HandlerDeps) -> None:
        """Handle one event."""


SUBSCRIPTIONS: Mapping[type[Event], Handler] = {
    ApprovalRequested: evaluate_registrations_when_approval_changed,
    ApprovalGranted: evaluate_registrations_when_approval_changed,
    ApprovalReturned: evaluate_registrations_when_approval_changed,
    ApprovalRefused: evaluate_registrations_when_approval_changed,
    ApprovalWithdrawn: evaluate_registrations_when_approval_changed,
    TravelAdviceChanged: evaluate_registrations_when_travel_advice_changed,
    SourceChecked: save_freshness_when_source_checked,
}
