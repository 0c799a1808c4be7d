"""R7, R8, R10, R13, R14, R16, R18, R21: what a person may decide about a registration.

A person may clear the blocks whose queue is theirs, and no others. Nobody may clear negative advice (R13), a missing
approval (R2) or missing documents (R9). Fall-through never permits.
"""

from dataclasses import dataclass
from enum import StrEnum

from services.registration.model import Registration, Status
from services.registration.rules.agreement import has_agreed
from services.registration.rules.checklist import whom_to_ask
from services.registration.rules.clearance import Block, Clearance, Outcome, Queue
from services.registration.rules.exception import OrangeException
from shared.events import Level


class Ask(StrEnum):
    """What a person wants to decide."""

    APPROVE = "approve"
    REFUSE = "refuse"
    RESTORE = "restore"


class Step(StrEnum):
    """The outcome of the request."""

    APPROVED = "approved"
    RESTORED = "restored"
    REFUSED = "refused"
    AGREED = "agreed"  # another person still has to decide the other blocks
    DENIED = "denied"


class Reason(StrEnum):
    """Why. A denial because of a block has the block's own reason."""

    APPROVED_BY_PERSON = "approved_by_person"
    RESTORED_BY_PERSON = "restored_by_person"
    REFUSED_BY_PERSON = "refused_by_person"
    EXCEPTION_AT_ORANGE = "exception_at_orange"
    OTHERS_FOLLOW = "others_still_decide"
    NOTHING_TO_DECIDE = "nothing_to_decide"
    NOT_YOURS = "not_yours_to_decide"


@dataclass(frozen=True, slots=True)
class Ruling:
    """The decision. `settles`: the rules which this person decided; `next`: the block that the next person decides."""

    step: Step
    rule: str
    reason: str
    who: Queue | None = None
    settles: tuple[str, ...] = ()
    next: Block | None = None


#: The states in which each decision is possible. A person may approve what the rules refused.
_POSSIBLE_STATUS: dict[Ask, frozenset[Status]] = {
    Ask.APPROVE: frozenset({Status.ROUTED, Status.REFUSED}),
    Ask.REFUSE: frozenset({Status.SUBMITTED, Status.HELD, Status.INCOMPLETE, Status.ROUTED, Status.SUSPENDED}),
    Ask.RESTORE: frozenset({Status.SUSPENDED}),
}
#: The queues whose staff decide about students. The International Office helps and decides nothing.
_DECIDERS = frozenset({Queue.FACULTY_CONTACT, Queue.COORDINATOR, Queue.SAFETY_OFFICER})


def decision(
    registration: Registration,
    current: Clearance,
    competences: frozenset[Queue],
    ask: Ask,
    exception: OrangeException | None = None,
) -> Ruling:
    """The ruling for a person with these queues, on the clearance as the rules see it now (`current`)."""
    mine = competences & _DECIDERS
    if registration.status not in _POSSIBLE_STATUS[ask] or registration.has_returned:
        return Ruling(Step.DENIED, "R10", Reason.NOTHING_TO_DECIDE)
    if not mine:
        who = whom_to_ask(current.rule)
        return Ruling(Step.DENIED, current.rule, Reason.NOT_YOURS, who)
    if ask is Ask.REFUSE:
        own = next((block.rule for block in current.blocks if block.queue in mine), current.rule)
        return Ruling(Step.REFUSED, own, Reason.REFUSED_BY_PERSON)
    return _permission(registration, current, mine, ask, exception)


def _permission(
    registration: Registration,
    current: Clearance,
    mine: frozenset[Queue],
    ask: Ask,
    exception: OrangeException | None,
) -> Ruling:
    if exception is not None and (Queue.SAFETY_OFFICER not in mine or not exception.is_granted):
        reason = Reason.NOT_YOURS if Queue.SAFETY_OFFICER not in mine else exception.reason
        return Ruling(Step.DENIED, "R18", reason, Queue.SAFETY_OFFICER)
    excepted = exception is not None
    unclearable = [block for block in current.blocks if block.outcome is not Outcome.ROUTED]
    blocking = [block for block in unclearable if not (excepted and _is_orange(current, block))]
    if blocking:
        return Ruling(Step.DENIED, blocking[0].rule, blocking[0].reason, whom_to_ask(blocking[0].rule))

    routed = [block for block in current.blocks if block.outcome is Outcome.ROUTED]
    own = [block for block in routed if block.queue in mine]
    others = [
        block
        for block in routed
        if block.queue not in mine
        and not (excepted and block.rule == "R21")  # the safety officer who makes the exception knows of the suspension
        and not has_agreed(registration.agreements, block.rule, current.advice)
    ]
    was_routed_to_me = registration.decision is not None and whom_to_ask(registration.decision.rule) in mine
    if not own and not excepted and not (was_routed_to_me and not others):
        who = others[0].queue if others else whom_to_ask(current.rule)
        return Ruling(Step.DENIED, others[0].rule if others else current.rule, Reason.NOT_YOURS, who)
    settles = tuple(dict.fromkeys(block.rule for block in own))
    if others and excepted:
        return Ruling(Step.DENIED, others[0].rule, others[0].reason, others[0].queue)
    if others:
        return Ruling(Step.AGREED, others[0].rule, Reason.OTHERS_FOLLOW, others[0].queue, settles, others[0])
    if excepted:
        return Ruling(Step.APPROVED, "R18", Reason.EXCEPTION_AT_ORANGE, settles=settles)
    if ask is Ask.RESTORE:
        return Ruling(Step.RESTORED, "R21", Reason.RESTORED_BY_PERSON, settles=settles)
    return Ruling(Step.APPROVED, "R10", Reason.APPROVED_BY_PERSON, settles=settles)


def _is_orange(current: Clearance, block: Block) -> bool:
    """R18: whether the block is about negative advice that is orange, and no worse."""
    if block.rule not in ("R13", "R17"):
        return False
    levels = [place.level for place in current.places if place.leg.country == block.country]
    return all(level is not None and level <= Level.ORANGE for level in levels)
