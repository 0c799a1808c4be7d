"""The facts that follow from a new look at a registration: the decision, and the tasks it opens and ends."""

from typing import Any

from services.registration.model import Registration, Status
from services.registration.rules.clearance import Clearance, Outcome, Queue
from services.registration.rules.decision import Ruling
from services.registration.rules.during_stay import DuringStay
from services.registration.rules.evaluation import Evaluation, Step
from services.registration.rules.suspension import Reason, Suspension
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
#: Tasks of these rules end by themselves when a new decision no longer names the rule. R19 and R21 never do.
_ENDS_WITH_ITS_CAUSE = frozenset({"R2", "R7", "R8", "R14", "R16"})


def facts(state: Registration, found: Evaluation) -> list[Draft]:
    """The events of one step, in order; none when nothing changes."""
    events: list[Event] = []
    if found.step is Step.DECIDE and found.clearance is not None:
        events = [_decision(state, found.clearance), *_tasks(state, found.clearance)]
    elif found.step is Step.SUSPEND and found.suspension is not None:
        events = _suspension(state, found.suspension)
    elif found.step is Step.ASK_TO_REINSTATE and found.clearance is not None:
        events = [_task(state, Queue.COORDINATOR, found.clearance.rule, found.clearance.reason)]
    elif found.step is Step.ASK_ABOUT_APPROVAL and found.suspension is not None and found.suspension.gone is not None:
        events = [_task(state, Queue.COORDINATOR, "R2", found.suspension.gone)]
    if found.stay is not None:
        events += _stay(state, found.stay)
    return [draft(event) for event in events]


def ended(state: Registration) -> list[Draft]:
    """Every open task ends: the student does not go."""
    return [draft(_close(state, task.task_id)) for task in state.open_tasks]


def ended_by(state: Registration, rules: set[str]) -> list[Draft]:
    """The open tasks of these rules end: what they were about has been done."""
    return [draft(_close(state, task.task_id)) for task in state.open_tasks if task.rule in rules]


def _decision(state: Registration, found: Clearance) -> Event:
    """The event of an outcome. Only the last branch permits."""
    who: dict[str, Any] = {"registration_id": state.registration_id, "person_id": state.person_id}
    match found.outcome:
        case Outcome.HELD | Outcome.INCOMPLETE:
            return RegistrationHeld(**who, rule=found.rule, reason=found.reason, advice=found.advice)
        case Outcome.REFUSED:
            return RegistrationRefused(
                **who, rule=found.rule, reason=found.reason, advice=found.advice, decided_by=RULES
            )
        case Outcome.ROUTED | Outcome.UNDECIDED:
            return RegistrationRouted(
                **who, rule=found.rule, reason=found.reason, queue=found.queue, advice=found.advice
            )
        case Outcome.APPROVED:
            rests_on = state.approval_id if state.study_related else None
            return RegistrationApproved(
                **who, reason=found.reason, approval_id=rests_on, advice=found.advice, decided_by=RULES
            )


def _tasks(state: Registration, found: Clearance) -> list[Event]:
    rules = {block.rule for block in found.blocks}
    opened = [
        _task(state, block.queue, block.rule, block.reason)
        for block in found.queues
        if block.queue is not None and not state.has_open_task(block.queue, block.rule)
    ]
    closed = [
        _close(state, task.task_id)
        for task in state.open_tasks
        if task.rule in _ENDS_WITH_ITS_CAUSE and task.rule not in rules
    ]
    return [*opened, *closed]


def _suspension(state: Registration, found: Suspension) -> list[Event]:
    """R19: the coordinator is told; R16: where the place is not resolved, the safety officer looks too."""
    events: list[Event] = [
        ClearanceSuspended(
            registration_id=state.registration_id,
            person_id=state.person_id,
            rule=found.rule,
            reason=found.reason,
            faculty_id=state.faculty_id,
            programme_id=state.programme_id,
            departure_date=state.departure_date,
            advice=found.advice,
        ),
        _task(state, Queue.COORDINATOR, found.rule, found.reason),
    ]
    if found.reason is Reason.PLACE_UNRESOLVED:
        events.append(_task(state, Queue.SAFETY_OFFICER, "R16", found.reason))
    return events


def _stay(state: Registration, found: DuringStay) -> list[Event]:
    """R20: somebody asks for the return; R23: the board of examiners knows. Better advice ends the asking."""
    asked = [task for task in state.open_tasks if task.rule == "R20"]
    if not found.is_negative:
        return [_close(state, task.task_id) for task in asked]
    events: list[Event] = []
    if found.asks_for_return and not asked:
        events.append(_task(state, Queue.SAFETY_OFFICER, "R20", found.reason))
    if found.flags_board:
        events.append(_task(state, Queue.BOARD_OF_EXAMINERS, "R23", found.reason))
    return events


def _task(state: Registration, queue: Queue, rule: str, reason: str) -> TaskOpened:
    scopes = {
        Queue.FACULTY_CONTACT: state.faculty_id,
        Queue.COORDINATOR: state.programme_id,
        Queue.BOARD_OF_EXAMINERS: state.programme_id,
    }
    scope = scopes.get(queue, "")
    return TaskOpened(
        registration_id=state.registration_id,
        person_id=state.person_id,
        task_id=new_id(),
        queue=queue,
        scope=scope,
        rule=rule,
        reason=reason,
    )


def _close(state: Registration, task_id: str) -> TaskClosed:
    return TaskClosed(
        registration_id=state.registration_id, person_id=state.person_id, task_id=task_id, closed_by=CAUSE_ENDED
    )


#: What stays open when a person has decided: what somebody abroad still needs, and who was imported into danger (R13).
_OUTLIVES_A_DECISION = frozenset({"R13", "R20", "R23", "R24"})


def concluded(state: Registration, found: Clearance, ruling: Ruling, decided_by: str) -> list[Draft]:
    """A person has decided: their own tasks are settled by it, and nobody else needs to look any more."""
    closings: list[Event] = [
        _settle(state, task.task_id, found, decided_by) if task.rule in ruling.settles else _close(state, task.task_id)
        for task in state.open_tasks
        if task.rule not in _OUTLIVES_A_DECISION
    ]
    return [draft(event) for event in closings]


def agreed(state: Registration, found: Clearance, ruling: Ruling, decided_by: str) -> list[Draft]:
    """One person's part is decided; the rest goes to the next one's queue."""
    events: list[Event] = []
    for rule in ruling.settles:
        task_id = next((task.task_id for task in state.open_tasks if task.rule == rule), None)
        if task_id is None:  # it was closed by somebody who only looked
            block = next(each for each in found.blocks if each.rule == rule)
            opened = _task(state, block.queue or found.queue, rule, block.reason)
            events.append(opened)
            task_id = opened.task_id
        events.append(_settle(state, task_id, found, decided_by))
    following = ruling.next
    assert following is not None
    assert following.queue is not None
    if state.status is not Status.SUSPENDED:
        events.append(
            RegistrationRouted(
                registration_id=state.registration_id,
                person_id=state.person_id,
                rule=following.rule,
                reason=following.reason,
                queue=following.queue,
                advice=found.advice,
            )
        )
    if not any(task.queue == following.queue for task in state.open_tasks):
        events.append(_task(state, following.queue, following.rule, following.reason))
    return [draft(event) for event in events]


def _settle(state: Registration, task_id: str, found: Clearance, decided_by: str) -> TaskClosed:
    return TaskClosed(
        registration_id=state.registration_id,
        person_id=state.person_id,
        task_id=task_id,
        closed_by=decided_by,
        settled_on=found.advice,
    )
