"""Plans service mail when events arrive. Idempotent: an event that is handled again plans the same mails.

Handlers call this module after the event's own state is stored; if it fails, the event is delivered again.
"""

from collections.abc import Sequence

from services.notify.model.office_cases import case_changes
from services.notify.model.requests import Request, evolve_request
from services.notify.rules.service_mail import plan_mails
from services.notify.service_mail.deps import ServiceMailDeps
from services.notify.store.requests import contact_key
from services.notify.whereabouts_projection import open_contact
from shared.envelope import Envelope
from shared.events import ApprovalEvent, ApprovalRequested, Event
from shared.privacy.contact import ContactDetails
from shared.privacy.keyring import Keyring


async def project_requests(
    deps: ServiceMailDeps, envelopes: Sequence[Envelope[ApprovalEvent]], keyring: Keyring
) -> None:
    """Store the requests after a batch of events, and how to reach the students who asked."""
    requests = await deps.requests.load({envelope.data.approval_id for envelope in envelopes})
    changed: dict[str, Request] = {}
    contacts: list[tuple[str, str, ContactDetails]] = []
    for envelope in envelopes:
        event = envelope.data
        before = requests.get(event.approval_id)
        after = evolve_request(before, event, envelope.streamversion)
        if isinstance(event, ApprovalRequested):
            details = await open_contact(keyring, event.contact)
            if details is not None:
                contacts.append((contact_key(event.approval_id), event.person_id, details))
        if after is not None and after is not before:
            requests[event.approval_id] = changed[event.approval_id] = after
    await deps.notices.whereabouts.contacts.put_all_without_registration(contacts)
    await deps.requests.put(changed)


async def plan_service_mail(deps: ServiceMailDeps, envelopes: Sequence[Envelope[Event]]) -> None:
    """Store the mails that the events ask for, end those that they make untrue, and keep the cases of offices."""
    await deps.planned.put(
        (envelope.subject, envelope.streamversion, plan)
        for envelope in envelopes
        if (plan := plan_mails(envelope.data, envelope.id, envelope.streamversion, envelope.time, deps.policy)).is_any
    )
    await note_cases(deps, envelopes)


async def note_cases(deps: ServiceMailDeps, envelopes: Sequence[Envelope[Event]]) -> None:
    """Open and close the cases of offices that the events are about."""
    await deps.cases.apply(
        [
            change
            for envelope in envelopes
            for change in case_changes(envelope.data, envelope.streamversion, envelope.time)
        ]
    )
