"""The state of a request: whether the student can answer the approver's question. R4 ends nothing for the student."""

from dataclasses import dataclass
from enum import StrEnum

from services.approval.model import ApprovalRequest, Status


class Reason(StrEnum):
    """Why the student can answer or not."""

    ANSWERABLE = "answerable"
    NOTHING_ASKED = "nothing_asked"


@dataclass(frozen=True, slots=True)
class Answerable:
    """Decision on one request."""

    reason: Reason

    @property
    def is_permitted(self) -> bool:
        """Whether the student can answer."""
        return self.reason is Reason.ANSWERABLE


def answerable(request: ApprovalRequest) -> Answerable:
    """The request was returned with a question. After the start too: the coordinator may still ask and decide."""
    return Answerable(Reason.ANSWERABLE if request.status is Status.RETURNED else Reason.NOTHING_ASKED)
