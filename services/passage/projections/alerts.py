"""Notify: alerts, the steps of the ladder, and answers."""

from collections.abc import Mapping

from services.notify.model.answers import AnswerRecord, standing_answer
from services.notify.store.escalations import EscalationRecord
from services.passage.projections.projection import Comparable, Item
from shared.audit.evidence import Evidence
from shared.events import AlertClosed, AlertEscalated, AlertRaised, Event, PersonAnswered, SelectionCompleted
from shared.mongo.client import Document

_OF_ALERTS = ("country", "adviceVersion", "trigger", "asOf", "shardCount", "area", "messageNl", "messageEn", "raisedBy",
              "isSelected", "selected", "unreachable", "isClosed", "closedBy")  # fmt: skip


def _of_alert(evidence: Evidence) -> Mapping[str, Event]:
    event = evidence.data
    return {event.alert_id: event} if isinstance(event, AlertRaised | SelectionCompleted | AlertClosed) else {}


def _alert(former: Document | None, _: Evidence, fact: Event) -> Document:
    state = dict((former or {"state": {}})["state"])
    match fact:
        case AlertRaised() as raised:
            said = raised.model_dump(mode="json", by_alias=True)
            state = {name: said.get(name) for name in _OF_ALERTS}
            state |= {name: said[name] or "" for name in ("messageNl", "messageEn")}
            state |= {"isSelected": False, "selected": 0, "unreachable": 0, "isClosed": False}
        case SelectionCompleted() as done:
            state |= {"isSelected": True, "selected": done.selected, "unreachable": done.unreachable}
        case AlertClosed() as closed:
            state |= {"isClosed": True, "closedBy": closed.closed_by}
    return {"state": state}


def _alert_alone(document: Document) -> Comparable:
    """Without the advice, which safety's events say, and the offsets, which the selection's event says."""
    return {name: document["state"].get(name) for name in _OF_ALERTS}


def _of_step(evidence: Evidence) -> Mapping[str, Event]:
    event = evidence.data
    return {f"{event.alert_id}:{event.person_id}:{event.step}": event} if isinstance(event, AlertEscalated) else {}


def _step(former: Document | None, evidence: Evidence, fact: Event) -> Document:
    assert isinstance(fact, AlertEscalated)
    return former or EscalationRecord.of(fact, evidence.at).document(fact.alert_id)


def _of_answer(evidence: Evidence) -> Mapping[str, Event]:
    event = evidence.data
    return {f"{event.alert_id}:{event.person_id}": event} if isinstance(event, PersonAnswered) else {}


def _answer(former: Document | None, evidence: Evidence, fact: Event) -> Document:
    assert isinstance(fact, PersonAnswered)
    given = [AnswerRecord.model_validate(each) for each in (former or {"given": []})["given"]]
    given.append(
        AnswerRecord(event_id=evidence.id, answer=fact.answer, via=fact.via, at=fact.answered_at, known_at=evidence.at,
              verified=fact.verified)
    )  # fmt: skip
    return {
        "alertId": fact.alert_id,
        "personId": fact.person_id,
        "answer": standing_answer(given),
        "given": [each.model_dump(mode="json", by_alias=True) for each in given],
    }


def _answers_alone(document: Document) -> Comparable:
    """What counts, and everything that was said, whatever the order it was folded in."""
    said = sorted(f"{each['eventId']} {each['answer']} by {each['via']}" for each in document["given"])
    return {"answer": document["answer"], "alertId": document["alertId"], "personId": document["personId"],
            "said": said}  # fmt: skip


ALERTS = Item(_of_alert, _alert, _alert_alone)
STEPS = Item(_of_step, _step)
ANSWERS = Item(_of_answer, _answer, _answers_alone)
