"""What answers look like."""

from datetime import date, datetime
from typing import Literal

from pydantic import Field

from services.approval.model import Status
from shared.events import ActivityDetails, ActivityType, FindingEffect, Part, StepKind
from shared.web.paging import Page

WhomToAsk = dict[str, str] | None


class Block(Part):
    """What stands in the way of a decision, and whom to turn to."""

    rule: str
    reason: str
    contact: WhomToAsk


class ShownFinding(Part):
    """What a rule found: a step that is demanded, somebody who looks, a warning, something to know."""

    rule: str
    effect: FindingEffect
    reason: str
    reason_text: str = Field(description="In the student's language")
    step: StepKind | None
    contact: WhomToAsk


class Slot(Part):
    """Where a request stands among the places of its pool (R34)."""

    slot_pool_id: str
    has_place: bool
    position: int | None = Field(description="In the waiting list, from 1; null with a place, or with neither")


class ProgressLine(Part):
    """One thing on the way to a decision: who has it, since when, and what came of it."""

    what: str = Field(description="A step's name, `place`, `answer` or `decision`")
    rule: str | None
    state: Literal["waiting", "done", "no", "blocked"]
    reason: str | None
    reason_text: str | None = Field(description="In the student's language")
    queue: Literal["coordinator", "international-office", "student"]
    contact: WhomToAsk = Field(description="null where it is the student's own turn")
    since: datetime
    by: str | None = Field(description="personId of who did it")
    remark: str | None = Field(description="What they said; null also when the person was erased")


class HistoryEntry(Part):
    """One thing that happened to a request, or to its place."""

    what: str
    at: datetime
    by: str | None
    step: StepKind | None = None
    positive: bool | None = None


class ApprovalSummary(Part):
    """A request in a list."""

    approval_id: str
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
    blocked: Block | None = Field(description="R4 when the first day has come and nobody decided")
    group_id: str | None = Field(description="The trip that it belongs to")
    waits_for: str | None = Field(description="The first thing that a decision waits for; null when it is decided")
    findings: tuple[ShownFinding, ...]
    slot: Slot | None


class Counts(Part):
    """How many requests there are of each kind in the caller's reach, each counted up to `counted_up_to`."""

    open: int
    overdue: int = Field(description="Open, and the first day has come (R4)")
    returned: int = Field(description="Open, and the student has the turn")
    counted_up_to: int


class Queue(Page[ApprovalSummary]):
    """A page of requests, with counts over the caller's reach and the programme that was asked for."""

    counts: Counts


class ApprovalInFull(ApprovalSummary):
    """A request with its words, who has it, and its history."""

    person_id: str
    details: ActivityDetails | None
    description: str | None = Field(description="null also when the person was erased, and for who may not read it")
    institute_reason: str | None
    explanation: str | None = Field(description="The approver's newest question or reason")
    answer: str | None = Field(description="The student's answer to it")
    decided_by: str | None
    catalogue_version: str = Field(description="Under which it was accepted")
    contact: WhomToAsk
    progress: tuple[ProgressLine, ...]
    history: tuple[HistoryEntry, ...]


class RequestStatus(Part):
    """The answer to a command on a request."""

    approval_id: str
    status: Status


class Requested(RequestStatus):
    """The answer to a request: whom to turn to, what the rules found, and the place if there is one to have."""

    contact: WhomToAsk
    findings: tuple[ShownFinding, ...]
    slot: Slot | None


class Named(Part):
    """Something of the catalogue that a request names by its id."""

    id: str
    name: str


class ClusterEntry(Named):
    """A cluster of regular rotations (R34)."""

    country: str
    hospitals: tuple[str, ...]
    has_places: bool = Field(description="False: the International Office decides, no places are configured")


class SchoolEntry(Named):
    """A summer or winter school that the faculty names, of one year (R37)."""

    season: Literal["summer", "winter"]
    year: int
    country: str | None


class ProgrammeEntry(Part):
    """A programme with whom to turn to, and what a request for it can name."""

    faculty_id: str
    faculty: dict[str, str]
    programme_id: str
    name: dict[str, str]
    activity_types: tuple[ActivityType, ...]
    coordinator: dict[str, str]
    international_office: dict[str, str]
    themes: tuple[Named, ...]
    partner_networks: tuple[Named, ...]
    clusters: tuple[ClusterEntry, ...]
    schools: tuple[SchoolEntry, ...]


class SlotEntry(Part):
    """A request on the board of places."""

    approval_id: str
    since: datetime
    position: int | None = Field(description="In the waiting list, from 1; null with a place")


class RotationSlots(Part):
    """A pool of places (R34)."""

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
    places: tuple[SlotEntry, ...] | None = Field(description="Whose they are: for the International Office alone")
