"""When a student can take a request, or the approval, back."""

from dataclasses import dataclass
from enum import StrEnum

from services.approval.model import Status


class Reason(StrEnum):
    """Why it can be withdrawn or not."""

    WITHDRAWABLE = "withdrawable"
    ALREADY_WITHDRAWN = "already_withdrawn"
    ALREADY_REFUSED = "already_refused"


@dataclass(frozen=True, slots=True)
class Withdrawable:
    """The decision."""

    reason: Reason

    @property
    def is_permitted(self) -> bool:
        """It can be withdrawn."""
        return self.reason is Reason.WITHDRAWABLE


def withdrawable(status: Status) -> Withdrawable:
    """An open request and a granted one; a refusal stands."""
    match status:
        case Status.REQUESTED | Status.RETURNED | Status.GRANTED:
            return Withdrawable(Reason.WITHDRAWABLE)
        case Status.WITHDRAWN:
            return Withdrawable(Reason.ALREADY_WITHDRAWN)
        case Status.REFUSED:
            return Withdrawable(Reason.ALREADY_REFUSED)
