"""Rebuilds notify's alerts, escalation steps, owners, confirmed senders of replies, and answers."""

from collections.abc import Mapping

from services.notify.model.answers import AnswerRecord, standing_answer
from services.notify.model.escalations import EscalationRecord
from services.notify.model.owners import OwnerRecord, owner_records
from services.notify.model.senders import ConfirmedSender
from services.notify.store.escalations import escalation_document
from services.notify.store.owners import owner_document
from services.notify.store.senders import sender_document
from services.passage.projections.projection import Comparable, DocumentProjection
from shared.audit.evidence import Evidence
from shared.events import (
    AlertClosed,
    AlertEscalated,
    AlertRaised,
    AlertReopened,
    Event,
    PersonAnswered,
    RecipientsHandedOver,
    ReplySenderConfirmed,
    SelectionCompleted,
)
from shared.mongo.client import Document

_OF_ALERTS = ("country", "adviceVersion", "trigger", "asOf", "shardCount", "area", "messageNl", "messageEn", "raisedBy",
              "isSelected", "selected", "unreachable", "isClosed", "closedBy", "closedAt")  # fmt: skip


def _of_alert(evidence: Evidence) -> Mapping[str, Event]:
    event = evidence.data
    if not isinstance(event, AlertRaised | SelectionCompleted | AlertClosed | AlertReopened):
        return {}
    return {event.alert_id: event}


def _alert(former: Document | None, evidence: Evidence, fact: Event) -> Document:
    state = dict((former or {"state": {}})["state"])
    match fact:
        case AlertRaised() as raised:
            data = raised.model_dump(mode="json", by_alias=True)
            state = {name: data.get(name) for name in _OF_ALERTS}
            state |= {name: data[name] or "" for name in ("messageNl", "messageEn")}
            state |= {"isSelected": False, "selected": 0, "unreachable": 0, "isClosed": False}
        case SelectionCompleted() as done:
            state |= {"isSelected": True, "selected": done.selected, "unreachable": done.unreachable}
        case AlertClosed() as closed:
            closed_at = evidence.at.isoformat().replace("+00:00", "Z")
            state |= {"isClosed": True, "closedBy": closed.closed_by, "closedAt": closed_at}
        case AlertReopened():
            state |= {"isClosed": False, "closedBy": None, "closedAt": None}
    return {"state": state}


def _comparable_alert(document: Document) -> Comparable:
    """Without the advice, which safety's events determine, and the offsets, which SelectionCompleted holds."""
    return {name: document["state"].get(name) for name in _OF_ALERTS}


def _of_step(evidence: Evidence) -> Mapping[str, Event]:
    event = evidence.data
    if not isinstance(event, AlertEscalated):
        return {}
    return {EscalationRecord.of(event, evidence.at).id(event.alert_id): event}


def _step(former: Document | None, evidence: Evidence, fact: Event) -> Document:
    assert isinstance(fact, AlertEscalated)
    return former or escalation_document(fact.alert_id, EscalationRecord.of(fact, evidence.at))


def _of_owner(evidence: Evidence) -> Mapping[str, tuple[str, OwnerRecord]]:
    event = evidence.data
    if not isinstance(event, RecipientsHandedOver):
        return {}
    records = owner_records(event, evidence.at)
    return {f"{event.alert_id}:{record.person_id}": (event.alert_id, record) for record in records}


def _owner(former: Document | None, _: Evidence, change: tuple[str, OwnerRecord]) -> Document:
    alert_id, record = change
    return owner_document(alert_id, record)


def _of_sender(evidence: Evidence) -> Mapping[str, Event]:
    event = evidence.data
    return {event.reply_id: event} if isinstance(event, ReplySenderConfirmed) else {}


def _sender(former: Document | None, evidence: Evidence, fact: Event) -> Document:
    assert isinstance(fact, ReplySenderConfirmed)
    return former or sender_document(ConfirmedSender.of(fact, evidence.at))


def _of_answer(evidence: Evidence) -> Mapping[str, Event]:
    event = evidence.data
    return {f"{event.alert_id}:{event.person_id}": event} if isinstance(event, PersonAnswered) else {}


def _answer(former: Document | None, evidence: Evidence, fact: Event) -> Document:
    assert isinstance(fact, PersonAnswered)
    records = [AnswerRecord.model_validate(record) for record in (former or {"given": []})["given"]]
    records.append(
        AnswerRecord(event_id=evidence.id, answer=fact.answer, via=fact.via, at=fact.answered_at, known_at=evidence.at,
              verified=fact.verified)
    )  # fmt: skip
    return {
        "alertId": fact.alert_id,
        "personId": fact.person_id,
        "answer": standing_answer(records),
        "given": [record.model_dump(mode="json", by_alias=True) for record in records],
    }


def _comparable_answers(document: Document) -> Comparable:
    """The answer that counts, and all answers in an order that does not depend on the order of folding."""
    said = sorted(f"{record['eventId']} {record['answer']} by {record['via']}" for record in document["given"])
    return {"answer": document["answer"], "alertId": document["alertId"], "personId": document["personId"],
            "said": said}  # fmt: skip


ALERTS = DocumentProjection(_of_alert, _alert, _comparable_alert)
STEPS = DocumentProjection(_of_step, _step)
OWNERS = DocumentProjection(_of_owner, _owner)
SENDERS = DocumentProjection(_of_sender, _sender)
ANSWERS = DocumentProjection(_of_answer, _answer, _comparable_answers)
