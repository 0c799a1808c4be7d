"""One request for approval: the fold of its events."""

from datetime import date, datetime
from enum import StrEnum

from pydantic import Field

from shared.errors import PermanentError
from shared.events import (
    ActivityType,
    ApprovalGranted,
    ApprovalRefused,
    ApprovalRequested,
    ApprovalReturned,
    ApprovalWithdrawn,
    Country,
    Event,
    Identifier,
    Part,
    Sealed,
)


class Status(StrEnum):
    """Where a request stands."""

    REQUESTED = "requested"
    RETURNED = "returned"
    GRANTED = "granted"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"


#: Still to be decided: in an approver's queue. A returned request waits for the student's answer and stays there.
OPEN = frozenset({Status.REQUESTED, Status.RETURNED})


class ApprovalRequest(Part):
    """A request as it now stands. Instants are UTC, dates Europe/Amsterdam."""

    approval_id: Identifier
    person_id: Identifier
    faculty_id: Identifier
    programme_id: Identifier
    activity_type: ActivityType
    country: Country
    start_date: date
    end_date: date
    description: Sealed | None
    catalogue_version: str
    status: Status
    requested_at: datetime
    changed_at: datetime
    decided_by: Identifier | None = None
    explanation: Sealed | None = Field(default=None, description="The approver's question or reason, newest")

    @property
    def is_open(self) -> bool:
        """Nobody has decided yet."""
        return self.status in OPEN


def evolve(state: ApprovalRequest | None, event: Event, at: datetime, version: int) -> ApprovalRequest:
    """The request after a fact. Raises PermanentError when the stream does not begin with the request."""
    if isinstance(event, ApprovalRequested):
        return ApprovalRequest(
            approval_id=event.approval_id,
            person_id=event.person_id,
            faculty_id=event.faculty_id,
            programme_id=event.programme_id,
            activity_type=event.activity_type,
            country=event.country,
            start_date=event.start_date,
            end_date=event.end_date,
            description=event.description,
            catalogue_version=event.catalogue_version,
            status=Status.REQUESTED,
            requested_at=at,
            changed_at=at,
        )
    if state is None:
        raise PermanentError(f"{type(event).__name__} at version {version} before the request")
    match event:
        case ApprovalGranted():
            change = {"status": Status.GRANTED, "decided_by": event.decided_by, "explanation": None}
        case ApprovalReturned():
            change = {"status": Status.RETURNED, "decided_by": event.decided_by, "explanation": event.question}
        case ApprovalRefused():
            change = {"status": Status.REFUSED, "decided_by": event.decided_by, "explanation": event.reason}
        case ApprovalWithdrawn():
            change = {"status": Status.WITHDRAWN}
        case _:
            return state
    return state.model_copy(update={**change, "changed_at": at})
