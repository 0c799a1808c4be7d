"""Service mail: what the other services' facts ask a student, a coordinator or a team to be told. By email alone.

A notice is a selection of its own, `n-<event id>:0`: the same engine sends it, behind every alert.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from services.notify.columns.recipient_columns import Recipient, RecipientColumns
from services.notify.messages.content import (
    AnyContent,
    NoticeKind,
    RegistrationContent,
    SlotContent,
    alert_content,
    clearance_content,
    common_content,
    places_seen,
)
from services.notify.model.shards import MAX_EVENT_ENTRIES
from services.notify.model.whereabouts import Whereabouts
from services.notify.rules.improvement import before_change, improvement, lowers
from services.notify.store.advice import AdviceStore
from services.notify.store.alerts import AlertStore
from services.notify.store.selections import Selection
from services.notify.store.send_queue import NOTICE, SendQueue, send_job
from services.notify.store.whereabouts import WhereaboutsStore
from shared.catalogue import Catalogue, Contact, Name
from shared.clock import amsterdam_date
from shared.envelope import Cause, Envelope
from shared.events import (
    Channel,
    ClearanceRestored,
    ClearanceSuspended,
    Level,
    ReminderDue,
    ReminderKind,
    SlotAllocated,
    TravelAdviceChanged,
)
from shared.ids import derived_id
from shared.mongo.client import DuplicateKeyError, Mongo, Session
from shared.privacy.contact import ContactDetails

#: The language of the university's own mailboxes.
OFFICE_LANGUAGE: Literal["nl", "en"] = "nl"
READ_AT_ONCE = 400

#: R22, R24, R25, R39: each reminder has its own message.
REMINDERS: Mapping[ReminderKind, NoticeKind] = {
    ReminderKind.CHECK_ADVICE: "check_advice",
    ReminderKind.STAY_CONTACT: "stay_contact",
    ReminderKind.STILL_CORRECT: "still_correct",
    ReminderKind.SAFETY_SESSION: "safety_session",
}


@dataclass(frozen=True, slots=True)
class NoticeDeps:
    """Where notices get their facts and leave their work."""

    mongo: Mongo
    alerts: AlertStore
    send_queue: SendQueue
    catalogue: Catalogue
    whereabouts: WhereaboutsStore
    advice: AdviceStore


async def create_suspension_notices(
    deps: NoticeDeps,
    envelope: Envelope[ClearanceSuspended],
    where: Whereabouts | None,
    urls: Mapping[str, str],
    now: datetime,
) -> None:
    """R19: the student is told not to go, and the coordinator is told as well; met again, nothing happens."""
    event = envelope.data
    coordinator, name = _programme(deps, event.faculty_id, event.programme_id)
    facts = clearance_content(event, event.departure_date, name, coordinator, deps.catalogue.university, urls)
    recipients = (
        _student(event.person_id, event.registration_id, where, "clearance_suspended_student"),
        office_recipient(coordinator, "clearance_suspended_coordinator"),
    )
    await create_notice(deps, f"n-{envelope.id}", "0", recipients, facts, envelope.cause(), now)


async def create_restoration_notice(
    deps: NoticeDeps,
    envelope: Envelope[ClearanceRestored],
    where: Whereabouts | None,
    urls: Mapping[str, str],
    now: datetime,
) -> None:
    """R21: a person confirmed the clearance: the student may depart again, and sees today's colours."""
    if where is None:
        return  # nobody to write to: whatever was registered is parked, and the board says so
    event = envelope.data
    coordinator, name = _programme(deps, where.faculty_id, where.programme_id)
    departure = min(stay.start_date for stay in where.stays)
    facts = clearance_content(event, departure, name, coordinator, deps.catalogue.university, urls)
    student = _student(event.person_id, event.registration_id, where, "clearance_restored")
    await create_notice(deps, f"n-{envelope.id}", "0", (student,), facts, envelope.cause(), now)


async def create_reminder_notice(
    deps: NoticeDeps, envelope: Envelope[ReminderDue], where: Whereabouts | None, urls: Mapping[str, str], now: datetime
) -> None:
    """R22, R24, R25, R39: the reminder that is due; R22 with the colours and when they were fetched."""
    event = envelope.data
    coordinator, name = _programme(deps, event.faculty_id, event.programme_id)
    facts = RegistrationContent(
        **common_content(deps.catalogue.university),
        registration_id=event.registration_id,
        departure_date=event.departure_date,
        programme=name,
        places=places_seen(event.advice, urls),
        checked_at=event.checked_at,
        contact=coordinator,
    )
    student = _student(event.person_id, event.registration_id, where, REMINDERS[event.kind])
    await create_notice(deps, f"n-{envelope.id}", "0", (student,), facts, envelope.cause(), now)


