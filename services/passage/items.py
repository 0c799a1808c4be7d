"""What services keep of things that are no stream of their own: tasks, deliveries, answers, alerts, steps of a ladder.

Each document is made of the facts that name it, and has the fields of the service's own collection.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from services.notify.model import HISTORY_LIMIT, Delivery, DeliveryState, Given, Turn, outcomes, standing_answer
from services.notify.store.alerts import Escalated
from services.notify.store.deliveries import deliveries_of
from services.registration.store import opened_task, task_update
from shared.audit.evidence import Evidence
from shared.events import (
    AlertClosed,
    AlertEscalated,
    AlertRaised,
    Channel,
    Event,
    OutcomeEvent,
    PersonAnswered,
    SelectionCompleted,
    TaskClaimed,
    TaskClosed,
    TaskCommented,
    TaskOpened,
)
from shared.mongo.client import Collection, Document


async def as_kept(collection: Collection) -> AsyncIterator[Document]:
    """Its documents in order of their ids."""
    async for document in collection.find({}).sort("_id", 1):
        yield document


@dataclass(frozen=True, slots=True)
class Item:
    """A kind of them. `said`: the `_id` of each thing that a fact is about, with the part of the fact that is.

    `after`: the document after that part of the fact. `comparable`: what of a document is made of events alone.
    `kept`: the service's documents in order of their ids. An id may begin with where the thing stands: `where#id`.
    """

    said: Callable[[Event], Mapping[str, Event]]
    after: Callable[[Document | None, Evidence, Event], Document]
    comparable: Callable[[Document], dict[str, Any]]
    kept: Callable[[Collection], AsyncIterator[Document]] = as_kept


# ---------------------------------------------------------------- registration: tasks in people's queues


def _of_task(event: Event) -> Mapping[str, Event]:
    return {event.task_id: event} if isinstance(event, TaskOpened | TaskClosed | TaskClaimed | TaskCommented) else {}


def _task(former: Document | None, evidence: Evidence, fact: Event) -> Document:
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


# ---------------------------------------------------------------- notify: deliveries


def _of_deliveries(event: Event) -> Mapping[str, Event]:
    if not isinstance(event, OutcomeEvent):
        return {}
    where = f"{event.alert_id}:{event.shard}"
    return {
        f"{where}:{entry.channel.value}#{entry.delivery_id}": event.model_copy(update={"entries": (entry,)})
        for entry in event.entries
    }


def _delivery(former: Document | None, evidence: Evidence, fact: Event) -> Document:
    assert isinstance(fact, OutcomeEvent)
    (entry,) = fact.entries
    known = {} if former is None else {entry.delivery_id: _as_delivery(former)}
    after = next(iter(outcomes(evidence.id, fact, known)), known.get(entry.delivery_id))
    assert after is not None
    return _as_document(after)


def _as_document(each: Delivery) -> Document:
    return {
        "deliveryId": each.delivery_id,
        "alertId": each.alert_id,
        "shard": each.shard,
        "personId": each.person_id,
        "registrationId": each.registration_id,
        "channel": each.channel.value,
        "state": each.state.value,
        "attempts": each.attempts,
        "history": [[turn.event_id, turn.state.value, turn.at, turn.reason, turn.counted] for turn in each.history],
    }


def _as_delivery(kept: Document) -> Delivery:
    history = tuple(Turn(event, DeliveryState(state), at, *rest) for event, state, at, *rest in kept["history"])
    return Delivery(
        kept["deliveryId"], kept["alertId"], kept["shard"], kept["personId"], kept["registrationId"],
        Channel(kept["channel"]), DeliveryState(kept["state"]), kept["attempts"], history=history,
    )  # fmt: skip


def _delivery_alone(document: Document) -> dict[str, Any]:
    """Without how often the engine sent it again, and with what was said whatever the order it was folded in."""
    said = sorted(f"{event} {state}" for event, state, *_ in document["history"])
    if len(said) >= HISTORY_LIMIT:
        said = []  # what was forgotten depends on the order
    return {"said": said, **{name: value for name, value in document.items() if name not in ("_id", "history")}}


async def _deliveries(collection: Collection) -> AsyncIterator[Document]:
    """Page by page; all pages of an alert's shard and channel follow one another."""
    where, here = "", dict[str, Delivery]()
    async for page in as_kept(collection):
        place = str(page["_id"]).partition("#")[0]
        if place != where:
            for document in _in_order(where, here):
                yield document
            where, here = place, {}
        here |= deliveries_of(page)
    for document in _in_order(where, here):
        yield document


def _in_order(where: str, here: Mapping[str, Delivery]) -> list[Document]:
    return [{"_id": f"{where}#{identity}", **_as_document(each)} for identity, each in sorted(here.items())]


# ---------------------------------------------------------------- notify: answers


def _of_answer(event: Event) -> Mapping[str, Event]:
    return {f"{event.alert_id}:{event.person_id}": event} if isinstance(event, PersonAnswered) else {}


def _answer(former: Document | None, evidence: Evidence, fact: Event) -> Document:
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


def _of_alert(event: Event) -> Mapping[str, Event]:
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


def _alert_alone(document: Document) -> dict[str, Any]:
    """Without the advice, which safety's events say, and the offsets, which the selection's event says."""
    return {name: document["state"].get(name) for name in _OF_ALERTS}


def _of_step(event: Event) -> Mapping[str, Event]:
    return {f"{event.alert_id}:{event.person_id}:{event.step}": event} if isinstance(event, AlertEscalated) else {}


def _step(former: Document | None, evidence: Evidence, fact: Event) -> Document:
    assert isinstance(fact, AlertEscalated)
    return former or Escalated.of(fact, evidence.at).document(fact.alert_id)


def whole(document: Document) -> dict[str, Any]:
    """Everything but its id."""
    return {name: value for name, value in document.items() if name != "_id"}


#: (service, collection) → how its documents are made
ITEMS = {
    ("registration", "tasks"): Item(_of_task, _task, _task_alone),
    ("notify", "deliveries"): Item(_of_deliveries, _delivery, _delivery_alone, _deliveries),
    ("notify", "answers"): Item(_of_answer, _answer, _answers_alone),
    ("notify", "alerts"): Item(_of_alert, _alert, _alert_alone),
    ("notify", "escalations"): Item(_of_step, _step, whole),
}
