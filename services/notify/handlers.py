"""What notify does when a fact arrives: registrations, advice, and its own. Run twice, the second changes nothing."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

from services.notify import escalation, notices, selecting
from services.notify.model.whereabouts import Resolve, Whereabouts, evolve_whereabouts
from services.notify.store.alerts import Escalated
from services.notify.store.deliveries import Fact
from services.notify.store.whereabouts import Kept, Moment, NewContact
from shared.clock import utc_now
from shared.envelope import Cause, Envelope
from shared.events import (
    AdviceReleased,
    AlertEscalated,
    Channel,
    ClearanceRestored,
    ClearanceSuspended,
    Event,
    PersonAnswered,
    PersonErased,
    RegistrationCancelled,
    RegistrationEvent,
    RegistrationSubmitted,
    ReminderDue,
    ReturnRecorded,
    SlotAllocated,
    StayContactUpdated,
    StayEnded,
    TravelAdviceChanged,
)
from shared.privacy.contact import ContactDetails
from shared.privacy.keyring import Keyring
from shared.testing.failpoints import failpoint

#: After these somebody may be in a negative place who was not there before.
MOVES = (RegistrationSubmitted, StayEnded, ReturnRecorded)
#: What these say of where somebody is can be asked for at a past time.
PLACES = (RegistrationSubmitted, RegistrationCancelled, StayEnded, ReturnRecorded)


@dataclass(frozen=True, slots=True)
class HandlerDeps:
    """What the handlers need."""

    selecting: selecting.SelectionDeps
    notices: notices.NoticeDeps
    escalating: escalation.EscalationDeps
    keyring: Keyring
    resolve: Resolve


async def keep_whereabouts_when_registrations_changed(batch: Sequence[Envelope[Event]], deps: HandlerDeps) -> None:
    """Keep who is where, and only then tell those who are in a negative place (R26) or are to be told (R19 to R25)."""
    facts = [cast("Envelope[RegistrationEvent]", each) for each in batch if isinstance(each.data, RegistrationEvent)]
    if facts:
        moved = await _keep(deps, facts)
        await failpoint("registration_stored")
        cause = Cause(facts[-1].correlationid, facts[-1].id, facts[-1].traceparent)
        if moved:
            countries = {stay.country for where in moved for stay in where.stays}
            persons = {where.person_id for where in moved}
            await selecting.select_late(deps.selecting, countries, persons, cause=cause, now=utc_now())
        await escalation.alert_new_addresses(deps.escalating, cause, utc_now())
        await _tell(deps, facts)
    for each in batch:
        if isinstance(each.data, PersonErased):
            await deps.selecting.whereabouts.erase(each.data.person_id)


async def raise_alert_when_advice_changed(envelope: Envelope[TravelAdviceChanged], deps: HandlerDeps) -> None:
    """Keep the advice, and only then look who is there (DESIGN §4, "Two streams meet")."""
    now = utc_now()
    await deps.selecting.advice.put(envelope, now)
    await failpoint("advice_stored")
    await selecting.select_everybody(deps.selecting, envelope.data.country, cause=envelope.cause(), now=now)
    await notices.create_improvement_notices(deps.notices, envelope, now)


async def release_alert_when_advice_released(envelope: Envelope[AdviceReleased], deps: HandlerDeps) -> None:
    """What a hold kept back leaves at once, or is dropped; who is there is looked at either way."""
    event, now = envelope.data, utc_now()
    await deps.selecting.advice.decide(event.country, event.hold_id, event.accepted)
    await failpoint("hold_decided")
    await selecting.select_everybody(deps.selecting, event.country, cause=envelope.cause(), now=now)


async def tell_student_when_slot_allocated(envelope: Envelope[SlotAllocated], deps: HandlerDeps) -> None:
    """R34: who moves up from the waiting list hears of it."""
    if envelope.data.promoted:
        details = await _opened(deps, envelope.data.contact)
        await notices.create_slot_notice(deps.notices, envelope, details, utc_now())


async def fold_deliveries_when_notified(batch: Sequence[Envelope[Event]], deps: HandlerDeps) -> None:
    """What notify itself said: whatever a crash kept it from noting is noted here, and answers are confirmed."""
    await deps.selecting.deliveries.fold([Fact(each.id, each.time, each.data) for each in batch])
    for each in batch:
        match each.data:
            case AlertEscalated() as event:
                await deps.selecting.alerts.note_escalated(event.alert_id, [Escalated.of(event, each.time)])
            case PersonAnswered() as answer:
                await escalation.confirm_answer(deps.escalating, answer, each.cause(), utc_now())


async def _keep(deps: HandlerDeps, facts: Sequence[Envelope[RegistrationEvent]]) -> list[Whereabouts]:
    """Fold a batch into the whereabouts; the registrations that were handed in or changed in it."""
    store = deps.selecting.whereabouts
    ids = {each.subject for each in facts}
    states: dict[str, Whereabouts | None] = dict(await store.load(ids))
    addresses = await store.addresses(ids)
    changed: dict[str, Kept] = {}
    moved: dict[str, Whereabouts] = {}
    for each in facts:
        former = states.get(each.subject)
        after = evolve_whereabouts(former, each.data, each.streamversion, each.time, deps.resolve)
        if isinstance(each.data, MOVES) and after is not None and after.version >= each.streamversion:
            # Also when it was kept before: the process may have died before it looked who is to be told.
            moved[each.subject] = after
        if after is None or after is former:
            continue
        kept = changed.get(each.subject) or Kept(after)
        kept = replace(kept, where=after)
        if isinstance(each.data, PLACES):
            kept = replace(kept, former=(*kept.former, Moment(after, each.time)))
        if isinstance(each.data, RegistrationSubmitted | StayContactUpdated):
            details = await _opened(deps, each.data.contact)
            kept = replace(kept, contact=NewContact(details))
            if details is not None:
                now_reached, before = store.fingerprints(details), addresses.get(each.subject, {})
                other = [channel for channel in Channel if before.get(channel) not in (None, now_reached[channel])]
                replaces = kept.replaces or any(before.values())
                kept = replace(kept, renewed=tuple(sorted({*kept.renewed, *other})), replaces=replaces)
                addresses[each.subject] = dict(now_reached)
        states[each.subject] = after
        changed[each.subject] = kept
    await store.put(list(changed.values()))
    return list(moved.values())


async def _opened(deps: HandlerDeps, sealed: str | None) -> ContactDetails | None:
    """Contact details of a fact; None when there are none, or the person was erased."""
    opened = await deps.keyring.open(sealed, "/contact") if sealed is not None else None
    return ContactDetails.model_validate(opened) if opened is not None else None


async def _tell(deps: HandlerDeps, facts: Sequence[Envelope[RegistrationEvent]]) -> None:
    """The service mail that these facts ask for."""
    asking = [each for each in facts if isinstance(each.data, ClearanceSuspended | ClearanceRestored | ReminderDue)]
    if not asking:
        return
    where = await deps.selecting.whereabouts.load({each.subject for each in asking})
    countries = {
        seen.country
        for each in asking
        if isinstance(each.data, ClearanceSuspended | ClearanceRestored | ReminderDue)
        for seen in each.data.advice
    }
    urls = await deps.selecting.advice.urls(sorted(countries))
    for each in asking:
        known = where.get(each.subject)
        match each.data:
            case ClearanceSuspended():
                suspended = cast("Envelope[ClearanceSuspended]", each)
                await notices.create_suspension_notices(deps.notices, suspended, known, urls, utc_now())
            case ClearanceRestored():
                restored = cast("Envelope[ClearanceRestored]", each)
                await notices.create_restoration_notice(deps.notices, restored, known, urls, utc_now())
            case ReminderDue():
                reminder = cast("Envelope[ReminderDue]", each)
                await notices.create_reminder_notice(deps.notices, reminder, known, urls, utc_now())
