"""Rebuilds notify's selections person by person: the recipients of alerts, and of mail that events request."""

from collections.abc import AsyncIterator, Iterator, Mapping

from services.notify.columns.recipient_columns import NO_PERSON, Recipient
from services.notify.notices import REMINDERS
from services.notify.store.selections import PROJECTION, Selection
from services.passage.projections.projection import DocumentProjection, by_group, shard_group
from shared.audit.evidence import Evidence
from shared.events import Channel, ClearanceSuspended, RecipientsSelected, ReminderDue
from shared.events import Recipient as RecipientEntry
from shared.mongo.client import Collection, Document

_STUDENT, _COORDINATOR = "clearance_suspended_student", "clearance_suspended_coordinator"
#: Service mail that follows from an event alone (R19, R22, R24, R25, R39). Other mail depends on notify's own state.
_REQUESTED = frozenset({_STUDENT, _COORDINATOR, *REMINDERS.values()})


def requested_mails(evidence: Evidence) -> tuple[str, dict[str, Document]]:
    """The id of the notice for an event, and the mails that the event requests, by recipient."""
    match evidence.data:
        case ClearanceSuspended() as event:
            mails = [_mail(event.person_id, event.registration_id, _STUDENT), _mail(None, None, _COORDINATOR)]
        case ReminderDue() as event:
            mails = [_mail(event.person_id, event.registration_id, REMINDERS[event.kind])]
        case _:
            mails = []
    return f"n-{evidence.id}", {mail["personId"] or NO_PERSON: mail for mail in mails}


def _of_selections(evidence: Evidence) -> Mapping[str, Document]:
    event = evidence.data
    if isinstance(event, RecipientsSelected):
        group, common = shard_group(event.alert_id, event.shard), {"late": event.late, "at": evidence.at}
        return {
            f"{group}#{event.alert_id}:{recipient.person_id}": {**_entry(recipient), **common}
            for recipient in event.recipients
        }
    notice, mails = requested_mails(evidence)
    return {f"{shard_group(notice, 0)}#{notice}:{person}": mail for person, mail in mails.items()}


def _entry(recipient: RecipientEntry) -> Document:
    """Without the registration: the event names the evaluated one, the columns the one whose address is used."""
    return recipient.model_dump(mode="json", by_alias=True, exclude={"registration_id"})


def _mail(person_id: str | None, registration_id: str | None, kind: str) -> Document:
    return {"personId": person_id, "registrationId": registration_id, "kind": kind, "channels": [Channel.EMAIL.value]}


def _selected(_: Document | None, __: Evidence, entry: Document) -> Document:
    return entry


async def _groups(collection: Collection) -> AsyncIterator[tuple[str, Mapping[str, Document]]]:
    """The recipients of every selection of step 1, shard by shard; later escalation steps repeat the same people."""
    documents = collection.find({"step": 1}, PROJECTION).sort([("alertId", 1), ("shard", 1)])
    async for document in documents:
        selection = Selection.read(document)
        yield shard_group(selection.alert_id, selection.shard), dict(_recipients(selection))


def _recipients(selection: Selection) -> Iterator[tuple[str, Document]]:
    for recipient in selection.recipients:
        name = f"{selection.alert_id}:{recipient.who}"
        if selection.facts is None:
            yield name, _of_alert(selection, recipient)
        elif recipient.kind in _REQUESTED:
            yield name, _mail(recipient.person_id, recipient.registration_id, recipient.kind)


def _of_alert(selection: Selection, recipient: Recipient) -> Document:
    return {
        "personId": recipient.person_id,
        "registrationVersion": recipient.registration_version,
        "reason": recipient.reason,
        "area": recipient.area,
        "level": recipient.level,
        "channels": [channel.value for channel in recipient.channels],
        "presence": recipient.presence.value,
        "late": selection.late,
        "at": selection.at,
    }


def _live(collection: Collection) -> AsyncIterator[Document]:
    return by_group(_groups(collection))


SELECTIONS = DocumentProjection(_of_selections, _selected, live=_live)
