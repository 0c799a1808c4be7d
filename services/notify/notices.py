"""Service mail: creates the mails that events of the other services ask for, to students, coordinators and teams.

A notice is a selection without an alert, with the id `n-<event id>:0`. The send workers send it like an alert, but
after every alert. Idempotent: the event handled twice finds the notice of the first time. Handlers call this module;
if the transaction fails, the event is retried.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Literal

from services.notify.channel_spec import NOTICE_CHANNEL
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
from services.notify.store.send_queue import NOTICE, SendJob, SendQueue, send_job
from services.notify.store.unjudged import Judging
from services.notify.store.whereabouts import WhereaboutsStore
from shared.catalogue import Catalogue, Contact, Name
from shared.clock import amsterdam_date
from shared.envelope import Cause, Envelope
from shared.events import (
    ClearanceRestored,
    ClearanceSuspended,
    Level,
    ReminderDue,
    ReminderKind,
    SlotAllocated,
    TravelAdviceChanged,
)
from shared.ids import derived_id
from shared.live_catalogue import LiveCatalogue
from shared.mongo.client import DuplicateKeyError, Mongo, Session
from shared.privacy.contact import ContactDetails

#: The language of the university's own mailboxes.
OFFICE_LANGUAGE: Literal["nl", "en"] = "nl"
REGISTRATIONS_BATCH = 400
#: Ids of notices begin with this; ids of alerts do not.
NOTICE_PREFIX = "n-"

#: R22, R24, R25, R39: each reminder has its own message.
REMINDERS: Mapping[ReminderKind, NoticeKind] = {
    ReminderKind.CHECK_ADVICE: "check_advice",
    ReminderKind.STAY_CONTACT: "stay_contact",
    ReminderKind.STILL_CORRECT: "still_correct",
    ReminderKind.SAFETY_SESSION: "safety_session",
}


@dataclass(frozen=True, slots=True)
class NoticeDeps:
    """The stores that notices are made from and stored in."""

    mongo: Mongo
    alerts: AlertStore
    send_queue: SendQueue
    live: LiveCatalogue
    whereabouts: WhereaboutsStore
    advice: AdviceStore

    @property
    def catalogue(self) -> Catalogue:
        """The catalogue as the work at hand sees it."""
        return self.live.current


async def create_suspension_notices(
    deps: NoticeDeps,
    envelope: Envelope[ClearanceSuspended],
    where: Whereabouts | None,
    urls: Mapping[str, str],
    now: datetime,
) -> None:
    """R19: tell the student not to depart, and tell the coordinator."""
    event = envelope.data
    coordinator, name = programme_contact(deps, event.faculty_id, event.programme_id)
    content = clearance_content(event, event.departure_date, name, coordinator, deps.catalogue.university, urls)
    recipients = (
        _student(event.person_id, event.registration_id, where, "clearance_suspended_student"),
        office_recipient(coordinator, "clearance_suspended_coordinator", about=event.registration_id),
    )
    await create_notice(deps, notice_id(envelope.id), "0", recipients, content, envelope.cause(), now)


async def create_restoration_notice(
    deps: NoticeDeps,
    envelope: Envelope[ClearanceRestored],
    where: Whereabouts | None,
    urls: Mapping[str, str],
    now: datetime,
) -> None:
    """R21: a person confirmed the clearance again: tell the student, with the current colours."""
    if where is None:
        return  # the registration is parked, so there is no address; the board shows the person as not assessable
    event = envelope.data
    coordinator, name = programme_contact(deps, where.faculty_id, where.programme_id)
    departure = min(stay.start_date for stay in where.stays)
    content = clearance_content(event, departure, name, coordinator, deps.catalogue.university, urls)
    student = _student(event.person_id, event.registration_id, where, "clearance_restored")
    await create_notice(deps, notice_id(envelope.id), "0", (student,), content, envelope.cause(), now)


async def create_reminder_notice(
    deps: NoticeDeps, envelope: Envelope[ReminderDue], where: Whereabouts | None, urls: Mapping[str, str], now: datetime
) -> None:
    """R22, R24, R25, R39: the reminder that is due. R22 shows the colours and when they were fetched."""
    event = envelope.data
    coordinator, name = programme_contact(deps, event.faculty_id, event.programme_id)
    content = RegistrationContent(
        **common_content(deps.catalogue.university),
        registration_id=event.registration_id,
        departure_date=event.departure_date,
        programme=name,
        places=places_seen(event.advice, urls),
        checked_at=event.checked_at,
        contact=coordinator,
    )
    student = _student(event.person_id, event.registration_id, where, REMINDERS[event.kind])
    await create_notice(deps, notice_id(envelope.id), "0", (student,), content, envelope.cause(), now)


async def create_slot_notice(
    deps: NoticeDeps, envelope: Envelope[SlotAllocated], details: ContactDetails | None, now: datetime
) -> None:
    """R34: tell a student about a slot from the waiting list. An event without contact details makes no notice."""
    event = envelope.data
    if details is None:
        return
    university = deps.catalogue.university
    placed = deps.catalogue.pools().get(event.slot_pool_id)
    office = deps.catalogue.international_office(placed.faculty_id) if placed else university.international_office
    content = SlotContent(**common_content(university), cluster=event.cluster, contact=office)
    key = f"slot-{event.approval_id}"
    await deps.whereabouts.contacts.put_without_registration(key, event.person_id, details)
    student = Recipient(
        person_id=event.person_id,
        registration_id=key,
        kind="slot_promoted",
        language=event.language,
        channels=(NOTICE_CHANNEL,),
    )
    await create_notice(deps, notice_id(envelope.id), "0", (student,), content, envelope.cause(), now)


async def create_improvement_notices(deps: NoticeDeps, envelope: Envelope[TravelAdviceChanged], now: datetime) -> None:
    """R21: tell the people who were alerted about a place, and are still there, that its advice has improved."""
    event = envelope.data
    advice = await deps.advice.get(event.country)
    if not lowers(event) or advice is None or advice.advice_version != event.advice_version:
        return
    versions = await deps.alerts.versions(event.country)
    if not versions:
        return
    before, today, improvement_id = before_change(event, advice), amsterdam_date(now), notice_id(envelope.id)
    judging = Judging()
    async for batch in deps.whereabouts.in_country(event.country, REGISTRATIONS_BATCH):
        notified = await deps.alerts.selections.past_notifications(versions, {where.person_id for where in batch})
        persons_by_place: dict[tuple[str, Level], dict[str, Whereabouts]] = defaultdict(dict)
        for where in batch:
            past = notified.get(where.person_id, ())
            better = judging.ask(where, partial(improvement, where, before, advice, past, today))
            place = better.place if better is not None else None
            if place is not None and place.level is not None:
                persons_by_place[place.area.code or place.area.area, place.level][where.person_id] = where
        for (area, level), persons in persons_by_place.items():
            already_in_notice = await deps.alerts.selections.persons_in_step(improvement_id, 1, list(persons))
            content = alert_content(advice, area, level, deps.catalogue.university)
            recipients = [
                _student(where.person_id, where.registration_id, where, "advice_improved")
                for person, where in persons.items()
                if person not in already_in_notice
            ]
            for start in range(0, len(recipients), MAX_EVENT_ENTRIES):
                part = recipients[start : start + MAX_EVENT_ENTRIES]
                name = derived_id(*(str(recipient.person_id) for recipient in part))
                await create_notice(deps, improvement_id, f"0:{name}", part, content, envelope.cause(), now)
    await deps.whereabouts.unjudged.note(judging.failed, now)


async def create_notice(
    deps: NoticeDeps,
    identity: str,
    name: str,
    recipients: Sequence[Recipient],
    content: AnyContent,
    cause: Cause,
    now: datetime,
    *,
    priority: int = NOTICE,
) -> None:
    """Store a notice and its send job; if it is stored already, change nothing. `content`: what the mail says."""
    notice = new_notice(identity, name, recipients, content, cause, now, priority=priority)

    async def store(session: Session) -> None:
        await store_new_notices(deps, [notice], now, session)

    try:
        await deps.mongo.transaction(store)
    except DuplicateKeyError:
        return  # another process created it at the same moment


async def store_new_notices(
    deps: NoticeDeps, notices: Sequence[tuple[Selection, SendJob]], now: datetime, session: Session
) -> int:
    """Store those of the notices that are not stored yet, each with its send job; how many they are."""
    known = await deps.alerts.selections.existing([selection.selection_id for selection, _ in notices], session)
    new = [notice for notice in notices if notice[0].selection_id not in known]
    if new:
        await deps.alerts.selections.insert([selection for selection, _ in new], session)
        await deps.send_queue.add([job for _, job in new], now, session)
    return len(new)


def new_notice(
    identity: str,
    name: str,
    recipients: Sequence[Recipient],
    content: AnyContent,
    cause: Cause,
    now: datetime,
    *,
    priority: int,
) -> tuple[Selection, SendJob]:
    """A notice and its send job, to be stored together."""
    selection = Selection(
        selection_id=f"{identity}:{name}",
        alert_id=identity,
        shard=0,
        late=False,
        at=now,
        recipients=RecipientColumns.from_recipients(recipients),
        facts=content.model_dump(mode="json"),
        correlation_id=cause.correlation_id,
        traceparent=cause.traceparent,
    )
    return selection, send_job(selection, NOTICE_CHANNEL, priority)


def notice_id(key: str) -> str:
    """The id of the notice with this key: an event's id, or one that is derived from what the notice says."""
    return f"{NOTICE_PREFIX}{key}"


