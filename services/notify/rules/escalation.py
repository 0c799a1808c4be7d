"""R38: what follows when somebody asks for help, does not answer, or cannot be reached: the policy, step by step. Pure.

Source: Leiden, Crisis management; the times: NOTIFY.md, Practice. No answer is never safe, and neither is `delivered`.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum, StrEnum

from services.notify.model.answers import AnswerWord
from services.notify.model.deliveries import DeliveryState
from shared.events import Channel


class EscalationStep(IntEnum):
    """A step of the policy: the number stands in the id of its deliveries. Step 1 is the alert itself."""

    SECOND_SMS = 2
    REMINDER = 3
    CRISIS_TEAM = 4


#: Steps from here on go to an address that changed: this number plus the version of the registration.
NEW_ADDRESS = 10


class Reason(StrEnum):
    """Why the next step begins, or why none does."""

    SAFE = "safe"
    HELP = "help"
    WRONG_PERSON = "wrong_person"
    UNREACHABLE = "unreachable"
    FAILED = "failed"
    NO_ANSWER = "no_answer"
    TAKEN = "steps_taken"
    NOT_YET = "not_yet"


@dataclass(frozen=True, slots=True)
class EscalationPolicy:
    """How long an answer is waited for before the next step."""

    reminder: timedelta = timedelta(minutes=30)
    crisis_team: timedelta = timedelta(minutes=60)


@dataclass(frozen=True, slots=True)
class RecipientState:
    """What is known of one recipient. `states`: the best of each channel; without any, nobody can write to them."""

    selected_at: datetime
    answer: AnswerWord | None
    is_verified: bool
    states: Mapping[Channel, DeliveryState]


@dataclass(frozen=True, slots=True)
class EscalationDecision:
    """The decision. `step` is None when nothing follows now."""

    reason: Reason
    step: EscalationStep | None = None


def decide_escalation(
    recipient: RecipientState, steps_taken: Collection[int], policy: EscalationPolicy, now: datetime
) -> EscalationDecision:
    """R38: the step that begins now for somebody. The crisis team is the last one; it stays there until closed."""
    if recipient.answer == "safe" and recipient.is_verified:
        return EscalationDecision(Reason.SAFE)
    due = _due(recipient, policy, now)
    if due.step is None or due.step not in steps_taken:
        return due
    # The step that is due was steps_taken: whoever still does not answer is for the crisis team in the end.
    if EscalationStep.CRISIS_TEAM not in steps_taken and now >= recipient.selected_at + policy.crisis_team:
        return EscalationDecision(Reason.NO_ANSWER, EscalationStep.CRISIS_TEAM)
    if (
        due.step is EscalationStep.SECOND_SMS
        and EscalationStep.REMINDER not in steps_taken
        and now >= recipient.selected_at + policy.reminder
    ):
        return EscalationDecision(Reason.NO_ANSWER, EscalationStep.REMINDER)
    return EscalationDecision(Reason.TAKEN)


def _due(recipient: RecipientState, policy: EscalationPolicy, now: datetime) -> EscalationDecision:
    if recipient.answer == "help":
        return EscalationDecision(Reason.HELP, EscalationStep.CRISIS_TEAM)
    if recipient.answer == "wrong_person":
        return EscalationDecision(Reason.WRONG_PERSON, EscalationStep.CRISIS_TEAM)
    if all(state is DeliveryState.FAILED for state in recipient.states.values()):
        return EscalationDecision(Reason.UNREACHABLE, EscalationStep.CRISIS_TEAM)
    if recipient.states.get(Channel.SMS) is DeliveryState.FAILED:
        return EscalationDecision(Reason.FAILED, EscalationStep.SECOND_SMS)
    if now >= recipient.selected_at + policy.crisis_team:
        return EscalationDecision(Reason.NO_ANSWER, EscalationStep.CRISIS_TEAM)
    if now >= recipient.selected_at + policy.reminder:
        return EscalationDecision(Reason.NO_ANSWER, EscalationStep.REMINDER)
    return EscalationDecision(Reason.NOT_YET)


class RollCallStatus(StrEnum):
    """Where a recipient stands on the roll-call board."""

    SAFE = "safe"
    UNVERIFIED = "unverified"
    HELP = "help"
    WRONG_PERSON = "wrong_person"
    UNREACHABLE = "unreachable"
    NO_ANSWER = "no_answer"


def roll_call_status(recipient: RecipientState) -> RollCallStatus:
    """R38: what the board shows. Only an answer is safe; one that a machine may have given is shown as such."""
    if recipient.answer == "safe":
        return RollCallStatus.SAFE if recipient.is_verified else RollCallStatus.UNVERIFIED
    if recipient.answer == "help":
        return RollCallStatus.HELP
    if recipient.answer == "wrong_person":
        return RollCallStatus.WRONG_PERSON
    if all(state is DeliveryState.FAILED for state in recipient.states.values()):
        return RollCallStatus.UNREACHABLE
    return RollCallStatus.NO_ANSWER
