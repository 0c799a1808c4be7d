"""What registration does when a fact arrives from approval or safety. Run twice, the second changes nothing."""

from services.registration.reconsideration import Desk, follow_advice, reconsider_all
from shared.bus.inbox import Inbox
from shared.clock import utc_now
from shared.envelope import Envelope
from shared.events import ApprovalEvent, SourceChecked, TravelAdviceChanged
from shared.mongo.client import Session
from shared.testing.failpoints import failpoint


async def reconsider_registrations_when_approval_changed(
    envelope: Envelope[ApprovalEvent], desk: Desk, inbox: Inbox, group: str
) -> None:
    """R2: keep what the programme said, then look again at the registrations that name it."""
    event = envelope.data

    async def keep(session: Session) -> None:
        await desk.store.put_approval(event, session)

    await inbox.apply(group, envelope, keep)
    # Also when it had been kept before: the process may have died between the two.
    naming = await desk.store.naming(event.approval_id)
    await reconsider_all(desk, naming, cause=envelope.cause(), now=utc_now())


async def follow_travel_advice_when_changed(envelope: Envelope[TravelAdviceChanged], desk: Desk) -> None:
    """R13, R19, R21: keep the advice, and only then look at every registration that goes there."""
    await desk.store.put_advice(envelope)
    await failpoint("advice_stored")
    event = envelope.data
    await follow_advice(desk, event.country, event.advice_version, cause=envelope.cause(), now=utc_now())


async def keep_freshness_when_source_checked(envelope: Envelope[SourceChecked], desk: Desk) -> None:
    """R14: until when the source's advice may be trusted."""
    await desk.store.put_source(envelope)
