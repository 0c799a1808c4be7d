"""R38: what follows when somebody asks for help, does not answer, or cannot be reached: the ladder, rung by rung. Pure.

Source: Leiden, Crisis management; the times: NOTIFY.md, Practice. No answer is never safe, and neither is `delivered`.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum, StrEnum

from services.notify.model import AnswerWord, DeliveryState
from shared.events import Channel


class Rung(IntEnum):
    """A step of the ladder: the number stands in the id of its deliveries. Step 1 is the alert itself."""

    SECOND_SMS = 2
    REMINDER = 3
    CRISIS_TEAM = 4


#: Steps from here on go to an address that changed: this number plus the version of the registration.
NEW_ADDRESS = 10


class Reason(StrEnum):
    """Why the next rung begins, or why none does."""

    SAFE = "safe"
    HELP = "help"
    WRONG_PERSON = "wrong_person"
    UNREACHABLE = "unreachable"
    FAILED = "failed"
    NO_ANSWER = "no_answer"
    TAKEN = "taken"
    NOT_YET = "not_yet"


@dataclass(frozen=True, slots=True)
class Ladder:
    """How long an answer is waited for before the next rung."""

    reminder: timedelta = timedelta(minutes=30)
    crisis_team: timedelta = timedelta(minutes=60)


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of one recipient. `states`: the best of each channel; without any, nobody can write to them."""

    selected_at: datetime
    answer: AnswerWord | None
    is_verified: bool
    states: Mapping[Channel, DeliveryState]


@dataclass(frozen=True, slots=True)
class Escalation:
    """The decision. `rung` is None when nothing follows now."""

    reason: Reason
    rung: Rung | None = None


def escalation(standing: Standing, taken: Collection[int], ladder: Ladder, now: datetime) -> Escalation:
    """R38: the rung that begins now for somebody. The crisis team is the last one; it stays there until closed."""
    if standing.answer == "safe" and standing.is_verified:
        return Escalation(Reason.SAFE)
    due = _due(standing, ladder, now)
    if due.rung is None or due.rung not in taken:
        return due
    # The rung that is due was taken: whoever still does not answer is for the crisis team in the end.
    if Rung.CRISIS_TEAM not in taken and now >= standing.selected_at + ladder.crisis_team:
        return Escalation(Reason.NO_ANSWER, Rung.CRISIS_TEAM)
    if due.rung is Rung.SECOND_SMS and Rung.REMINDER not in taken and now >= standing.selected_at + ladder.reminder:
        return Escalation(Reason.NO_ANSWER, Rung.REMINDER)
    return Escalation(Reason.TAKEN)


def _due(standing: Standing, ladder: Ladder, now: datetime) -> Escalation:
    if standing.answer == "help":
        return Escalation(Reason.HELP, Rung.CRISIS_TEAM)
    if standing.answer == "wrong_person":
        return Escalation(Reason.WRONG_PERSON, Rung.CRISIS_TEAM)
    if all(state is DeliveryState.FAILED for state in standing.states.values()):
        return Escalation(Reason.UNREACHABLE, Rung.CRISIS_TEAM)
    if standing.states.get(Channel.SMS) is DeliveryState.FAILED:
        return Escalation(Reason.FAILED, Rung.SECOND_SMS)
    if now >= standing.selected_at + ladder.crisis_team:
        return Escalation(Reason.NO_ANSWER, Rung.CRISIS_TEAM)
    if now >= standing.selected_at + ladder.reminder:
        return Escalation(Reason.NO_ANSWER, Rung.REMINDER)
    return Escalation(Reason.NOT_YET)


class Status(StrEnum):
    """Where a recipient stands on the roll-call board."""

    SAFE = "safe"
    UNVERIFIED = "unverified"
    HELP = "help"
    WRONG_PERSON = "wrong_person"
    UNREACHABLE = "unreachable"
    NO_ANSWER = "no_answer"


def status(standing: Standing) -> Status:
    """R38: what the board shows. Only an answer is safe; one that a machine may have given is shown as such."""
    if standing.answer == "safe":
        return Status.SAFE if standing.is_verified else Status.UNVERIFIED
    if standing.answer == "help":
        return Status.HELP
    if standing.answer == "wrong_person":
        return Status.WRONG_PERSON
    if all(state is DeliveryState.FAILED for state in standing.states.values()):
        return Status.UNREACHABLE
    return Status.NO_ANSWER