async def create_slot_notice(
    deps: NoticeDeps, envelope: Envelope[SlotAllocated], details: ContactDetails | None, now: datetime
) -> None:
    """R34: a place from the waiting list. Without contact details in the fact there is nobody to write to."""
    event = envelope.data
    if details is None:
        return
    university = deps.catalogue.university
    facts = SlotContent(**common_content(university), cluster=event.cluster, contact=university.international_office)
    key = f"slot-{event.approval_id}"
    await deps.whereabouts.contacts.put_without_registration(key, event.person_id, details)
    student = Recipient(
        person_id=event.person_id,
        registration_id=key,
        kind="slot_promoted",
        language=event.language,
        channels=(Channel.EMAIL,),
    )
    await create_notice(deps, f"n-{envelope.id}", "0", (student,), facts, envelope.cause(), now)


async def create_improvement_notices(deps: NoticeDeps, envelope: Envelope[TravelAdviceChanged], now: datetime) -> None:
    """R21: who was told that a place is negative, and is there still, hears that it is better."""
    event = envelope.data
    advice = await deps.advice.get(event.country)
    if not lowers(event) or advice is None or advice.advice_version != event.advice_version:
        return
    versions = await deps.alerts.versions(event.country)
    if not versions:
        return
    before, today, alert_id = before_change(event, advice), amsterdam_date(now), f"n-{envelope.id}"
    async for batch in deps.whereabouts.in_country(event.country, READ_AT_ONCE):
        told = await deps.alerts.selections.past_notifications(versions, {each.person_id for each in batch})
        groups: dict[tuple[str, Level], dict[str, Whereabouts]] = defaultdict(dict)
        for each in batch:
            place = improvement(each, before, advice, told.get(each.person_id, ()), today).place
            if place is not None and place.level is not None:
                groups[place.area.code or place.area.area, place.level][each.person_id] = each
        for (area, level), persons in groups.items():
            already = await deps.alerts.selections.persons_in_step(alert_id, 1, list(persons))
            facts = alert_content(advice, area, level, deps.catalogue.university)
            left = [
                _student(where.person_id, where.registration_id, where, "advice_improved")
                for person, where in persons.items()
                if person not in already
            ]
            for first in range(0, len(left), MAX_EVENT_ENTRIES):
                part = left[first : first + MAX_EVENT_ENTRIES]
                name = derived_id(*(str(each.person_id) for each in part))
                await create_notice(deps, alert_id, f"0:{name}", part, facts, envelope.cause(), now)


async def create_notice(
    deps: NoticeDeps,
    alert_id: str,
    name: str,
    recipients: Sequence[Recipient],
    facts: AnyContent,
    cause: Cause,
    now: datetime,
    *,
    priority: int = NOTICE,
) -> None:
    """Keep a notice and the work of sending it; what was made already is met again."""
    selection = Selection(
        selection_id=f"{alert_id}:{name}",
        alert_id=alert_id,
        shard=0,
        late=False,
        at=now,
        recipients=RecipientColumns.from_recipients(recipients),
        facts=facts.model_dump(mode="json"),
        correlation_id=cause.correlation_id,
        traceparent=cause.traceparent,
    )
    job = send_job(selection, Channel.EMAIL, priority)

    async def work(session: Session) -> None:
        if await deps.alerts.selections.existing([selection.selection_id], session):
            return
        await deps.alerts.selections.insert([selection], session)
        await deps.send_queue.add([job], now, session)

    try:
        await deps.mongo.transaction(work)
    except DuplicateKeyError:
        return  # another member of the group made it in this moment


def office_recipient(contact: Contact, kind: NoticeKind) -> Recipient:
    """A function of the university as the recipient of a notice."""
    return Recipient(
        person_id=None,
        registration_id=None,
        kind=kind,
        language=OFFICE_LANGUAGE,
        channels=(Channel.EMAIL,),
        mailbox=contact.email,
        called=contact.function,
    )


def _student(person_id: str, registration_id: str, where: Whereabouts | None, kind: NoticeKind) -> Recipient:
    return Recipient(
        person_id=person_id,
        registration_id=registration_id,
        kind=kind,
        language=where.language if where else "en",
        channels=(Channel.EMAIL,),
    )


def _programme(deps: NoticeDeps, faculty_id: str, programme_id: str) -> tuple[Contact, Name]:
    """Who coordinates a programme, and its name; the International Office where the catalogue has no such one."""
    programme = deps.catalogue.programme(faculty_id, programme_id)
    if programme is None:
        return deps.catalogue.university.international_office, Name(nl=programme_id, en=programme_id)
    return programme.coordinator, programme.name
