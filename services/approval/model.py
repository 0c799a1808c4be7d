"""State of a request for approval and of a slot pool, each folded from the events of its stream."""

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
    ApprovalRevoked,
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
    """The status of a request."""

    REQUESTED = "requested"
    RETURNED = "returned"
    GRANTED = "granted"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    REVOKED = "revoked"


#: Not decided yet, and in an approver's queue. A returned request waits for the student's answer and stays there.
OPEN = frozenset({Status.REQUESTED, Status.RETURNED})


class RecordedStep(Part):
    """The newest recorded result of a step that a rule demands."""

    step: StepKind
    positive: bool
    recorded_by: Identifier
    at: datetime
    remark: Sealed | None


class ApprovalRequest(Part):
    """The state of a request. Instants are UTC, dates Europe/Amsterdam."""

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
    explanation: Sealed | None = Field(default=None, description="The approver's newest question or reason")
    details: ActivityDetails | None = None
    institute_reason: Sealed | None = None
    contact: Sealed | None = None
    language: Literal["nl", "en"] = "en"
    slot_pool_id: Identifier | None = None
    findings: tuple[Finding, ...] = ()
    steps: tuple[RecordedStep, ...] = Field(default=(), description="The newest result of each kind of step")
    answer: Sealed | None = Field(default=None, description="The student's answer to the newest question")
    waiting_since: datetime | None = Field(
        default=None, description="Since when the request waits for the approver or the student"
    )
    programme_from_login: bool = False
    programme_confirmed: bool = Field(default=False, description="R5: the approver who granted it confirmed it")

    @property
    def is_open(self) -> bool:
        """Whether nobody has decided yet."""
        return self.status in OPEN

    @property
    def demands(self) -> tuple[Finding, ...]:
        """The findings that demand a step before a grant, recorded or not."""
        return tuple(finding for finding in self.findings if finding.effect is FindingEffect.DEMANDED)

    def recorded(self, step: StepKind | None) -> RecordedStep | None:
        """The newest result of a kind of step."""
        return next((recorded for recorded in self.steps if recorded.step is step), None)


def evolve(state: ApprovalRequest | None, event: Event, at: datetime, version: int) -> ApprovalRequest:
    """Apply one event. Raises PermanentError if the stream does not begin with ApprovalRequested."""
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
            programme_from_login=event.programme_from_login,
        )
    if state is None:
        raise PermanentError(f"{type(event).__name__} at version {version} before the request")
    change: dict[str, object]
    match event:
        case ApprovalStepRecorded():
            step = RecordedStep(
                step=event.step, positive=event.positive, recorded_by=event.recorded_by, at=at, remark=event.remark
            )
            others = tuple(recorded for recorded in state.steps if recorded.step is not event.step)
            change = {"steps": (*others, step)}
        case ApprovalAnswered():
            change = {"status": Status.REQUESTED, "answer": event.answer, "waiting_since": at}
        case ApprovalGranted():
            change = {
                "status": Status.GRANTED, "decided_by": event.decided_by, "explanation": event.reason,
                "programme_confirmed": event.programme_confirmed,
            }  # fmt: skip
        case ApprovalReturned():
            change = {
                "status": Status.RETURNED, "decided_by": event.decided_by, "explanation": event.question,
                "answer": None, "waiting_since": at,
            }  # fmt: skip
        case ApprovalRefused():
            change = {"status": Status.REFUSED, "decided_by": event.decided_by, "explanation": event.reason}
        case ApprovalRevoked():
            change = {"status": Status.REVOKED, "decided_by": event.decided_by, "explanation": event.reason}
        case ApprovalWithdrawn():
            change = {"status": Status.WITHDRAWN, "explanation": state.explanation if state.is_open else None}
        case _:
            return state
    return state.model_copy(update={**change, "changed_at": at})


class PoolEntry(Part):
    """A request that has a slot of a pool, or waits for one."""

    approval_id: Identifier
    person_id: Identifier
    since: datetime


class SlotPool(Part):
    """Which requests have a slot, and which wait, in their order (R34)."""

    slot_pool_id: Identifier
    allocated: tuple[PoolEntry, ...] = ()
    waiting: tuple[PoolEntry, ...] = ()

    def position(self, approval_id: str) -> int | None:
        """Position on the waiting list, from 1; None for a request that does not wait."""
        waiting_ids = [entry.approval_id for entry in self.waiting]
        return waiting_ids.index(approval_id) + 1 if approval_id in waiting_ids else None

    def has_slot(self, approval_id: str) -> bool:
        """Whether the request has a slot."""
        return any(entry.approval_id == approval_id for entry in self.allocated)


def evolve_pool(state: SlotPool | None, event: Event, at: datetime, version: int) -> SlotPool:
    """Apply one event. Raises PermanentError if the stream begins with a release, or holds another kind of event."""
    if not isinstance(event, SlotEvent):
        raise PermanentError(f"{type(event).__name__} at version {version} of a pool")
    pool = state or SlotPool(slot_pool_id=event.slot_pool_id)
    allocated = tuple(entry for entry in pool.allocated if entry.approval_id != event.approval_id)
    waiting = tuple(entry for entry in pool.waiting if entry.approval_id != event.approval_id)
    entry = PoolEntry(approval_id=event.approval_id, person_id=event.person_id, since=at)
    match event:
        case SlotAllocated():
            allocated = (*allocated, entry)
        case SlotWaitlisted():
            waiting = (*waiting, entry)
        case SlotReleased() if state is None:
            raise PermanentError(f"SlotReleased at version {version} before any slot was taken")
    return pool.model_copy(update={"allocated": allocated, "waiting": waiting})
