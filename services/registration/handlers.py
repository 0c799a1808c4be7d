"""What registration does with each event from approval or safety. Idempotent: a repeated event changes nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

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
    ApprovalRevoked,
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


async def evaluate_registrations_when_approvals_changed(envelopes: Sequence[Envelope[Any]], deps: HandlerDeps) -> None:
    """R2: store what the programmes decided, then evaluate the registrations that name one of these approvals.

    For a whole batch, because programmes grant many at a time; each decision keeps the event that caused it.
    """
    store = deps.evaluation.store

    async def save(session: Session, new: Sequence[Envelope[Event]]) -> None:
        await store.read_models.save_approvals(_approval_events(new), session)

    await deps.inbox.apply_all(deps.approval_group, envelopes, save)
    await failpoint("approvals_stored")
    # Also those that were stored before: the process may have died before it evaluated them.
    causes = {envelope.data.approval_id: envelope.cause() for envelope in envelopes if type(envelope.data) in APPROVALS}
    registrations = await store.naming_approvals(sorted(causes))
    own_causes = {
        loaded.id: causes[loaded.state.approval_id]
        for loaded in registrations
        if loaded.state is not None and loaded.state.approval_id is not None
    }
    await evaluate_all(deps.evaluation, registrations, cause=own_causes, now=utc_now())


def _approval_events(envelopes: Sequence[Envelope[Event]]) -> list[Envelope[ApprovalEvent]]:
    return [cast("Envelope[ApprovalEvent]", envelope) for envelope in envelopes if type(envelope.data) in APPROVALS]


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


#: What `evaluate_registrations_when_approvals_changed` follows; other events of the topic leave an approval as it is.
APPROVALS: frozenset[type[Event]] = frozenset(
    {ApprovalRequested, ApprovalGranted, ApprovalReturned, ApprovalRefused, ApprovalWithdrawn, ApprovalRevoked}
)

SUBSCRIPTIONS: Mapping[type[Event], Handler] = {
    TravelAdviceChanged: evaluate_registrations_when_travel_advice_changed,
    SourceChecked: save_freshness_when_source_checked,
}
