"""R2, R9, R19-R21, R23: what an evaluation of a registration changes, given its former decision.

The rules change undecided and held registrations, and those that they themselves cleared. Refused and routed ones stay
so until the student changes them or a person decides. The rules alone never reinstate a suspended one.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from services.registration.model import Registration, Status
from services.registration.read_models import DecisionInputs
from services.registration.rules.clearance import Clearance, Outcome, clearance
from services.registration.rules.during_stay import DuringStay, during_stay
from services.registration.rules.suspension import Suspension, suspension


class Step(StrEnum):
    """The result of an evaluation."""

    KEEP = "keep"
    DECIDE = "decide"
    SUSPEND = "suspend"
    ASK_TO_REINSTATE = "ask_to_reinstate"
    ASK_ABOUT_APPROVAL = "ask_about_approval"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The decision: the step, the clearance or suspension on which it rests, and what applies during the stay."""

    step: Step
    clearance: Clearance | None = None
    suspension: Suspension | None = None
    stay: DuringStay | None = None


def evaluation(registration: Registration, inputs: DecisionInputs, now: datetime) -> Evaluation:
    """The next step. Idempotent: a registration that has taken the step gets KEEP on the same inputs."""
    return replace(_step(registration, inputs, now), stay=during_stay(registration, inputs, now))


def _step(registration: Registration, inputs: DecisionInputs, now: datetime) -> Evaluation:
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
        case Status.ROUTED | Status.REFUSED | Status.CANCELLED:
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


def _approved_step(registration: Registration, current: Suspension) -> Evaluation:
    """R19 before departure. R2 after it: staff get one task about a student who is abroad without an approval."""
    step = Step.SUSPEND if current.is_suspended else Step.KEEP
    if current.gone is not None and not registration.approval_asked:
        step = Step.ASK_ABOUT_APPROVAL
    return Evaluation(step, suspension=current)


def _suspended_step(registration: Registration, current: Clearance) -> Evaluation:
    """R21: when only the former suspension still blocks, the coordinator gets a task, once."""
    if current.rule == "R21" and not registration.reinstatement_asked:
        return Evaluation(Step.ASK_TO_REINSTATE, current)
    return Evaluation(Step.KEEP, current)
