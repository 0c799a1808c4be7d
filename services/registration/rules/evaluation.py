"""R2, R9, R19-R21, R23: what an evaluation of a registration changes, given its former decision.

The rules change undecided and held registrations, and those that they themselves cleared. A routed one waits for a
person, unless its programme says no; a refused one until the student changes it. The rules alone never reinstate a
suspended one.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from services.registration.model import Registration, Status, Task
from services.registration.read_models import DecisionInputs
from services.registration.rules.clearance import Clearance, Outcome, Queue, clearance
from services.registration.rules.during_stay import DuringStay, during_stay
from services.registration.rules.suspension import Suspension, suspension
from services.registration.rules.task_end import Situation, coordinators_block, ended_tasks


class Step(StrEnum):
    """The result of an evaluation."""

    KEEP = "keep"
    DECIDE = "decide"
    SUSPEND = "suspend"
    ASK_TO_REINSTATE = "ask_to_reinstate"
    BLOCKED_OTHERWISE = "blocked_otherwise"
    ASK_ABOUT_APPROVAL = "ask_about_approval"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The decision: the step, the clearance or suspension on which it rests, and what applies during the stay.

    `ended`: the open tasks that have lost their cause.
    """

    step: Step
    clearance: Clearance | None = None
    suspension: Suspension | None = None
    stay: DuringStay | None = None
    ended: tuple[Task, ...] = ()


def evaluation(registration: Registration, inputs: DecisionInputs, now: datetime) -> Evaluation:
    """The next step. Idempotent: a registration that has taken the step gets KEEP on the same inputs."""
    stay = during_stay(registration, inputs, now)
    step = replace(_step(registration, inputs, now), stay=stay)
    if not registration.open_tasks:
        return step
    current = step.clearance or clearance(registration, inputs, now)
    return replace(step, ended=ended_tasks(registration, _situation(registration, step, current, stay)))


def _situation(registration: Registration, step: Evaluation, current: Clearance, stay: DuringStay) -> Situation:
    """The registration after the step."""
    status, rule = registration.status, registration.decision.rule if registration.decision is not None else ""
    if step.step is Step.DECIDE:
        status, rule = Status(current.outcome.value), current.rule
    elif step.step is Step.SUSPEND:
        status = Status.SUSPENDED
    return Situation(status, rule, current, stay, registration.progress.returned_on is not None)


def _step(registration: Registration, inputs: DecisionInputs, now: datetime) -> Evaluation:
    if registration.progress.returned_on is not None and registration.status is not Status.SUBMITTED:
        return Evaluation(Step.KEEP)  # the student is back: there is nothing left to decide
    match registration.status:
        case Status.SUBMITTED:
            decision = clearance(registration, inputs, now)
            return Evaluation(Step.KEEP if decision.outcome is Outcome.UNDECIDED else Step.DECIDE, decision)
        case Status.HELD | Status.INCOMPLETE:
            return _held_step(registration, clearance(registration, inputs, now))
        case Status.APPROVED:
            return _approved_step(registration, suspension(registration, inputs, now))
        case Status.SUSPENDED:
            return _suspended_step(registration, clearance(registration, inputs, now))
        case Status.ROUTED:
            return _routed_step(clearance(registration, inputs, now))
        case Status.REFUSED | Status.CANCELLED:
            return Evaluation(Step.KEEP)


def _held_step(registration: Registration, current: Clearance) -> Evaluation:
    """R2, R9: a registration that waits for its approval or documents is decided when the outcome is a new one."""
    former = registration.decision
    is_same = former is not None and (former.status.value, former.rule, former.reason) == (
        current.outcome.value,
        current.rule,
        current.reason.value,
    )
    if is_same or current.outcome is Outcome.UNDECIDED:
        return Evaluation(Step.KEEP, current)
    return Evaluation(Step.DECIDE, current)


def _routed_step(current: Clearance) -> Evaluation:
    """R2: when the programme refuses, or takes its approval back, there is nothing left for a person to decide."""
    ends = (current.outcome, current.rule) == (Outcome.REFUSED, "R2")
    return Evaluation(Step.DECIDE if ends else Step.KEEP, current)


def _approved_step(registration: Registration, current: Suspension) -> Evaluation:
    """R19 before departure. R2 after it: staff get one task about a student who is abroad without an approval."""
    step = Step.SUSPEND if current.is_suspended else Step.KEEP
    if current.gone is not None and not registration.approval_asked:
        step = Step.ASK_ABOUT_APPROVAL
    return Evaluation(step, suspension=current)


def _suspended_step(registration: Registration, current: Clearance) -> Evaluation:
    """R21: when only the former suspension still blocks, the coordinator gets a task, once.

    When something else blocks than what the open task says, the task becomes another one (R19, R2), and the next
    improvement asks again.
    """
    block = coordinators_block(current)
    if block is None:
        return Evaluation(Step.KEEP, current)
    if block.rule == "R21":
        return Evaluation(Step.KEEP if registration.reinstatement_asked else Step.ASK_TO_REINSTATE, current)
    open_rules = {task.rule for task in registration.open_tasks if task.queue == Queue.COORDINATOR}
    is_another = bool(open_rules & {"R2", "R19", "R21"}) and block.rule not in open_rules
    return Evaluation(Step.BLOCKED_OTHERWISE if is_another else Step.KEEP, current)