def is_notice(alert_id: str) -> bool:
    """Whether this is the id of a notice, not of an alert."""
    return alert_id.startswith(NOTICE_PREFIX)


def office_recipient(contact: Contact, kind: NoticeKind, about: str | None = None) -> Recipient:
    """A mailbox of the university as the recipient of a notice. `about`: the registration of the student it names."""
    return Recipient(
        person_id=None,
        registration_id=None,
        kind=kind,
        language=OFFICE_LANGUAGE,
        channels=(NOTICE_CHANNEL,),
        mailbox=contact.email,
        called=contact.function,
        about=about,
    )


def _student(person_id: str, registration_id: str, where: Whereabouts | None, kind: NoticeKind) -> Recipient:
    return Recipient(
        person_id=person_id,
        registration_id=registration_id,
        kind=kind,
        language=where.language if where else "en",
        channels=(NOTICE_CHANNEL,),
    )


def programme_contact(deps: NoticeDeps, faculty_id: str, programme_id: str) -> tuple[Contact, Name]:
    """The coordinator of a programme, and its name; the International Office if the catalogue does not know it."""
    programme = deps.catalogue.programme_today(programme_id)
    if programme is None:
        return deps.catalogue.university.international_office, Name(nl=programme_id, en=programme_id)
    return programme.coordinator, programme.name
