"""R2, R4, R9: who has an undecided registration now: the student, or the staff of a queue."""

from dataclasses import dataclass

from services.registration.model import Registration, Status
from services.registration.rules import approval
from services.registration.rules.checklist import whom_to_ask
from services.registration.rules.clearance import Block, Clearance, Outcome, Queue
from services.registration.rules.task_end import coordinators_block

#: States in which a registration waits for the student or for staff.
_WAITING = frozenset({Status.HELD, Status.INCOMPLETE, Status.ROUTED, Status.SUSPENDED})


@dataclass(frozen=True, slots=True)
class WaitsFor:
    """Who has it, by which rule and why. `queue` None: the student."""

    rule: str
    reason: str
    queue: Queue | None


def waits_for(registration: Registration, current: Clearance) -> WaitsFor | None:
    """The first that nobody can pass over: the approval, then the documents, then the person of the outcome.

    A person to whom it is routed (R7, R8) can decide only after the programme has (R2). A suspended clearance is the
    coordinator's, whatever blocks. A student who is back waits for nobody.
    """
    if registration.status not in _WAITING or registration.progress.returned_on is not None:
        return None
    if registration.status is Status.SUSPENDED:
        blocked = coordinators_block(current) or current
        return WaitsFor(blocked.rule, blocked.reason, Queue.COORDINATOR)
    for rule in ("R2", "R9"):
        block = next((block for block in current.blocks if _is_before_staff(block, rule)), None)
        if block is not None:
            is_asked = block.reason.value == approval.Reason.PENDING.value
            return WaitsFor(block.rule, block.reason, Queue.COORDINATOR if is_asked else None)
    decided = current if registration.decision is None else registration.decision
    return WaitsFor(decided.rule, decided.reason, whom_to_ask(decided.rule))


def _is_before_staff(block: Block, rule: str) -> bool:
    return block.rule == rule and block.outcome in (Outcome.HELD, Outcome.INCOMPLETE)
