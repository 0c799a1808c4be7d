"""The facts that time brings to a registration: stays that begin and end, reminders sent or dropped, R24's tasks."""

from datetime import datetime

from services.registration.decision_events import CAUSE_ENDED
from services.registration.model import Registration
from services.registration.read_models import DecisionInputs
from services.registration.rules.clearance import Queue
from services.registration.rules.places import advice_seen, places
from services.registration.rules.reminders import Reminder, contact_task, reminders
from services.registration.rules.stay import stay
from shared.envelope import Draft, draft
from shared.events import (
    Event,
    ReminderDropped,
    ReminderDue,
    ReminderKind,
    StayEnded,
    StayStarted,
    TaskClosed,
    TaskOpened,
)
from shared.ids import new_id

CONTACT_MISSING = "contact_missing"


def due_events(state: Registration, inputs: DecisionInputs, now: datetime) -> list[Draft]:
    """Everything that has come due for one registration; run on what it leads to, nothing."""
    who = {"registration_id": state.registration_id, "person_id": state.person_id}
    found: list[Event] = []
    moved = stay(state, now)
    if moved.started_on is not None:
        found.append(StayStarted(**who, on=moved.started_on))
    found += [reminder_event(state, each, inputs, now) for each in reminders(state, now)]
    found += _contact_tasks(state, now)
    if moved.ended_on is not None:
        found.append(StayEnded(**who, on=moved.ended_on))
    return [draft(event) for event in found]


def reminder_event(state: Registration, found: Reminder, inputs: DecisionInputs, now: datetime) -> Event:
    """R22: with the colour of every place as it now is, and when it was fetched. Dropped: with the reason."""
    occasion = found.occasion
    if not found.is_sent:
        return ReminderDropped(
            registration_id=state.registration_id,
            person_id=state.person_id,
            kind=occasion.kind,
            occasion=occasion.name,
            due_on=occasion.due_on,
            reason=found.reason,
        )
    shows = occasion.kind is ReminderKind.CHECK_ADVICE
    return ReminderDue(
        registration_id=state.registration_id,
        person_id=state.person_id,
        kind=occasion.kind,
        occasion=occasion.name,
        due_on=occasion.due_on,
        late=found.late,
        advice=advice_seen(places(state.legs, inputs, now)) if shows else (),
        checked_at=inputs.checked_at(leg.country for leg in state.legs) if shows else None,
        faculty_id=state.faculty_id,
        programme_id=state.programme_id,
        departure_date=state.departure_date,
    )


def _contact_tasks(state: Registration, now: datetime) -> list[Event]:
    """R24: the coordinator, and the International Office, whose board of overdue contact details it is."""
    found = contact_task(state, now)
    if found.is_opened:
        queues = ((Queue.COORDINATOR, state.programme_id), (Queue.INTERNATIONAL_OFFICE, ""))
        return [
            TaskOpened(
                registration_id=state.registration_id,
                person_id=state.person_id,
                task_id=new_id(),
                queue=queue,
                scope=scope,
                rule="R24",
                reason=CONTACT_MISSING,
            )
            for queue, scope in queues
            if not state.has_open_task(queue, "R24")
        ]
    return [
        TaskClosed(
            registration_id=state.registration_id,
            person_id=state.person_id,
            task_id=task.task_id,
            closed_by=CAUSE_ENDED,
        )
        for task in state.open_tasks
        if found.is_closed and task.rule == "R24"
    ]
