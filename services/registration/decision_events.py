"""Turns decisions into events: the decision itself, the tasks that it opens, and the tasks that it closes. Pure."""

from collections.abc import Set
from typing import Any

from services.registration.model import Registration, Status
from services.registration.rules.clearance import Clearance, Outcome, Queue
from services.registration.rules.decision import Ruling
from services.registration.rules.during_stay import DuringStay
from services.registration.rules.evaluation import Evaluation, Step
from services.registration.rules.suspension import Reason, Suspension
from services.registration.rules.task_end import (
    ASKED_TO_CANCEL,
    LEFT_NEGATIVE_AREA,
    coordinators_block,
    is_ended_by_advice,
)
from shared.envelope import Draft, draft
from shared.events import (
    ClearanceSuspended,
    Event,
    RegistrationApproved,
    RegistrationHeld,
    RegistrationRefused,
    RegistrationRouted,
    TaskClosed,
    TaskOpened,
)
from shared.ids import new_id

RULES = "rules"
CAUSE_ENDED = "cause-ended"
#: A person's decision leaves these open: what a student abroad still needs, and who was imported into danger (R13).
_OPEN_AFTER_DECISION = frozenset({"R13", "R20", "R23", "R24"})


def decision_events(state: Registration, evaluation: Evaluation) -> list[Draft]:
    """The events of an evaluation, in order; none when nothing changes."""
    clearance, suspension = evaluation.clearance, evaluation.suspension
    events: list[Event] = []
    if evaluation.step is Step.DECIDE and clearance is not None:
        events = [_clearance_event(state, clearance), *_task_events(state, clearance)]
    elif evaluation.step is Step.SUSPEND and suspension is not None:
        events = _suspension_events(state, suspension)
    elif evaluation.step is Step.ASK_TO_REINSTATE and clearance is not None:
        events = [open_task(state, Queue.COORDINATOR, clearance.rule, clearance.reason)]
    elif evaluation.step is Step.BLOCKED_OTHERWISE and clearance is not None:
        block = coordinators_block(clearance)
        events = [open_task(state, Queue.COORDINATOR, block.rule, block.reason)] if block is not None else []
    elif evaluation.step is Step.ASK_ABOUT_APPROVAL and suspension is not None and suspension.gone is not None:
        events = [open_task(state, Queue.COORDINATOR, "R2", suspension.gone)]
    if evaluation.stay is not None:
        events += _stay_events(state, evaluation.stay)
    events += [close_task(state, task.task_id) for task in evaluation.ended]
    return [draft(event) for event in events]


def close_all_tasks(state: Registration) -> list[Draft]:
    """Closes every open task: the student does not go."""
    return [draft(close_task(state, task.task_id)) for task in state.open_tasks]


def left_negative_area(before: Registration, stay_before: DuringStay, stay_after: DuringStay) -> list[Draft]:
    """R20: by the student's own change nobody leaves a negative area unseen; a safety officer finds out."""
    if not stay_before.is_negative or stay_after.is_negative:
        return []
    closed = [close_task(before, task.task_id) for task in before.open_tasks if task.rule == "R20"]
    return [draft(event) for event in (*closed, open_task(before, Queue.SAFETY_OFFICER, "R20", LEFT_NEGATIVE_AREA))]


def asked_to_cancel(state: Registration, stay: DuringStay) -> list[Draft]:
    """R20: who wants to cancel while in a negative area is asked where they are, unless an open task asks already."""
    if not stay.is_negative or state.has_open_task(Queue.SAFETY_OFFICER, "R20"):
        return []
    return [draft(open_task(state, Queue.SAFETY_OFFICER, "R20", ASKED_TO_CANCEL))]


def close_tasks(state: Registration, rules: Set[str]) -> list[Draft]:
    """Closes the open tasks of these rules: their subject is done."""
    return [draft(close_task(state, task.task_id)) for task in state.open_tasks if task.rule in rules]


def close_decided_tasks(state: Registration, clearance: Clearance, ruling: Ruling, decided_by: str) -> list[Draft]:
    """After a person's decision: settles that person's tasks, and closes the others, which need no decision now."""
    return [
        draft(
            _settle_task(state, task.task_id, clearance, decided_by)
            if task.rule in ruling.settles
            else close_task(state, task.task_id)
        )
        for task in state.open_tasks
        if task.rule not in _OPEN_AFTER_DECISION
    ]


