"""What notify does when an event arrives: registrations, advice, slots, and its own events.

The bus calls these functions, at least once for each event. Every one of them is idempotent. When one raises a
temporary error, the bus delivers the event again; after any other error the event goes to the dead-letter topic.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from services.notify import follow_ups, notices
from services.notify.alert_steps import EscalationDeps
from services.notify.audience.alerting import alert_arrivals, alert_country
from services.notify.audience.deps import SelectionDeps
from services.notify.model.escalations import EscalationRecord
from services.notify.model.owners import owner_records
from services.notify.model.senders import ConfirmedSender
from services.notify.model.whereabouts import Resolve
from services.notify.service_mail.deps import ServiceMailDeps
from services.notify.service_mail.planning import note_cases, plan_service_mail, project_requests
from services.notify.store.callbacks import TO_BE_READ
from services.notify.store.deliveries import DeliveryStore, StoredEvent
from services.notify.whereabouts_projection import ARRIVALS, open_contact, project_whereabouts
from shared.clock import utc_now
from shared.envelope import Cause, Envelope
from shared.events import (
    AdviceHeld,
    AdviceReleased,
    AlertEscalated,
    AlertEvent,
    ApprovalEvent,
    ClearanceRestored,
    ClearanceSuspended,
    Event,
    PersonAnswered,
    PersonErased,
    RecipientsHandedOver,
    RegistrationEvent,
    ReminderDue,
    ReplySenderConfirmed,
    SlotAllocated,
    SourceChecked,
    SourceFailed,
    TravelAdviceChanged,
)
from shared.privacy.keyring import Keyring
from shared.testing.failpoints import failpoint


@dataclass(frozen=True, slots=True)
class HandlerDeps:
    """What the handlers need. `resolve`: country and place as written → region, where it is certain (R16)."""

    selection: SelectionDeps
    notices: notices.NoticeDeps
    escalation: EscalationDeps
    deliveries: DeliveryStore
    service_mail: ServiceMailDeps
    keyring: Keyring
    resolve: Resolve


async def project_whereabouts_when_registrations_changed(batch: Sequence[Envelope[Event]], deps: HandlerDeps) -> None:
    """Store where everyone is; only then look at the advice there (R26), at new addresses, and at service mail."""
    events = [
        cast("Envelope[RegistrationEvent]", event) for event in batch if isinstance(event.data, RegistrationEvent)
    ]
    if events:
        arrivals = await project_whereabouts(deps.selection.whereabouts, events, deps.keyring, deps.resolve)
        await failpoint("registration_stored")
        cause = _newest_cause(events)
        if arrivals:
            countries = {stay.country for where in arrivals for stay in where.stays}
            persons = {where.person_id for where in arrivals}
            await alert_arrivals(deps.selection, countries, persons, cause=cause, now=utc_now())
        await follow_ups.alert_new_addresses(deps.escalation, cause, utc_now())
        await _create_notices(deps, events)
        await plan_service_mail(deps.service_mail, events)
    for event in batch:
        if isinstance(event.data, PersonErased):
            await deps.selection.whereabouts.contacts.erase(event.data.person_id)


def _newest_cause(events: Sequence[Envelope[RegistrationEvent]]) -> Cause:
    """The newest event of an arrival, else the newest of all: a batch may end with an event that the clock brought."""
    arrivals = [event for event in events if isinstance(event.data, ARRIVALS)]
    return (arrivals or events)[-1].cause()


async def raise_alert_when_advice_changed(envelope: Envelope[TravelAdviceChanged], deps: HandlerDeps) -> None:
    """Store the advice; only then look who is there (docs/architecture.md, Two streams meet)."""
    now = utc_now()
    await deps.selection.advice.put(envelope, now)
    await failpoint("advice_stored")
    await alert_country(deps.selection, envelope.data.country, cause=envelope.cause(), now=now)
    await notices.create_improvement_notices(deps.notices, envelope, now)


async def release_alert_when_advice_released(envelope: Envelope[AdviceReleased], deps: HandlerDeps) -> None:
    """An accepted hold counts from now on, a rejected one never; either way look who is there."""
    event, now = envelope.data, utc_now()
    await note_cases(deps.service_mail, [envelope])
    await deps.selection.advice.decide(event.country, event.hold_id, event.accepted)
    await failpoint("hold_decided")
    await alert_country(deps.selection, event.country, cause=envelope.cause(), now=now)


async def note_case_when_source_or_hold_changed(envelope: Envelope[Event], deps: HandlerDeps) -> None:
    """A held change, or a source that cannot be read, is a case for the safety officers until it is settled."""
    await note_cases(deps.service_mail, [envelope])


async def project_requests_when_approvals_changed(batch: Sequence[Envelope[Event]], deps: HandlerDeps) -> None:
    """Store what mail about requests says; only then plan that mail. R34: mail to students who get a slot."""
    events = [cast("Envelope[ApprovalEvent]", event) for event in batch if isinstance(event.data, ApprovalEvent)]
    if events:
        await project_requests(deps.service_mail, events, deps.keyring)
        await plan_service_mail(deps.service_mail, events)
    for event in batch:
        if isinstance(event.data, SlotAllocated):
            await notify_student_when_slot_allocated(cast("Envelope[SlotAllocated]", event), deps)


async def notify_student_when_slot_allocated(envelope: Envelope[SlotAllocated], deps: HandlerDeps) -> None:
    """R34: mail to a student who moves up from the waiting list."""
    if envelope.data.promoted:
        details = await open_contact(deps.keyring, envelope.data.contact)
        await notices.create_slot_notice(deps.notices, envelope, details, utc_now())


async def fold_own_events_when_published(batch: Sequence[Envelope[Event]], deps: HandlerDeps) -> None:
    """Fold notify's own events again, so that a crash after the event loses nothing; confirm answers by mail."""
    await deps.deliveries.fold([StoredEvent(event.id, event.time, event.data) for event in batch])
    for event in batch:
        match event.data:
            case AlertEscalated() as escalated:
                record = EscalationRecord.of(escalated, event.time)
                await deps.selection.alerts.escalations.add(escalated.alert_id, [record])
            case RecipientsHandedOver() as handed_over:
                records = owner_records(handed_over, event.time)
                await deps.selection.alerts.owners.add(handed_over.alert_id, records)
            case ReplySenderConfirmed() as confirmed:
                sender = ConfirmedSender.of(confirmed, event.time)
                await deps.selection.alerts.senders.add(confirmed.reply_id, sender)
                await deps.service_mail.callbacks.process_again(confirmed.reply_id, TO_BE_READ)
            case PersonAnswered() as answered:
                await follow_ups.confirm_answer(deps.escalation, answered, event.cause(), utc_now())
    await note_cases(deps.service_mail, batch)


