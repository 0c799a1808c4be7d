"""Response bodies of approval."""

from datetime import date, datetime
from typing import Literal

from pydantic import Field

from services.approval.model import Status
from shared.events import ActivityDetails, ActivityType, FindingEffect, Part, StepKind
from shared.privacy.students import StudentEntry
from shared.web.paging import Page

ProgrammeSource = Literal["login", "approver", "claimed"]
WhomToAsk = dict[str, str] | None


class Block(Part):
    """The rule that blocks a decision by anybody but this contact."""

    rule: str
    reason: str
    contact: WhomToAsk


class ShownFinding(Part):
    """What a rule found: a demanded step, a person who has to look, a warning, or information."""

    rule: str
    effect: FindingEffect
    reason: str
    reason_text: str = Field(description="In the student's language")
    step: StepKind | None
    contact: WhomToAsk


class Slot(Part):
    """Whether a request has a slot of its pool, or its position on the waiting list (R34)."""

    slot_pool_id: str
    has_place: bool
    position: int | None = Field(description="On the waiting list, from 1; null with a slot, or with neither")


class ProgressLine(Part):
    """One step on the way to a decision: who has it, since when, and its result."""

    what: str = Field(description="A step's name, `place`, `answer` or `decision`")
    rule: str | None
    state: Literal["waiting", "done", "no"]
    reason: str | None
    reason_text: str | None = Field(description="In the student's language")
    queue: Literal["coordinator", "international-office", "student"]
    contact: WhomToAsk = Field(description="null where the student has to act")
    since: datetime
    by: str | None = Field(description="personId of the person who did it")
    remark: str | None = Field(description="Their remark; null also if the person was erased")


class HistoryEntry(Part):
    """One event of a request, or of its slot."""

    what: str
    at: datetime
    by: str | None
    step: StepKind | None = None
    positive: bool | None = None
    remark: str | None = Field(
        default=None, description="What the person wrote; null also if the student was erased, or for another reader"
    )


class ApprovalSummary(Part):
    """A request in a list."""

    approval_id: str
    version: int = Field(description="The number in its ETag, for a decision on exactly this version")
    status: Status
    faculty_id: str
    programme_id: str
    activity_type: ActivityType
    country: str
    start_date: date
    end_date: date
    requested_at: datetime
    changed_at: datetime
    days_left: int = Field(description="Until the first day, Europe/Amsterdam")
    blocked: Block | None = Field(description="R4: the first day has come; only the coordinator decides")
    group_id: str | None = Field(description="Id of the trip that it belongs to")
    waits_for: str | None = Field(description="The first step that the decision waits for; null if it is decided")
    findings: tuple[ShownFinding, ...]
    slot: Slot | None
    student: StudentEntry = Field(description="Who asks; the mobile number only for the International Office")
    programme_source: ProgrammeSource = Field(
        description="R5: who says that it is the student's programme. `claimed`: only the student; a grant confirms it"
    )


class Counts(Part):
    """How many of the requests that the caller may read are open, overdue, returned; each up to `countedUpTo`."""

    open: int
    overdue: int = Field(description="Open, although the first day has come (R4)")
    returned: int = Field(description="Open, and waiting for the student's answer")
    counted_up_to: int


class Queue(Page[ApprovalSummary]):
    """A page of requests, with counts over all that the caller may read of the programme that was asked for."""

    counts: Counts


class ApprovalInFull(ApprovalSummary):
    """A request with its texts, its steps and its history."""

    person_id: str
    details: ActivityDetails | None
    description: str | None = Field(
        description="null also if the person was erased, and for a caller who may not read it"
    )
    institute_reason: str | None
    explanation: str | None = Field(description="The approver's newest question or reason, for the student")
    answer: str | None = Field(description="The student's answer to it")
    decided_by: str | None
    catalogue_version: str = Field(description="The catalogue version of the request")
    contact: WhomToAsk
    progress: tuple[ProgressLine, ...]
    history: tuple[HistoryEntry, ...]


class RequestStatus(Part):
    """The answer to a command on a request."""

    approval_id: str
    status: Status


class Requested(RequestStatus):
    """The answer to a request: the contact, what the rules found, and the slot where there is one."""

    contact: WhomToAsk
    findings: tuple[ShownFinding, ...]
    slot: Slot | None


class SlotEntry(Part):
    """A request that has a slot, or waits for one."""

    approval_id: str
    since: datetime
    position: int | None = Field(description="On the waiting list, from 1; null with a slot")
    student: StudentEntry


class RotationSlots(Part):
    """A pool of slots: one cluster in one period (R34)."""

    slot_pool_id: str
    faculty_id: str
    cluster_id: str
    cluster: str
    country: str
    hospitals: tuple[str, ...]
    starts_on: date
    ends_on: date
    slots: int
    allocated: int
    waiting: int
    places: tuple[SlotEntry, ...] | None = Field(description="Whose the slots are; only for the International Office")
