"""R2, R9, R19-R21, R23: what a new look at a registration changes, given what was decided before.

The rules move what nobody has decided, what waits (held) and what they themselves cleared. What was refused or
routed stays so until the student changes it or a person acts; what was suspended is never reinstated by itself.
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
    """What is to be done."""

    KEEP = "keep"
    DECIDE = "decide"
    SUSPEND = "suspend"
    ASK_TO_REINSTATE = "ask_to_reinstate"
    ASK_ABOUT_APPROVAL = "ask_about_approval"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The decision: the step, the clearance or suspension it rests on, and how the stay stands beside it."""

    step: Step
    clearance: Clearance | None = None
    suspension: Suspension | None = None
    stay: DuringStay | None = None


def evaluation(registration: Registration, inputs: DecisionInputs, now: datetime) -> Evaluation:
    """The next step. The same registration and knowledge give the same step; once taken it gives KEEP."""
    return replace(_step(registration, inputs, now), stay=during_stay(registration, inputs, now))


def _step(registration: Registration, inputs: DecisionInputs, now: datetime) -> Evaluation:
    match registration.status:
        case Status.SUBMITTED:
            found = clearance(registration, inputs, now)
            return Evaluation(Step.KEEP if found.outcome is Outcome.UNDECIDED else Step.DECIDE, found)
        case Status.HELD | Status.INCOMPLETE:
            return _held(registration, clearance(registration, inputs, now))
        case Status.APPROVED:
            return _approved(registration, suspension(registration, inputs, now))
        case Status.SUSPENDED:
            return _suspended(registration, clearance(registration, inputs, now))
        case Status.ROUTED | Status.REFUSED | Status.CANCELLED:
            return Evaluation(Step.KEEP)


def _approved(registration: Registration, found: Suspension) -> Evaluation:
    """R19 before departure. R2 after it: who is abroad without an approval is a matter for a person, once."""
    step = Step.SUSPEND if found.is_suspended else Step.KEEP
    if found.gone is not None and not registration.approval_asked:
        step = Step.ASK_ABOUT_APPROVAL
    return Evaluation(step, suspension=found)


def _held(registration: Registration, found: Clearance) -> Evaluation:
    """R2, R9: what waits for its approval or its documents moves when there is something new to say."""
    before = registration.decision
    same = before is not None and (before.status.value, before.rule, before.reason) == (
        found.outcome.value,
        found.rule,
        found.reason.value,
    )
    if same or found.outcome is Outcome.UNDECIDED:
        return Evaluation(Step.KEEP, found)
    return Evaluation(Step.DECIDE, found)


def _suspended(registration: Registration, found: Clearance) -> Evaluation:
    """R21: when only the former suspension is in the way, a person is asked, once."""
    if found.rule == "R21" and not registration.reinstatement_asked:
        return Evaluation(Step.ASK_TO_REINSTATE, found)
    return Evaluation(Step.KEEP, found)