async def _create_notices(deps: HandlerDeps, events: Sequence[Envelope[RegistrationEvent]]) -> None:
    """The service mail that these events ask for (R19, R21, R22, R24, R25, R39)."""
    asking = [event for event in events if isinstance(event.data, ClearanceSuspended | ClearanceRestored | ReminderDue)]
    if not asking:
        return
    whereabouts = await deps.selection.whereabouts.load({event.subject for event in asking})
    countries = {
        seen.country
        for event in asking
        if isinstance(event.data, ClearanceSuspended | ClearanceRestored | ReminderDue)
        for seen in event.data.advice
    }
    urls = await deps.selection.advice.urls(sorted(countries))
    for event in asking:
        where = whereabouts.get(event.subject)
        match event.data:
            case ClearanceSuspended():
                suspended = cast("Envelope[ClearanceSuspended]", event)
                await notices.create_suspension_notices(deps.notices, suspended, where, urls, utc_now())
            case ClearanceRestored():
                restored = cast("Envelope[ClearanceRestored]", event)
                await notices.create_restoration_notice(deps.notices, restored, where, urls, utc_now())
            case ReminderDue():
                reminder = cast("Envelope[ReminderDue]", event)
                await notices.create_reminder_notice(deps.notices, reminder, where, urls, utc_now())


#: Handlers of single events: event → handler.
SUBSCRIPTIONS: Mapping[type[Event], Callable[[Envelope[Any], HandlerDeps], Awaitable[None]]] = {
    TravelAdviceChanged: raise_alert_when_advice_changed,
    AdviceReleased: release_alert_when_advice_released,
    AdviceHeld: note_case_when_source_or_hold_changed,
    SourceFailed: note_case_when_source_or_hold_changed,
    SourceChecked: note_case_when_source_or_hold_changed,
}
#: Handlers of batches: topic → handler. An event waits behind a parked one of its stream; own events do not.
PROJECTIONS: Mapping[str, Callable[[Sequence[Envelope[Event]], HandlerDeps], Awaitable[None]]] = {
    ApprovalEvent.topic: project_requests_when_approvals_changed,
    RegistrationEvent.topic: project_whereabouts_when_registrations_changed,
    AlertEvent.topic: fold_own_events_when_published,
}
