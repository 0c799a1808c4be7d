"""R5: whether this person may take a grant back now. Source: proposal."""

from collections.abc import Set
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from services.approval.model import ApprovalRequest, Status
from services.approval.rules import approver
from shared.clock import amsterdam_date


class Reason(StrEnum):
    """Why a grant can be revoked or not."""

    REVOCABLE = "revocable"
    OWN_REQUEST = approver.Reason.OWN_REQUEST.value
    NOT_APPROVER_OF_PROGRAMME = approver.Reason.NOT_APPROVER_OF_PROGRAMME.value
    NOT_GRANTED = "not_granted"
    ALREADY_REVOKED = "already_revoked"
    ALREADY_OVER = "already_over"


@dataclass(frozen=True, slots=True)
class Revocable:
    """Decision. `rule`: the rule that blocks; None if the state of the request blocks, or nothing does."""

    reason: Reason
    rule: str | None = None

    @property
    def is_permitted(self) -> bool:
        """Whether this person may revoke it."""
        return self.reason is Reason.REVOCABLE


def revocable(
    request: ApprovalRequest, person_id: str, scopes: Set[str], programme_scopes: Set[str], now: datetime
) -> Revocable:
    """R5: an approver of the programme, while the grant holds, until the last day of the activity has passed."""
    who = approver.approver(person_id, scopes, request.person_id, programme_scopes)
    if not who.may_decide:
        return Revocable(Reason(who.reason.value), "R5")
    if request.status is Status.REVOKED:
        return Revocable(Reason.ALREADY_REVOKED)
    if request.status is not Status.GRANTED:
        return Revocable(Reason.NOT_GRANTED)
    if request.end_date < amsterdam_date(now):
        return Revocable(Reason.ALREADY_OVER)
    return Revocable(Reason.REVOCABLE)
