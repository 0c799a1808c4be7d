"""R2, R4, R9: who has a registration now: the student, or the staff of a queue. Only for what is not decided yet."""

from dataclasses import dataclass

from services.registration.model import Registration, Status
from services.registration.rules import approval
from services.registration.rules.checklist import whom_to_ask
from services.registration.rules.clearance import Block, Clearance, Outcome, Queue

#: States in which a registration waits for somebody.
_WAITING = frozenset({Status.HELD, Status.INCOMPLETE, Status.ROUTED, Status.SUSPENDED})


@dataclass(frozen=True, slots=True)
class WaitsFor:
    """Who has it, by which rule and why. `queue` None: the student."""

    rule: str
    reason: str
    queue: Queue | None


def waits_for(registration: Registration, current: Clearance) -> WaitsFor | None:
    """The first that nobody can pass over: the approval, then the documents, then the person of the outcome.

    A person to whom it is routed (R7, R8) can decide only after the programme has (R2).
    """
    if registration.status not in _WAITING:
        return None
    for rule in ("R2", "R9"):
        block = next((block for block in current.blocks if _is_before_staff(block, rule)), None)
        if block is not None:
            is_asked = block.reason.value == approval.Reason.PENDING.value
            return WaitsFor(block.rule, block.reason, Queue.COORDINATOR if is_asked else None)
    rule, reason = current.rule, current.reason
    if registration.status is Status.ROUTED and registration.decision is not None:
        return WaitsFor(
            registration.decision.rule, registration.decision.reason, whom_to_ask(registration.decision.rule)
        )
    return WaitsFor(rule, reason, whom_to_ask(rule))


def _is_before_staff(block: Block, rule: str) -> bool:
    return block.rule == rule and block.outcome in (Outcome.HELD, Outcome.INCOMPLETE)
