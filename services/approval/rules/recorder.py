"""R30, R31, R33, R34, R35, R37: who records the result of a step that a rule demands, and when.

After the start too (R4): the coordinator can then still grant, and a grant needs its steps.
"""

from collections.abc import Set
from dataclasses import dataclass
from enum import StrEnum

from services.approval.model import ApprovalRequest, Status
from shared.events import Finding, StepKind


class Reason(StrEnum):
    """Why a step can be recorded or not."""

    RECORDABLE = "recordable"
    OWN_REQUEST = "own_request"
    NOT_DEMANDED = "not_demanded"
    WRONG_ROLE = "wrong_role"
    WITHDRAWN = "withdrawn"
    ALREADY_DECIDED = "already_decided"


@dataclass(frozen=True, slots=True)
class Recorder:
    """Decision. `rule`: the one that demands the step, or that blocks. `queue`: whose step it is."""

    reason: Reason
    rule: str | None = None
    queue: str | None = None

    @property
    def is_permitted(self) -> bool:
        """Whether this person can record the step."""
        return self.reason is Reason.RECORDABLE


def recorder(
    request: ApprovalRequest,
    step: StepKind,
    person_id: str,
    scopes: Set[str],
    programme_scopes: Set[str],
    is_international_office: bool,
) -> Recorder:
    """The coordinator's steps: an approver of the programme; the office's: the office; never the student (R5)."""
    if person_id == request.person_id:
        return Recorder(Reason.OWN_REQUEST, "R5")
    demand = demand_for(request, step)
    if demand is None:
        return Recorder(Reason.NOT_DEMANDED)
    holds_role = {
        "international-office": is_international_office,
        "coordinator": bool(scopes & programme_scopes),
    }.get(demand.queue, False)
    if not holds_role:
        return Recorder(Reason.WRONG_ROLE, demand.rule, demand.queue)
    if request.status is Status.WITHDRAWN:
        return Recorder(Reason.WITHDRAWN)
    if not request.is_open:
        return Recorder(Reason.ALREADY_DECIDED)
    return Recorder(Reason.RECORDABLE, demand.rule, demand.queue)


def demand_for(request: ApprovalRequest, step: StepKind) -> Finding | None:
    """The finding that demands the step; None if no rule does."""
    return next((finding for finding in request.demands if finding.step is step), None)