def agreement_events(state: Registration, clearance: Clearance, ruling: Ruling, decided_by: str) -> list[Draft]:
    """One person has decided their rules; the next person gets a task for the other blocks."""
    events: list[Event] = []
    for rule in ruling.settles:
        task_id = next((task.task_id for task in state.open_tasks if task.rule == rule), None)
        if task_id is None:  # it was closed without a decision; the agreement needs a task to settle
            block = next(block for block in clearance.blocks if block.rule == rule)
            opened = open_task(state, block.queue or clearance.queue, rule, block.reason)
            events.append(opened)
            task_id = opened.task_id
        events.append(_settle_task(state, task_id, clearance, decided_by))
    next_block = ruling.next
    assert next_block is not None
    assert next_block.queue is not None
    if state.status is not Status.SUSPENDED:
        events.append(
            RegistrationRouted(
                registration_id=state.registration_id,
                person_id=state.person_id,
                rule=next_block.rule,
                reason=next_block.reason,
                queue=next_block.queue,
                advice=clearance.advice,
            )
        )
    if not any(task.queue == next_block.queue and task.rule not in _OPEN_AFTER_DECISION for task in state.open_tasks):
        events.append(open_task(state, next_block.queue, next_block.rule, next_block.reason))
    return [draft(event) for event in events]


def open_task(state: Registration, queue: Queue, rule: str, reason: str) -> TaskOpened:
    """A new task in a queue; its scope is the faculty or programme whose staff handle it."""
    scopes = {
        Queue.FACULTY_CONTACT: state.faculty_id,
        Queue.COORDINATOR: state.programme_id,
        Queue.BOARD_OF_EXAMINERS: state.programme_id,
    }
    return TaskOpened(
        registration_id=state.registration_id,
        person_id=state.person_id,
        task_id=new_id(),
        queue=queue,
        scope=scopes.get(queue, ""),
        rule=rule,
        reason=reason,
    )


def close_task(state: Registration, task_id: str) -> TaskClosed:
    """A task is closed because its cause has ended."""
    return TaskClosed(
        registration_id=state.registration_id, person_id=state.person_id, task_id=task_id, closed_by=CAUSE_ENDED
    )


def _settle_task(state: Registration, task_id: str, clearance: Clearance, decided_by: str) -> TaskClosed:
    """A task is closed by a person's decision, on this advice."""
    return TaskClosed(
        registration_id=state.registration_id,
        person_id=state.person_id,
        task_id=task_id,
        closed_by=decided_by,
        settled_on=clearance.advice,
    )


def _clearance_event(state: Registration, clearance: Clearance) -> Event:
    """The event of an outcome. Only the last branch permits."""
    ids: dict[str, Any] = {"registration_id": state.registration_id, "person_id": state.person_id}
    rule, reason, advice = clearance.rule, clearance.reason, clearance.advice
    match clearance.outcome:
        case Outcome.HELD | Outcome.INCOMPLETE:
            missing = clearance.missing if rule == "R9" else ()
            return RegistrationHeld(**ids, rule=rule, reason=reason, advice=advice, missing=missing)
        case Outcome.REFUSED:
            return RegistrationRefused(**ids, rule=rule, reason=reason, advice=advice, decided_by=RULES)
        case Outcome.ROUTED | Outcome.UNDECIDED:
            return RegistrationRouted(**ids, rule=rule, reason=reason, queue=clearance.queue, advice=advice)
        case Outcome.APPROVED:
            approval_id = state.approval_id if state.study_related else None
            return RegistrationApproved(**ids, reason=reason, approval_id=approval_id, advice=advice, decided_by=RULES)


def _task_events(state: Registration, clearance: Clearance) -> list[Event]:
    return [
        open_task(state, block.queue, block.rule, block.reason)
        for block in clearance.queues
        if block.queue is not None and not state.has_open_task(block.queue, block.rule)
    ]


def _suspension_events(state: Registration, suspension: Suspension) -> list[Event]:
    """R19: the coordinator gets a task; R16: where the place is not resolved, the safety officer gets one too."""
    events: list[Event] = [
        ClearanceSuspended(
            registration_id=state.registration_id,
            person_id=state.person_id,
            rule=suspension.rule,
            reason=suspension.reason,
            faculty_id=state.faculty_id,
            programme_id=state.programme_id,
            departure_date=state.departure_date,
            advice=suspension.advice,
        ),
        open_task(state, Queue.COORDINATOR, suspension.rule, suspension.reason),
    ]
    if suspension.reason is Reason.PLACE_UNRESOLVED:
        events.append(open_task(state, Queue.SAFETY_OFFICER, "R16", suspension.reason))
    return events


def _stay_events(state: Registration, stay: DuringStay) -> list[Event]:
    """R20: a safety officer asks for the return; R23: the board of examiners is told.

    When the student moved on, by the itinerary, from a place that is still negative, a safety officer finds out.
    """
    events: list[Event] = []
    if stay.asks_for_return and not state.has_open_task(Queue.SAFETY_OFFICER, "R20"):
        events.append(open_task(state, Queue.SAFETY_OFFICER, "R20", stay.reason))
    if stay.has_moved_on and any(is_ended_by_advice(task) for task in state.open_tasks):
        events.append(open_task(state, Queue.SAFETY_OFFICER, "R20", LEFT_NEGATIVE_AREA))
    if stay.flags_board:
        events.append(open_task(state, Queue.BOARD_OF_EXAMINERS, "R23", stay.reason))
    return events
