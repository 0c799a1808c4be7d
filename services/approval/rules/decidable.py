"""R4, R5: whether this person may decide this request now. The first rule that blocks is reported."""

from collections.abc import Set
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from services.approval.model import ApprovalRequest, Status
from services.approval.rules import approver, before_start


class Reason(StrEnum):
    """Why a request can be decided or not. ALREADY_STARTED: by the coordinator alone."""

    DECIDABLE = "decidable"
    OWN_REQUEST = approver.Reason.OWN_REQUEST.value
    NOT_APPROVER_OF_PROGRAMME = approver.Reason.NOT_APPROVER_OF_PROGRAMME.value
    WITHDRAWN = "withdrawn"
    ALREADY_DECIDED = "already_decided"
    ALREADY_STARTED = before_start.Reason.ALREADY_STARTED.value
    REASON_REQUIRED = "reason_required"


@dataclass(frozen=True, slots=True)
class Decidable:
    """Decision. `rule`: the rule that blocks; None if the state of the request blocks, or nothing does."""

    reason: Reason
    rule: str | None = None

    @property
    def is_permitted(self) -> bool:
        """Whether this person may decide it."""
        return self.reason is Reason.DECIDABLE


def decidable(
    request: ApprovalRequest,
    person_id: str,
    scopes: Set[str],
    programme_scopes: Set[str],
    coordinator_scopes: Set[str],
    now: datetime,
    *,
    has_reason: bool = False,
) -> Decidable:
    """R4, R5: checked in this order: R5, the state of the request, R4.

    `coordinator_scopes`: those of `programme_scopes` that may still decide after the start.
    """
    who = approver.approver(person_id, scopes, request.person_id, programme_scopes)
    if not who.may_decide:
        return Decidable(Reason(who.reason.value), "R5")
    if request.status is Status.WITHDRAWN:
        return Decidable(Reason.WITHDRAWN)
    if not request.is_open:
        return Decidable(Reason.ALREADY_DECIDED)
    if before_start.before_start(request.start_date, now).is_in_time:
        return Decidable(Reason.DECIDABLE)
    if not scopes & coordinator_scopes:
        return Decidable(Reason.ALREADY_STARTED, "R4")
    return Decidable(Reason.DECIDABLE) if has_reason else Decidable(Reason.REASON_REQUIRED, "R4")
