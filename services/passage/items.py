"""What services keep of things that are no stream of their own: tasks, answers, alerts, steps of the ladder.

Each document is made of the facts that name it, and has the fields of the service's own collection.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from services.notify.model import Given, standing_answer
from services.notify.store.alerts import Escalated
from services.registration.store import opened_task, task_update
from shared.audit.evidence import Evidence
from shared.events import (
    AlertClosed,
    AlertEscalated,
    AlertRaised,
    Event,
    PersonAnswered,
    SelectionCompleted,
    TaskClaimed,
    TaskClosed,
    TaskCommented,
    TaskOpened,
)
from shared.mongo.client import Document


@dataclass(frozen=True, slots=True)
class Item:
    """A kind of them. `identity`: the `_id` of what a fact is about, None where it is about none of this kind.

    `after`: the document after that fact. `comparable`: what of a document is made of events alone.
    """

    identity: Callable[[Event], str | None]
    after: Callable[[Document | None, Evidence], Document]
    comparable: Callable[[Document], dict[str, Any]]


# ---------------------------------------------------------------- registration: tasks in people's queues


def _task_of(event: Event) -> str | None:
    return event.task_id if isinstance(event, TaskOpened | TaskClosed | TaskClaimed | TaskCommented) else None


def _task(former: Document | None, evidence: Evidence) -> Document:
    fact = evidence.data
    if isinstance(fact, TaskOpened):
        return opened_task(fact, evidence.at)
    assert isinstance(fact, TaskClosed | TaskClaimed | TaskCommented)
    change, task = task_update(fact, evidence.at), dict(former or {})
    task |= change.get("$set", {})
    for name, more in change.get("$inc", {}).items():
        task[name] = task.get(name, 0) + more
    return task


def _task_alone(document: Document) -> dict[str, Any]:
    """Without the day of departure, by which a queue is sorted: the registration has it."""
    return {name: value for name, value in document.items() if name not in ("_id", "departureDate")}


# ---------------------------------------------------------------- notify: answers


def _answer_of(event: Event) -> str | None:
    return f"{event.alert_id}:{event.person_id}" if isinstance(event, PersonAnswered) else None


def _answer(former: Document | None, evidence: Evidence) -> Document:
    fact = evidence.data
    assert isinstance(fact, PersonAnswered)
    given = [Given.model_validate(each) for each in (former or {"given": []})["given"]]
    given.append(
        Given(event_id=evidence.id, answer=fact.answer, via=fact.via, at=fact.answered_at, known_at=evidence.at,
              verified=fact.verified)
    )  # fmt: skip
    return {
        "alertId": fact.alert_id,
        "personId": fact.person_id,
        "answer": standing_answer(given),
        "given": [each.model_dump(mode="json", by_alias=True) for each in given],
    }


def _answers_alone(document: Document) -> dict[str, Any]:
    """What counts, and everything that was said, whatever the order it was folded in."""
    said = sorted(f"{each['eventId']} {each['answer']} by {each['via']}" for each in document["given"])
    return {"answer": document["answer"], "alertId": document["alertId"], "personId": document["personId"],
            "said": said}  # fmt: skip


# ---------------------------------------------------------------- notify: alerts and the steps of the ladder

_OF_ALERTS = ("country", "adviceVersion", "trigger", "asOf", "shardCount", "area", "messageNl", "messageEn", "raisedBy",
              "isSelected", "selected", "unreachable", "isClosed", "closedBy")  # fmt: skip


def _alert_of(event: Event) -> str | None:
    return event.alert_id if isinstance(event, AlertRaised | SelectionCompleted | AlertClosed) else None


def _alert(former: Document | None, evidence: Evidence) -> Document:
    state = dict((former or {"state": {}})["state"])
    match evidence.data:
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


def _alert_alone(document: Document) -> dict[str, Any]:
    """Without the advice, which safety's events say, and the offsets, which the selection's event says."""
    return {name: document["state"].get(name) for name in _OF_ALERTS}


def _step_of(event: Event) -> str | None:
    return f"{event.alert_id}:{event.person_id}:{event.step}" if isinstance(event, AlertEscalated) else None


def _step(former: Document | None, evidence: Evidence) -> Document:
    fact = evidence.data
    assert isinstance(fact, AlertEscalated)
    return former or Escalated.of(fact, evidence.at).document(fact.alert_id)


def whole(document: Document) -> dict[str, Any]:
    """Everything but its id."""
    return {name: value for name, value in document.items() if name != "_id"}


#: (service, collection) → how its documents are made
ITEMS = {
    ("registration", "tasks"): Item(_task_of, _task, _task_alone),
    ("notify", "answers"): Item(_answer_of, _answer, _answers_alone),
    ("notify", "alerts"): Item(_alert_of, _alert, _alert_alone),
    ("notify", "escalations"): Item(_step_of, _step, whole),
}
