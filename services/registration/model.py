"""The state of one registration. `evolve.py` computes it from the registration's events; nothing else changes it."""

from datetime import date, datetime
from enum import StrEnum
from typing import Literal

from pydantic import Field

from services.registration.schedule import JourneyDates, JourneyProgress
from shared.clock import amsterdam_date
from shared.events import (
    AcknowledgedPage,
    ActivityType,
    AdviceSeen,
    ContactField,
    Identifier,
    Leg,
    LegKind,
    Part,
    Sealed,
    StudyAnswers,
)


class Status(StrEnum):
    """Only APPROVED says "you may depart" (R10)."""

    SUBMITTED = "submitted"  # stored, not yet decided
    HELD = "held"
    INCOMPLETE = "incomplete"  # held for its documents (R9)
    ROUTED = "routed"
    APPROVED = "approved"
    REFUSED = "refused"
    SUSPENDED = "suspended"
    CANCELLED = "cancelled"


#: Reasons of a task of R2: the approval on which a clearance rested does not hold any more.
APPROVAL_LOST = frozenset({"approval_withdrawn", "approval_refused", "approval_revoked"})


class Decision(Part):
    """The newest decision about the clearance, with the advice on which it was taken."""

    status: Status
    rule: str
    reason: str
    advice: tuple[AdviceSeen, ...]
    decided_by: str = Field(description="`rules`, or a personId")
    decided_at: datetime
    remark: Sealed | None = Field(default=None, description="What the person who decided wrote")


class Task(Part):
    """An open task about this registration."""

    task_id: Identifier
    queue: str
    scope: str
    rule: str
    reason: str
    claimed_by: Identifier | None = None


class Document(Part):
    """A document attached to the registration (R9). Its bytes are in GridFS under its id (`document_storage.py`)."""

    document_id: Identifier
    kind: str = Field(description="As the catalogue names it; empty: see `kind_sealed`")
    sha256: str
    size_bytes: int
    media_type: str
    name: Sealed
    attached_at: datetime
    kind_sealed: Sealed | None = Field(default=None, description="In the student's own words")

    @property
    def kind_key(self) -> tuple[str, str | None]:
        """What two documents of the same kind have in common."""
        return (self.kind, self.kind_sealed)


class Agreement(Part):
    """A person decided on this advice that one rule does not block; another person still has to decide the others."""

    rule: str
    agreed_by: Identifier
    advice: tuple[AdviceSeen, ...]


class Return(Part):
    """The outcome of a requested return, or of the stay (R20). Only `returned` ends the stay."""

    on: date
    outcome: Literal["returned", "stays", "elsewhere", "unknown"]
    recorded_by: Identifier
    recorded_at: datetime
    advice: tuple[AdviceSeen, ...] = ()


class Registration(Part):
    """A registration now. Instants are UTC, dates are Europe/Amsterdam."""

    registration_id: Identifier
    person_id: Identifier
    approval_id: Identifier | None
    faculty_id: Identifier
    programme_id: Identifier
    activity_type: ActivityType
    legs: tuple[Leg, ...]
    answers: StudyAnswers
    study_related: bool
    contact: Sealed = Field(description="As registered; a change of the registration replaces them")
    language: Literal["nl", "en"]
    status: Status
    submitted_at: datetime = Field(description="First submission")
    itinerary_at: datetime = Field(description="When these legs were submitted; R6 counts from here")
    changed_at: datetime
    departure_date: date
    return_date: date
    decision: Decision | None = Field(default=None, description="null: not decided yet")
    was_suspended: bool = Field(default=False, description="R21: once suspended, only a person clears it again")
    reinstatement_asked: bool = Field(default=False, description="R21: the advice improved and a person has a task")
    approval_asked: bool = Field(default=False, description="R2: the approval was lost and a person has a task")
    open_tasks: tuple[Task, ...] = ()
    external_id: str | None = Field(default=None, description="Id in the portal that it was imported from")
    imported: bool = Field(default=False, description="Imported unchanged; false once the student has changed it")
    cleared_legs: tuple[Leg, ...] = Field(default=(), description="The itinerary of the newest clearance")
    progress: JourneyProgress = Field(default=JourneyProgress(), description="How far the journey is, what is due next")
    group_id: Identifier | None = Field(default=None, description="The group trip that it belongs to")
    trip_change: int | None = Field(default=None, description="Version of the trip that the student can take over")
    documents: tuple[Document, ...] = Field(default=(), description="R9: the newest of each kind")
    stay_contact: Sealed | None = Field(default=None, description="R24: given for the stay; alerts use these first")
    stay_contact_given: tuple[ContactField, ...] | None = Field(
        default=None, description="The parts that were given for the stay; null: all of them"
    )
    stay_contact_at: datetime | None = Field(default=None, description="R24: contact details abroad were entered")
    contact_confirmed_at: datetime | None = Field(default=None, description="R25: the student confirmed the details")
    agreements: tuple[Agreement, ...] = Field(default=(), description="What the first of several people has decided")
    exception: tuple[AdviceSeen, ...] = Field(default=(), description="R18: the orange advice of the exception")
    was_flagged: bool = Field(default=False, description="R23: the board of examiners has had a task")
    return_recorded: Return | None = None
    acknowledged: tuple[AcknowledgedPage, ...] = Field(default=(), description="R39: the newest of each page")
    programme_from_login: bool = Field(default=False, description="The login says that the programme is theirs")

    @property
    def dates(self) -> JourneyDates:
        """The dates from which reminders are planned. Who only travels through places arrives on the first day."""
        stays = [leg.start_date for leg in self.legs if leg.kind is LegKind.STAY]
        arrival = min(stays, default=self.departure_date)
        return JourneyDates(self.departure_date, arrival, self.return_date, amsterdam_date(self.itinerary_at))

    def has_departed(self, at: datetime) -> bool:
        """Whether the day of departure (Europe/Amsterdam) is over. On the day itself a student can still be stopped."""
        return self.departure_date < amsterdam_date(at)

    def has_open_task(self, queue: str, rule: str) -> bool:
        """Whether a task for this rule is open in this queue."""
        return any(task.queue == queue and task.rule == rule for task in self.open_tasks)

    @property
    def has_returned(self) -> bool:
        """Whether a return is recorded that ends the stay."""
        return self.return_recorded is not None and self.return_recorded.outcome == "returned"
