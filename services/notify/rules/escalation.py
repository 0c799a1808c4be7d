"""R38: the escalation policy for recipients who ask for help, do not answer or cannot be reached. Pure.

Source: Leiden, Crisis management; the waiting times: docs/notifications.md, Escalation. No answer never means safe,
and neither does `delivered`.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum, StrEnum

from services.notify.model.answers import AnswerRecord, AnswerWord, is_verified, open_cries, standing_answer
from services.notify.model.deliveries import FAILURES, Delivery, DeliveryState, step_of
from services.notify.model.escalations import EscalationRecord
from services.notify.rules.conversation import Ending
from shared.events import Channel


class EscalationStep(IntEnum):
    """A step of the policy. Its number is part of the ids of its deliveries. Step 1 is the alert itself."""

    SECOND_SMS = 2
    REMINDER = 3
    CRISIS_TEAM = 4


#: The step of the alert itself.
FIRST_STEP = 1
#: The steps that confirm an answer by mail: one number for each answer, so each is confirmed once in an alert.
CONFIRMATION_STEPS: Mapping[str, int] = {"safe": 5, "help": 6}
#: Steps from this number on send the alert to a changed address: the number plus the version of the registration.
NEW_ADDRESS = 10

#: From the least to the most that can be known of a message.
_STATES_BY_KNOWLEDGE = tuple(DeliveryState)


class Reason(StrEnum):
    """Why the next step begins, or why none does."""

    SAFE = "safe"
    HELP = "help"
    WRONG_PERSON = "wrong_person"
    UNREACHABLE = "unreachable"
    FAILED = "failed"
    NO_ANSWER = "no_answer"
    TAKEN = "taken"
    NOT_YET = "not_yet"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class EscalationPolicy:
    """How long to wait for an answer before each step, and the channel whose failed message is sent once more."""

    reminder: timedelta = timedelta(minutes=30)
    crisis_team: timedelta = timedelta(minutes=60)
    repeated_channel: Channel = Channel.SMS


@dataclass(frozen=True, slots=True)
class RecipientState:
    """One recipient's answer and delivery states. `states`: the best state on each channel; empty: unreachable.

    `unheard_cry`: the PersonAnswered that asks for help and was not escalated. `ending`: why the conversation is over.
    """

    selected_at: datetime
    answer: AnswerWord | None
    is_verified: bool
    states: Mapping[Channel, DeliveryState]
    unheard_cry: str | None = None
    ending: Ending | None = None


@dataclass(frozen=True, slots=True)
class EscalationDecision:
    """The decision. `step` is None when nothing follows now. `answer_id`: the cry for help that it is about."""

    reason: Reason
    step: EscalationStep | None = None
    answer_id: str | None = None


def recipient_state(
    channels: Collection[Channel],
    selected_at: datetime,
    deliveries: Sequence[Delivery],
    answers: Sequence[AnswerRecord],
    escalations: Sequence[EscalationRecord] = (),
    ending: Ending | None = None,
) -> RecipientState:
    """The state of a recipient of an alert over these channels. A channel has failed when every step on it failed."""
    states: dict[Channel, DeliveryState] = {}
    for channel in channels:
        of_channel = [
            delivery.state
            for delivery in deliveries
            if delivery.channel is channel and step_of(delivery.delivery_id) not in CONFIRMATION_STEPS.values()
        ]
        not_failed = [state for state in of_channel if state not in FAILURES]
        if not_failed or not of_channel:
            states[channel] = max(not_failed, key=_STATES_BY_KNOWLEDGE.index, default=DeliveryState.CREATED)
        else:
            states[channel] = DeliveryState.FAILED
    return RecipientState(
        selected_at,
        standing_answer(answers),
        is_verified(answers),
        states,
        unheard_cry(answers, escalations),
        ending,
    )


def unheard_cry(answers: Sequence[AnswerRecord], escalations: Sequence[EscalationRecord]) -> str | None:
    """R38: the newest cry for help that still stands, if it was not escalated: the event id of the answer."""
    cries = open_cries(answers)
    if not cries:
        return None
    newest = cries[-1]
    of_help = [record for record in escalations if record.reason == Reason.HELP]
    heard = any(
        # A record of an earlier version does not name its cry.
        record.answer_id == newest.event_id or (record.answer_id is None and record.at >= newest.order[0])
        for record in of_help
    )
    return None if heard else newest.event_id


def decide_escalation(
    recipient: RecipientState, steps_taken: Collection[int], policy: EscalationPolicy, now: datetime
) -> EscalationDecision:
    """R38: the step that is due now for a recipient. The crisis team is the last step.

    A cry for help goes to the team at once and each time, whatever was taken before and whatever has ended.
    """
    if recipient.unheard_cry is not None:
        return EscalationDecision(Reason.HELP, EscalationStep.CRISIS_TEAM, recipient.unheard_cry)
    if recipient.answer == "help":
        return EscalationDecision(Reason.TAKEN)
    if recipient.ending is not None:
        return EscalationDecision(Reason.ENDED)
    if recipient.answer == "safe" and recipient.is_verified:
        return EscalationDecision(Reason.SAFE)
    due = _first_due(recipient, policy, now)
    if due.step is None or due.step not in steps_taken:
        return due
    # The step was taken already. A recipient who still does not answer goes to the crisis team in the end.
    if EscalationStep.CRISIS_TEAM not in steps_taken and now >= recipient.selected_at + policy.crisis_team:
        return EscalationDecision(Reason.NO_ANSWER, EscalationStep.CRISIS_TEAM)
    if (
        due.step is EscalationStep.SECOND_SMS
        and EscalationStep.REMINDER not in steps_taken
        and now >= recipient.selected_at + policy.reminder
    ):
        return EscalationDecision(Reason.NO_ANSWER, EscalationStep.REMINDER)
    return EscalationDecision(Reason.TAKEN)


def _first_due(recipient: RecipientState, policy: EscalationPolicy, now: datetime) -> EscalationDecision:
    """The step that is due if none was taken yet."""
    if recipient.answer == "wrong_person":
        return EscalationDecision(Reason.WRONG_PERSON, EscalationStep.CRISIS_TEAM)
    if _is_unreachable(recipient):
        return EscalationDecision(Reason.UNREACHABLE, EscalationStep.CRISIS_TEAM)
    if recipient.states.get(policy.repeated_channel) is DeliveryState.FAILED:
        return EscalationDecision(Reason.FAILED, EscalationStep.SECOND_SMS)
    if now >= recipient.selected_at + policy.crisis_team:
        return EscalationDecision(Reason.NO_ANSWER, EscalationStep.CRISIS_TEAM)
    if now >= recipient.selected_at + policy.reminder:
        return EscalationDecision(Reason.NO_ANSWER, EscalationStep.REMINDER)
    return EscalationDecision(Reason.NOT_YET)


class RollCallStatus(StrEnum):
    """A recipient's status on the roll-call board."""

    SAFE = "safe"
    UNVERIFIED = "unverified"
    HELP = "help"
    WRONG_PERSON = "wrong_person"
    UNCLEAR = "unclear"
    UNREACHABLE = "unreachable"
    NO_ANSWER = "no_answer"


def roll_call_status(recipient: RecipientState, *, has_unread_reply: bool = False) -> RollCallStatus:
    """R38: what the board shows. Only an answer counts as safe; one that a machine may have given is unverified.

    `has_unread_reply`: after the last answer came a reply that nobody has read. Until then only help is certain.
    """
    if recipient.answer == "help":
        return RollCallStatus.HELP
    if has_unread_reply:
        return RollCallStatus.UNCLEAR
    if recipient.answer == "safe":
        return RollCallStatus.SAFE if recipient.is_verified else RollCallStatus.UNVERIFIED
    if recipient.answer == "wrong_person":
        return RollCallStatus.WRONG_PERSON
    return RollCallStatus.UNREACHABLE if _is_unreachable(recipient) else RollCallStatus.NO_ANSWER


def _is_unreachable(recipient: RecipientState) -> bool:
    """Every channel has failed, or there is none."""
    return all(state is DeliveryState.FAILED for state in recipient.states.values())
