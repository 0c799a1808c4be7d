"""R4 and the state of a request: whether the student can answer the approver's question."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from services.approval.model import ApprovalRequest, Status
from services.approval.rules import before_start


class Reason(StrEnum):
    """Why the student can answer or not."""

    ANSWERABLE = "answerable"
    NOTHING_ASKED = "nothing_asked"
    ALREADY_STARTED = "already_started"


@dataclass(frozen=True, slots=True)
class Answerable:
    """Decision. `rule`: the rule that blocks; None if the state of the request does."""

    reason: Reason
    rule: str | None = None

    @property
    def is_permitted(self) -> bool:
        """Whether the student can answer."""
        return self.reason is Reason.ANSWERABLE


def answerable(request: ApprovalRequest, now: datetime) -> Answerable:
    """The request was returned, and the activity has not started (R4)."""
    if request.status is not Status.RETURNED:
        return Answerable(Reason.NOTHING_ASKED)
    if before_start.before_start(request.start_date, now).is_in_time:
        return Answerable(Reason.ANSWERABLE)
    return Answerable(Reason.ALREADY_STARTED, "R4")
