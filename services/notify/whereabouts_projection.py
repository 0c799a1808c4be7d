"""Folds registration events into the whereabouts: where each person is and when, and how to reach them.

Idempotent: each document is guarded by the version of its registration, so an event that comes again changes nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from services.notify.model.whereabouts import Resolve, Whereabouts, evolve_whereabouts
from services.notify.store.whereabouts import NewContact, PastState, WhereaboutsStore, WhereaboutsUpdate
from shared.envelope import Envelope
from shared.events import (
    Channel,
    RegistrationCancelled,
    RegistrationChanged,
    RegistrationEvent,
    RegistrationSubmitted,
    ReturnRecorded,
    StayContactUpdated,
    StayEnded,
)
from shared.privacy.contact import ContactDetails, StudentContact
from shared.privacy.keyring import Keyring

#: After these a person may be in a negative place who was not there before.
ARRIVALS = (RegistrationSubmitted, StayEnded, ReturnRecorded)
#: These change where a person is. The state after each of them is stored, for questions about the past.
ITINERARY_CHANGES = (RegistrationSubmitted, RegistrationCancelled, StayEnded, ReturnRecorded)


async def project_whereabouts(
    store: WhereaboutsStore, events: Sequence[Envelope[RegistrationEvent]], keyring: Keyring, resolve: Resolve
) -> list[Whereabouts]:
    """Store the whereabouts after a batch of events. Returns those whose person may have arrived in a negative place.

    They are returned again when the event comes again: a crash may have come before anyone looked at their advice.
    """
    registrations = {event.subject for event in events}
    states: dict[str, Whereabouts | None] = dict(await store.load(registrations))
    addresses = await store.contacts.fingerprints_of(registrations)
    students = await store.contacts.students({event.subject for event in events if _adds_to_contact(event)})
    updates: dict[str, WhereaboutsUpdate] = {}
    arrivals: dict[str, Whereabouts] = {}
    for event in events:
        before = states.get(event.subject)
        after = evolve_whereabouts(before, event.data, event.streamversion, event.time, resolve)
        if isinstance(event.data, ARRIVALS) and after is not None and after.version >= event.streamversion:
            arrivals[event.subject] = after
        if after is None or after is before:
            continue
        update = replace(updates.get(event.subject) or WhereaboutsUpdate(after), where=after)
        if isinstance(event.data, ITINERARY_CHANGES):
            update = replace(update, states=(*update.states, PastState(after, event.time)))
        if isinstance(event.data, RegistrationSubmitted | StayContactUpdated):
            details = await open_contact(keyring, event.data.contact)
            student = _student_contact(students.get(event.subject), event.data, details)
            update = replace(update, contact=NewContact(student))
            if student is None:
                students.pop(event.subject, None)
            else:
                students[event.subject] = student
                former, current = addresses.get(event.subject, {}), store.contacts.fingerprints(student.reached_at)
                update = _with_changed_addresses(update, former, current)
                addresses[event.subject] = dict(current)
        states[event.subject] = after
        updates[event.subject] = update
    await store.put(list(updates.values()))
    return list(arrivals.values())


def _adds_to_contact(event: Envelope[RegistrationEvent]) -> bool:
    """Whether the event's contact details join stored ones; those of a first submission join none."""
    return isinstance(event.data, RegistrationChanged | StayContactUpdated)


def _student_contact(
    former: StudentContact | None, event: RegistrationSubmitted | StayContactUpdated, details: ContactDetails | None
) -> StudentContact | None:
    """Both contact details after an event with these details. A changed registration leaves those of the stay alone."""
    if details is None:
        return None
    if isinstance(event, RegistrationSubmitted):
        return replace(former, registered=details) if former is not None else StudentContact(details)
    return StudentContact(former.registered if former is not None else details, details, event.given)


async def open_contact(keyring: Keyring, sealed: str | None) -> ContactDetails | None:
    """The contact details in an event. None when the event has none, or when the person was erased."""
    opened = await keyring.open(sealed, "/contact") if sealed is not None else None
    return ContactDetails.model_validate(opened) if opened is not None else None


def _with_changed_addresses(
    update: WhereaboutsUpdate, former: Mapping[Channel, str | None], current: Mapping[Channel, str]
) -> WhereaboutsUpdate:
    """The update with the channels over which the person is reached at another address than before."""
    changed = [channel for channel in Channel if former.get(channel) not in (None, current[channel])]
    return replace(
        update,
        changed_channels=tuple(sorted({*update.changed_channels, *changed})),
        replaces_contact=update.replaces_contact or any(former.values()),
    )
