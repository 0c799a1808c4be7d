"""Rebuilds registration's tasks in people's queues."""

from collections.abc import Mapping

from services.passage.projections.projection import Comparable, DocumentProjection
from services.registration.store.tasks import opened_task, task_update
from shared.audit.evidence import Evidence
from shared.events import Event, TaskClaimed, TaskClosed, TaskCommented, TaskOpened
from shared.mongo.client import Document


def _of_task(evidence: Evidence) -> Mapping[str, Event]:
    event = evidence.data
    return {event.task_id: event} if isinstance(event, TaskOpened | TaskClosed | TaskClaimed | TaskCommented) else {}


def _task(former: Document | None, evidence: Evidence, fact: Event) -> Document:
    if isinstance(fact, TaskOpened):
        return opened_task(fact, evidence.at)
    assert isinstance(fact, TaskClosed | TaskClaimed | TaskCommented)
    change, task = task_update(fact, evidence.at), dict(former or {})
    task |= change.get("$set", {})
    for name, increment in change.get("$inc", {}).items():
        task[name] = task.get(name, 0) + increment
    return task


def _comparable_task(document: Document) -> Comparable:
    """Without the departure date, a copy from the registration by which the queue is sorted."""
    return {name: value for name, value in document.items() if name not in ("_id", "departureDate")}


TASKS = DocumentProjection(_of_task, _task, _comparable_task)
