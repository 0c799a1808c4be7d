"""When a student can answer a question of the approver."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from services.approval.model import ApprovalRequest, Status
from services.approval.rules import before_start


class Reason(StrEnum):
    """Why there is something to answer or not."""

    ANSWERABLE = "answerable"
    NOTHING_ASKED = "nothing_asked"
    ALREADY_STARTED = "already_started"


@dataclass(frozen=True, slots=True)
class Answerable:
    """The decision; `rule` blocks, when one does."""

    reason: Reason
    rule: str | None = None

    @property
    def is_permitted(self) -> bool:
        """The student can answer."""
        return self.reason is Reason.ANSWERABLE


def answerable(request: ApprovalRequest, now: datetime) -> Answerable:
    """A returned request, before the activity starts (R4)."""
    if request.status is not Status.RETURNED:
        return Answerable(Reason.NOTHING_ASKED)
    if before_start.before_start(request.start_date, now).is_in_time:
        return Answerable(Reason.ANSWERABLE)
    return Answerable(Reason.ALREADY_STARTED, "R4")
