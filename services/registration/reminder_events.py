"""The events that time brings: a stay begins or ends, a reminder is sent or dropped, R24 opens tasks. Pure."""

from datetime import datetime

from services.registration.decision_events import close_task, open_task
from services.registration.model import Registration
from services.registration.read_models import DecisionInputs
from services.registration.rules.clearance import Queue
from services.registration.rules.places import advice_seen, places
from services.registration.rules.reminders import Reminder, contact_task, reminders
from services.registration.rules.stay import stay
from shared.envelope import Draft, draft
from shared.events import Event, ReminderDropped, ReminderDue, ReminderKind, StayEnded, StayStarted

CONTACT_MISSING = "contact_missing"


def due_events(state: Registration, inputs: DecisionInputs, now: datetime) -> list[Draft]:
    """Everything that has come due for one registration; applied to the state after these events, nothing."""
    ids = {"registration_id": state.registration_id, "person_id": state.person_id}
    events: list[Event] = []
    boundaries = stay(state, now)
    if boundaries.started_on is not None:
        events.append(StayStarted(**ids, on=boundaries.started_on))
    events += [reminder_event(state, reminder, inputs, now) for reminder in reminders(state, now)]
    events += _contact_task_events(state, now)
    if boundaries.ended_on is not None:
        events.append(StayEnded(**ids, on=boundaries.ended_on))
    return [draft(event) for event in events]


def reminder_event(state: Registration, reminder: Reminder, inputs: DecisionInputs, now: datetime) -> Event:
    """Sent or dropped, with the reason. R22: with today's level of each place, and when the advice was fetched."""
    planned = reminder.planned
    if not reminder.is_sent:
        return ReminderDropped(
            registration_id=state.registration_id,
            person_id=state.person_id,
            kind=planned.kind,
            occasion=planned.name,
            due_on=planned.due_on,
            reason=reminder.reason,
        )
    shows_advice = planned.kind is ReminderKind.CHECK_ADVICE
    return ReminderDue(
        registration_id=state.registration_id,
        person_id=state.person_id,
        kind=planned.kind,
        occasion=planned.name,
        due_on=planned.due_on,
        late=reminder.late,
        advice=advice_seen(places(state.legs, inputs, now)) if shows_advice else (),
        checked_at=inputs.checked_at(leg.country for leg in state.legs) if shows_advice else None,
        faculty_id=state.faculty_id,
        programme_id=state.programme_id,
        departure_date=state.departure_date,
    )


def _contact_task_events(state: Registration, now: datetime) -> list[Event]:
    """R24: the coordinator gets a task, and so does the International Office, which watches overdue details."""
    decision = contact_task(state, now)
    if decision.is_opened:
        return [
            open_task(state, queue, "R24", CONTACT_MISSING)
            for queue in (Queue.COORDINATOR, Queue.INTERNATIONAL_OFFICE)
            if not state.has_open_task(queue, "R24")
        ]
    return [close_task(state, task.task_id) for task in state.open_tasks if decision.is_closed and task.rule == "R24"]
