"""One request for approval, and one pool of places: the folds of their events."""

from datetime import date, datetime
from enum import StrEnum
from typing import Literal

from pydantic import Field

from shared.errors import PermanentError
from shared.events import (
    ActivityDetails,
    ActivityType,
    ApprovalAnswered,
    ApprovalGranted,
    ApprovalRefused,
    ApprovalRequested,
    ApprovalReturned,
    ApprovalStepRecorded,
    ApprovalWithdrawn,
    Country,
    Event,
    Finding,
    FindingEffect,
    Identifier,
    Part,
    Sealed,
    SlotAllocated,
    SlotEvent,
    SlotReleased,
    SlotWaitlisted,
    StepKind,
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


class RecordedStep(Part):
    """The newest answer to what a rule demands."""

    step: StepKind
    positive: bool
    recorded_by: Identifier
    at: datetime
    remark: Sealed | None


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
    details: ActivityDetails | None = None
    institute_reason: Sealed | None = None
    contact: Sealed | None = None
    language: Literal["nl", "en"] = "en"
    slot_pool_id: Identifier | None = None
    findings: tuple[Finding, ...] = ()
    steps: tuple[RecordedStep, ...] = Field(default=(), description="One for each kind that was recorded")
    answer: Sealed | None = Field(default=None, description="What the student answered to the newest question")
    waiting_since: datetime | None = Field(default=None, description="When whoever has it now got it")

    @property
    def is_open(self) -> bool:
        """Nobody has decided yet."""
        return self.status in OPEN

    @property
    def demands(self) -> tuple[Finding, ...]:
        """What has to be recorded before a grant, whether it is or not."""
        return tuple(each for each in self.findings if each.effect is FindingEffect.DEMANDED)

    def recorded(self, step: StepKind | None) -> RecordedStep | None:
        """The newest answer of a kind."""
        return next((each for each in self.steps if each.step is step), None)


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
            details=event.details,
            institute_reason=event.institute_reason,
            contact=event.contact,
            language=event.language,
            slot_pool_id=event.slot_pool_id,
            findings=event.findings,
            waiting_since=at,
        )
    if state is None:
        raise PermanentError(f"{type(event).__name__} at version {version} before the request")
    change: dict[str, object]
    match event:
        case ApprovalStepRecorded():
            step = RecordedStep(
                step=event.step, positive=event.positive, recorded_by=event.recorded_by, at=at, remark=event.remark
            )
            others = tuple(each for each in state.steps if each.step is not event.step)
            change = {"steps": (*others, step)}
        case ApprovalAnswered():
            change = {"status": Status.REQUESTED, "answer": event.answer, "waiting_since": at}
        case ApprovalGranted():
            change = {"status": Status.GRANTED, "decided_by": event.decided_by, "explanation": None}
        case ApprovalReturned():
            change = {
                "status": Status.RETURNED, "decided_by": event.decided_by, "explanation": event.question,
                "answer": None, "waiting_since": at,
            }  # fmt: skip
        case ApprovalRefused():
            change = {"status": Status.REFUSED, "decided_by": event.decided_by, "explanation": event.reason}
        case ApprovalWithdrawn():
            change = {"status": Status.WITHDRAWN}
        case _:
            return state
    return state.model_copy(update={**change, "changed_at": at})


class PoolEntry(Part):
    """A request in a pool."""

    approval_id: Identifier
    person_id: Identifier
    since: datetime


class SlotPool(Part):
    """Who has a place, and who waits in which order (R34)."""

    slot_pool_id: Identifier
    allocated: tuple[PoolEntry, ...] = ()
    waiting: tuple[PoolEntry, ...] = ()

    def position(self, approval_id: str) -> int | None:
        """Place in the waiting list, from 1; None when it does not wait."""
        names = [each.approval_id for each in self.waiting]
        return names.index(approval_id) + 1 if approval_id in names else None

    def has_place(self, approval_id: str) -> bool:
        """Whether the request holds a place."""
        return any(each.approval_id == approval_id for each in self.allocated)


def evolve_pool(state: SlotPool | None, event: Event, at: datetime, version: int) -> SlotPool:
    """The pool after a fact. Raises PermanentError when somebody gives back what nobody had."""
    if not isinstance(event, SlotEvent):
        raise PermanentError(f"{type(event).__name__} at version {version} of a pool")
    pool = state or SlotPool(slot_pool_id=event.slot_pool_id)
    allocated = tuple(each for each in pool.allocated if each.approval_id != event.approval_id)
    waiting = tuple(each for each in pool.waiting if each.approval_id != event.approval_id)
    place = PoolEntry(approval_id=event.approval_id, person_id=event.person_id, since=at)
    match event:
        case SlotAllocated():
            allocated = (*allocated, place)
        case SlotWaitlisted():
            waiting = (*waiting, place)
        case SlotReleased() if state is None:
            raise PermanentError(f"SlotReleased at version {version} before any place was taken")
    return pool.model_copy(update={"allocated": allocated, "waiting": waiting})
