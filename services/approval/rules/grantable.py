"""R30, R31, R33, R34, R35, R37: whether every step and slot that a grant needs is there."""

from dataclasses import dataclass
from enum import StrEnum

from services.approval.model import ApprovalRequest, SlotPool
from shared.events import StepKind


class Reason(StrEnum):
    """Why a request can be granted or not."""

    GRANTABLE = "grantable"
    STEP_MISSING = "step_missing"
    STEP_ANSWERED_NO = "step_answered_no"
    ON_WAITING_LIST = "on_waiting_list"
    NO_PLACE = "no_place"


@dataclass(frozen=True, slots=True)
class MissingItem:
    """One thing that is missing: a step, or without `step` a slot."""

    reason: Reason
    rule: str
    queue: str
    step: StepKind | None = None


@dataclass(frozen=True, slots=True)
class Grantable:
    """Decision, with everything that is missing."""

    reason: Reason
    missing: tuple[MissingItem, ...] = ()

    @property
    def is_permitted(self) -> bool:
        """Whether the request can be granted."""
        return self.reason is Reason.GRANTABLE


def grantable(request: ApprovalRequest, pool: SlotPool | None) -> Grantable:
    """R30, R31, R33, R34, R35, R37: every demanded step is positive, and a slot is there if one is needed."""
    missing = []
    for demand in request.demands:
        recorded = request.recorded(demand.step)
        if recorded is None:
            missing.append(MissingItem(Reason.STEP_MISSING, demand.rule, demand.queue, demand.step))
        elif not recorded.positive:
            missing.append(MissingItem(Reason.STEP_ANSWERED_NO, demand.rule, demand.queue, demand.step))
    if request.slot_pool_id is not None and (pool is None or not pool.has_slot(request.approval_id)):
        is_waiting = pool is not None and pool.position(request.approval_id) is not None
        reason = Reason.ON_WAITING_LIST if is_waiting else Reason.NO_PLACE
        missing.append(MissingItem(reason, "R34", "international-office"))
    if missing:
        return Grantable(missing[0].reason, tuple(missing))
    return Grantable(Reason.GRANTABLE)
