"""What registration does when a fact arrives from approval or safety. Run twice, the second changes nothing."""

from services.registration.evaluation import EvaluationDeps, evaluate_all, evaluate_country
from shared.bus.inbox import Inbox
from shared.clock import utc_now
from shared.envelope import Envelope
from shared.events import ApprovalEvent, SourceChecked, TravelAdviceChanged
from shared.mongo.client import Session
from shared.testing.failpoints import failpoint


async def evaluate_registrations_when_approval_changed(
    envelope: Envelope[ApprovalEvent], deps: EvaluationDeps, inbox: Inbox, group: str
) -> None:
    """R2: keep what the programme said, then look again at the registrations that name it."""
    event = envelope.data

    async def keep(session: Session) -> None:
        await deps.store.save_approval(event, session)

    await inbox.apply(group, envelope, keep)
    # Also when it had been kept before: the process may have died between the two.
    naming_approval = await deps.store.naming_approval(event.approval_id)
    await evaluate_all(deps, naming_approval, cause=envelope.cause(), now=utc_now())


async def evaluate_registrations_when_travel_advice_changed(
    envelope: Envelope[TravelAdviceChanged], deps: EvaluationDeps
) -> None:
    """R13, R19, R21: keep the advice, and only then look at every registration that goes there."""
    await deps.store.save_advice(envelope)
    await failpoint("advice_stored")
    event = envelope.data
    await evaluate_country(deps, event.country, event.advice_version, cause=envelope.cause(), now=utc_now())


async def save_freshness_when_source_checked(envelope: Envelope[SourceChecked], deps: EvaluationDeps) -> None:
    """R14: until when the source's advice may be trusted."""
    await deps.store.save_source(envelope)
