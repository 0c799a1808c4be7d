"""Whether a student can withdraw a request, or the approval."""

from dataclasses import dataclass
from enum import StrEnum

from services.approval.model import Status


class Reason(StrEnum):
    """Why the request can be withdrawn or not."""

    WITHDRAWABLE = "withdrawable"
    ALREADY_WITHDRAWN = "already_withdrawn"
    ALREADY_REFUSED = "already_refused"
    ALREADY_REVOKED = "already_revoked"


@dataclass(frozen=True, slots=True)
class Withdrawable:
    """Decision on one request."""

    reason: Reason

    @property
    def is_permitted(self) -> bool:
        """Whether it can be withdrawn."""
        return self.reason is Reason.WITHDRAWABLE


def withdrawable(status: Status) -> Withdrawable:
    """Open and granted requests can be withdrawn; a refusal and a revocation are final."""
    match status:
        case Status.REQUESTED | Status.RETURNED | Status.GRANTED:
            return Withdrawable(Reason.WITHDRAWABLE)
        case Status.WITHDRAWN:
            return Withdrawable(Reason.ALREADY_WITHDRAWN)
        case Status.REFUSED:
            return Withdrawable(Reason.ALREADY_REFUSED)
        case Status.REVOKED:
            return Withdrawable(Reason.ALREADY_REVOKED)
