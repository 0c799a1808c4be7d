"""When the task of each rule ends without a person: R2, R7, R8, R13, R14, R16, R19-R21. One table, ENDS.

A person's decision and a cancellation end tasks as well (`decision_events.py`), and so does a recorded return. R23 only
the board of examiners closes; contact details end R24 (`reminders.contact_task`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from services.registration.model import APPROVAL_LOST, Registration, Status, Task
from services.registration.rules.clearance import Clearance, Outcome
from services.registration.rules.during_stay import DuringStay, Reason

#: Reasons of a task of R20 that the student's own step has opened: only a recorded outcome ends it.
LEFT_NEGATIVE_AREA, ASKED_TO_CANCEL = "left_negative_area", "asked_to_cancel"


@dataclass(frozen=True, slots=True)
class Situation:
    """A registration after an evaluation: its status, the clearance as the rules see it, and the stay.

    `decided_rule`: the rule of the decision that stands, for a routed registration.
    """

    status: Status
    decided_rule: str
    current: Clearance
    stay: DuringStay
    has_returned: bool

    def blocks(self, rule: str, outcome: Outcome | None = None) -> bool:
        """Whether this rule blocks now, with this outcome if one is given."""
        return any(block.rule == rule and outcome in (None, block.outcome) for block in self.current.blocks)

    def is_to_decide(self, rule: str) -> bool:
        """Whether a person still has to decide about this rule: the case is routed, by it or by another one too."""
        return self.status is Status.ROUTED and (rule == self.decided_rule or self.blocks(rule, Outcome.ROUTED))


@dataclass(frozen=True, slots=True)
class CoordinatorsBlock:
    """The rule and the reason of the coordinator's one task about a suspended clearance."""

    rule: str
    reason: str


def coordinators_block(current: Clearance) -> CoordinatorsBlock | None:
    """R19 while the advice is or may be negative, then R2 while the approval is lost, then R21.

    None when that is not certain (unknown or stale advice, missing documents): the task stays the one it was.
    """
    for block_rule, task_rule in (("R13", "R19"), ("R17", "R19"), ("R16", "R19"), ("R2", "R2")):
        block = next((block for block in current.blocks if block.rule == block_rule), None)
        if block is not None:
            return CoordinatorsBlock(task_rule, block.reason)
    return CoordinatorsBlock("R21", current.reason) if current.rule == "R21" else None


Ends = Callable[[Situation, Task], bool]


def _decided(situation: Situation, task: Task) -> bool:
    return not situation.is_to_decide(task.rule)


def _timing_decided(situation: Situation, _: Task) -> bool:
    """R7 becomes R8 on the day of departure: the same case of the same person."""
    return not (situation.is_to_decide("R7") or situation.is_to_decide("R8"))


def _approval_settled(situation: Situation, task: Task) -> bool:
    """A lost approval is the coordinator's until another one holds, or the rules have decided anew."""
    if situation.status is Status.SUSPENDED:
        return _is_another_of_the_coordinator(situation, task)
    if situation.status is Status.APPROVED and task.reason in APPROVAL_LOST:
        return not situation.blocks("R2")
    return _decided(situation, task)


def _place_settled(situation: Situation, task: Task) -> bool:
    if situation.status is Status.SUSPENDED:
        return not situation.blocks("R16")
    return _decided(situation, task)


def _not_suspended(situation: Situation, task: Task) -> bool:
    return situation.status is not Status.SUSPENDED or _is_another_of_the_coordinator(situation, task)


def _nothing_to_reinstate(situation: Situation, task: Task) -> bool:
    if situation.status is Status.SUSPENDED:
        return _is_another_of_the_coordinator(situation, task)
    return _decided(situation, task)


def _is_another_of_the_coordinator(situation: Situation, task: Task) -> bool:
    wanted = coordinators_block(situation.current)
    return wanted is not None and wanted.rule != task.rule


def _place_is_safe(situation: Situation, _: Task) -> bool:
    return not any(place.may_be_negative for place in situation.current.places)


def is_ended_by_advice(task: Task) -> bool:
    """R20: better advice ends it; not a task that the student's own step has opened."""
    return task.rule == "R20" and task.reason not in (LEFT_NEGATIVE_AREA, ASKED_TO_CANCEL)


def _nothing_to_ask(situation: Situation, task: Task) -> bool:
    """Not when only the planned days have passed: whether the student left is not known until a person records it."""
    return is_ended_by_advice(task) and situation.stay.reason in (Reason.SAFE, Reason.NOT_ABROAD)


def _never(_: Situation, __: Task) -> bool:
    return False


#: Rule of a task → whether its cause has ended.
ENDS: Mapping[str, Ends] = {
    "R2": _approval_settled,
    "R7": _timing_decided,
    "R8": _timing_decided,
    "R13": _place_is_safe,
    "R14": _decided,
    "R16": _place_settled,
    "R19": _not_suspended,
    "R20": _nothing_to_ask,
    "R21": _nothing_to_reinstate,
    "R23": _never,
    "R24": _never,
}
#: The student is back: there is nothing to decide, to ask for or to find out. The board still hears of the stay (R23).
ENDED_BY_RETURN = frozenset(ENDS) - {"R23"}


def ended_tasks(registration: Registration, situation: Situation) -> tuple[Task, ...]:
    """The open tasks whose cause has ended. A task of a rule that this version does not know stays open."""
    return tuple(
        task
        for task in registration.open_tasks
        if (situation.has_returned and task.rule in ENDED_BY_RETURN) or ENDS.get(task.rule, _never)(situation, task)
    )
