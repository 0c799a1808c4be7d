"""Notify: who is in the selections of an alert, and in the service mail that facts ask for, person by person."""

from collections.abc import AsyncIterator, Iterator, Mapping

from services.notify.columns.recipient_columns import NO_PERSON, Recipient
from services.notify.notices import REMINDERS
from services.notify.store.selections import PROJECTION, Selection
from services.passage.projections.projection import Item, by_place, shard_place
from shared.audit.evidence import Evidence
from shared.events import Channel, ClearanceSuspended, RecipientsSelected, ReminderDue
from shared.events import Recipient as RecipientEntry
from shared.mongo.client import Collection, Document

_STUDENT, _COORDINATOR = "clearance_suspended_student", "clearance_suspended_coordinator"
#: Service mail that every fact of its kind asks for (R19, R22, R24, R25, R39). Other mail depends on what notify knows.
_ASKED_FOR = frozenset({_STUDENT, _COORDINATOR, *REMINDERS.values()})


def mails_asked_for(evidence: Evidence) -> tuple[str, dict[str, Document]]:
    """The notice of a fact, and the mails that it asks for: who → the mail."""
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
        where, of_all = shard_place(event.alert_id, event.shard), {"late": event.late, "at": evidence.at}
        return {f"{where}#{event.alert_id}:{each.person_id}": {**_said(each), **of_all} for each in event.recipients}
    notice, mails = mails_asked_for(evidence)
    return {f"{shard_place(notice, 0)}#{notice}:{who}": mail for who, mail in mails.items()}


def _said(recipient: RecipientEntry) -> Document:
    """Without the registration: the fact names the one that was looked at, the roll the one whose address is used."""
    return recipient.model_dump(mode="json", by_alias=True, exclude={"registration_id"})


def _mail(person_id: str | None, registration_id: str | None, kind: str) -> Document:
    return {"personId": person_id, "registrationId": registration_id, "kind": kind, "channels": [Channel.EMAIL.value]}


def _selected(_: Document | None, __: Evidence, said: Document) -> Document:
    return said


async def _rows(collection: Collection) -> AsyncIterator[tuple[str, Mapping[str, Document]]]:
    """Of every selection that is no step of the ladder, in order of their places."""
    found = collection.find({"step": 1}, PROJECTION).sort([("alertId", 1), ("shard", 1)])
    async for document in found:
        selection = Selection.read(document)
        yield shard_place(selection.alert_id, selection.shard), dict(_told(selection))


def _told(selection: Selection) -> Iterator[tuple[str, Document]]:
    for each in selection.recipients:
        name = f"{selection.alert_id}:{each.who}"
        if selection.facts is None:
            yield name, _of_alert(selection, each)
        elif each.kind in _ASKED_FOR:
            yield name, _mail(each.person_id, each.registration_id, each.kind)


def _of_alert(selection: Selection, each: Recipient) -> Document:
    return {
        "personId": each.person_id,
        "registrationVersion": each.registration_version,
        "reason": each.reason,
        "area": each.area,
        "level": each.level,
        "channels": [channel.value for channel in each.channels],
        "late": selection.late,
        "at": selection.at,
    }


def _kept(collection: Collection) -> AsyncIterator[Document]:
    return by_place(_rows(collection))


SELECTIONS = Item(_of_selections, _selected, kept=_kept)
