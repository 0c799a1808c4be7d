"""One registration: the fold of its events. Full state comes from the student, everything else from decisions."""

from datetime import date, datetime
from enum import StrEnum
from typing import Literal

from pydantic import Field

from services.registration.schedule import Dates, Progress, progressed
from shared.clock import amsterdam_date
from shared.errors import PermanentError
from shared.events import (
    ActivityType,
    AdviceSeen,
    ClearanceRestored,
    ClearanceSuspended,
    DocumentAttached,
    Event,
    Identifier,
    Leg,
    LegKind,
    Level,
    Part,
    RegistrationApproved,
    RegistrationCancelled,
    RegistrationChanged,
    RegistrationHeld,
    RegistrationRefused,
    RegistrationRouted,
    RegistrationSubmitted,
    ReturnRecorded,
    Sealed,
    StayContactUpdated,
    StudyAnswers,
    TaskClaimed,
    TaskClosed,
    TaskOpened,
)


class Status(StrEnum):
    """Where a registration stands. Only APPROVED says "you may depart" (R10)."""

    SUBMITTED = "submitted"  # committed, not yet decided
    HELD = "held"
    INCOMPLETE = "incomplete"  # held for its documents (R9)
    ROUTED = "routed"
    APPROVED = "approved"
    REFUSED = "refused"
    SUSPENDED = "suspended"
    CANCELLED = "cancelled"


class Decision(Part):
    """The newest decision about the clearance, with the advice it was taken on."""

    status: Status
    rule: str
    reason: str
    advice: tuple[AdviceSeen, ...]
    decided_by: str = Field(description="`rules`, or a personId")
    decided_at: datetime


class Task(Part):
    """A task of this registration that is still open."""

    task_id: Identifier
    queue: str
    scope: str
    rule: str
    reason: str
    claimed_by: Identifier | None = None


class Document(Part):
    """A document that lies with the registration (R9); its bytes are kept under its id."""

    document_id: Identifier
    kind: str
    sha256: str
    size_bytes: int
    media_type: str
    name: Sealed
    attached_at: datetime


class Agreement(Part):
    """A person decided that one rule is not in the way, on this advice; another still has to decide the rest."""

    rule: str
    agreed_by: Identifier
    advice: tuple[AdviceSeen, ...]


class Return(Part):
    """What came of a requested return, or of the stay (R20). Only `returned` ends the stay."""

    on: date
    outcome: Literal["returned", "stays", "elsewhere", "unknown"]
    recorded_by: Identifier
    recorded_at: datetime
    advice: tuple[AdviceSeen, ...] = ()


class Registration(Part):
    """A registration as it now stands. Instants are UTC, dates Europe/Amsterdam."""

    registration_id: Identifier
    person_id: Identifier
    approval_id: Identifier | None
    faculty_id: Identifier
    programme_id: Identifier
    activity_type: ActivityType
    legs: tuple[Leg, ...]
    answers: StudyAnswers
    study_related: bool
    contact: Sealed
    language: Literal["nl", "en"]
    status: Status
    submitted_at: datetime = Field(description="First submission")
    itinerary_at: datetime = Field(description="When these legs were handed in: from here R6 counts")
    changed_at: datetime
    departure_date: date
    return_date: date
    decision: Decision | None = Field(default=None, description="null: not decided yet")
    was_suspended: bool = Field(default=False, description="R21: once suspended, only a person clears it again")
    reinstatement_asked: bool = Field(default=False, description="R21: the advice improved and a person was asked")
    approval_asked: bool = Field(default=False, description="R2: the approval is gone and a person was asked")
    open_tasks: tuple[Task, ...] = ()
    external_id: str | None = Field(default=None, description="Id in the portal that it was imported from")
    imported: bool = Field(default=False, description="Taken over as it stands; until the student changes it")
    progress: Progress = Field(default=Progress(), description="How far the journey has come, what is due next")
    group_id: Identifier | None = Field(default=None, description="The trip that it belongs to")
    documents: tuple[Document, ...] = Field(default=(), description="R9: the newest of each kind")
    stay_contact_at: datetime | None = Field(default=None, description="R24: contact details abroad were entered")
    contact_confirmed_at: datetime | None = Field(default=None, description="R25: the student said: still correct")
    agreements: tuple[Agreement, ...] = Field(default=(), description="What one of several people has decided")
    exception: tuple[AdviceSeen, ...] = Field(default=(), description="R18: the orange advice it was cleared on")
    was_flagged: bool = Field(default=False, description="R23: the board of examiners was told")
    return_recorded: Return | None = None

    @property
    def dates(self) -> Dates:
        """What of the itinerary decides when something is due; who never stays arrives on the first day."""
        stays = [leg.start_date for leg in self.legs if leg.kind is LegKind.STAY]
        arrival = min(stays, default=self.departure_date)
        return Dates(self.departure_date, arrival, self.return_date, amsterdam_date(self.itinerary_at))

    def has_open_task(self, queue: str, rule: str) -> bool:
        """Somebody already has this to look at."""
        return any(task.queue == queue and task.rule == rule for task in self.open_tasks)

    @property
    def has_returned(self) -> bool:
        """The stay is over."""
        return self.return_recorded is not None and self.return_recorded.outcome == "returned"


def evolve(state: Registration | None, event: Event, at: datetime, version: int) -> Registration:
    """The registration after a fact. Raises PermanentError when the stream does not begin with a submission."""
    after = _evolved(state, event, at, version)
    progress = progressed(
        state.progress if state else Progress(),
        event,
        at,
        lambda: after.dates,
        ended=after.status is Status.CANCELLED,
        asked=any(task.rule == "R24" for task in after.open_tasks),
    )
    if progress is after.progress:
        return after
    return after.model_copy(update={"progress": progress})


def _evolved(state: Registration | None, event: Event, at: datetime, version: int) -> Registration:
    """Everything but the progress."""
    if isinstance(event, RegistrationSubmitted):  # a RegistrationChanged too
        return _filed(state, event, at)
    if state is None:
        raise PermanentError(f"{type(event).__name__} at version {version} before the submission")
    match event:
        case RegistrationHeld():
            return _decided(state, Status.INCOMPLETE if event.rule == "R9" else Status.HELD, event, at)
        case RegistrationRouted():
            return _decided(state, Status.ROUTED, event, at)
        case RegistrationRefused():
            return _decided(state, Status.REFUSED, event, at, event.decided_by)
        case RegistrationApproved():
            approved = _decided(state, Status.APPROVED, event, at, event.decided_by)
            return approved.model_copy(update=_cleared(state, event))
        case ClearanceRestored():
            restored = _decided(state, Status.APPROVED, event, at, event.decided_by)
            again = {"was_suspended": False, "reinstatement_asked": False, "approval_asked": False, "agreements": ()}
            return restored.model_copy(update=again)
        case ClearanceSuspended():
            suspended = _decided(state, Status.SUSPENDED, event, at)
            gone = {"was_suspended": True, "reinstatement_asked": False, "agreements": (), "exception": ()}
            return suspended.model_copy(update=gone)
        case RegistrationCancelled():
            return state.model_copy(update={"status": Status.CANCELLED, "changed_at": at})
        case TaskOpened():
            return _task_opened(state, event)
        case TaskClosed():
            return _task_closed(state, event)
        case TaskClaimed():
            return _task_claimed(state, event)
        case DocumentAttached():
            return _attached(state, event, at)
        case StayContactUpdated():
            confirmed = at if event.confirmed else state.contact_confirmed_at
            known = {"contact": event.contact, "stay_contact_at": at, "contact_confirmed_at": confirmed}
            return state.model_copy(update=known)
        case ReturnRecorded():
            return _returned(state, event, at)
        case _:
            return state


def _filed(state: Registration | None, event: RegistrationSubmitted, at: datetime) -> Registration:
    """What the student handed in; a decision stays when nothing it stands on has changed."""
    if isinstance(event, RegistrationChanged) and state is None:
        raise PermanentError("RegistrationChanged before the submission")
    filed = Registration(
        registration_id=event.registration_id,
        person_id=event.person_id,
        approval_id=event.approval_id,
        faculty_id=event.faculty_id,
        programme_id=event.programme_id,
        activity_type=event.activity_type,
        legs=event.legs,
        answers=event.answers,
        study_related=event.study_related,
        contact=event.contact,
        language=event.language,
        status=Status.SUBMITTED,
        submitted_at=at,
        itinerary_at=at,
        changed_at=at,
        departure_date=min(leg.start_date for leg in event.legs),
        return_date=max(leg.end_date for leg in event.legs),
        external_id=event.external_id,
        imported=event.imported,
        group_id=event.group_id,
    )
    if state is None:
        return filed
    kept: dict[str, object] = {
        "submitted_at": state.submitted_at,
        "itinerary_at": state.itinerary_at if state.legs == filed.legs else at,
        "was_suspended": state.was_suspended,
        "reinstatement_asked": state.reinstatement_asked,
        "open_tasks": state.open_tasks,
        "external_id": filed.external_id or state.external_id,
        "documents": state.documents,
        "stay_contact_at": state.stay_contact_at,
        "contact_confirmed_at": state.contact_confirmed_at,
        "was_flagged": state.was_flagged,
        "return_recorded": state.return_recorded,
    }
    if _decided_on(state) == _decided_on(filed):
        kept |= {
            "status": state.status,
            "decision": state.decision,
            "agreements": state.agreements,
            "exception": state.exception,
        }
    return filed.model_copy(update=kept)


def _decided_on(state: Registration) -> tuple[object, ...]:
    """What a clearance stands on: a new phone number changes no decision."""
    return (
        state.approval_id,
        state.faculty_id,
        state.programme_id,
        state.activity_type,
        state.legs,
        state.study_related,
    )


DecisionEvent = (
    RegistrationHeld
    | RegistrationRouted
    | RegistrationApproved
    | RegistrationRefused
    | ClearanceSuspended
    | ClearanceRestored
)


def _decided(
    state: Registration, status: Status, event: DecisionEvent, at: datetime, decided_by: str = "rules"
) -> Registration:
    decision = Decision(
        status=status,
        rule="R10" if isinstance(event, RegistrationApproved | ClearanceRestored) else event.rule,
        reason=event.reason,
        advice=event.advice,
        decided_by=decided_by,
        decided_at=at,
    )
    return state.model_copy(update={"status": status, "decision": decision})


def _cleared(state: Registration, event: RegistrationApproved) -> dict[str, object]:
    """R18: what an exception was made on; R21: a person who clears it ends the suspension."""
    orange = tuple(seen for seen in event.advice if seen.level == Level.ORANGE) if event.exception else ()
    suspended = state.was_suspended and event.decided_by == "rules"
    return {"exception": orange, "was_suspended": suspended, "approval_asked": False, "agreements": ()}


#: Reasons of a task: what a clearance rested on is there no more.
APPROVAL_GONE = frozenset({"approval_withdrawn", "approval_refused"})


def _task_opened(state: Registration, event: TaskOpened) -> Registration:
    task = Task(task_id=event.task_id, queue=event.queue, scope=event.scope, rule=event.rule, reason=event.reason)
    others = tuple(each for each in state.open_tasks if each.task_id != event.task_id)
    asked = state.reinstatement_asked or event.rule == "R21"
    flagged = state.was_flagged or event.rule == "R23"
    gone = state.approval_asked or event.reason in APPROVAL_GONE
    change = {"reinstatement_asked": asked, "was_flagged": flagged, "approval_asked": gone}
    return state.model_copy(update={"open_tasks": (*others, task), **change})


def _task_closed(state: Registration, event: TaskClosed) -> Registration:
    """A task that a person settled is an agreement about its rule."""
    change: dict[str, object] = {
        "open_tasks": tuple(task for task in state.open_tasks if task.task_id != event.task_id)
    }
    task = next((each for each in state.open_tasks if each.task_id == event.task_id), None)
    if task is not None and event.settled_on is not None:
        others = tuple(each for each in state.agreements if each.rule != task.rule)
        agreed = Agreement(rule=task.rule, agreed_by=event.closed_by, advice=event.settled_on)
        change["agreements"] = (*others, agreed)
    return state.model_copy(update=change)


def _task_claimed(state: Registration, event: TaskClaimed) -> Registration:
    tasks = tuple(
        task.model_copy(update={"claimed_by": event.claimed_by}) if task.task_id == event.task_id else task
        for task in state.open_tasks
    )
    return state.model_copy(update={"open_tasks": tasks})


def _attached(state: Registration, event: DocumentAttached, at: datetime) -> Registration:
    """R9: a new document replaces the former of the same kind."""
    document = Document(
        document_id=event.document_id,
        kind=event.kind,
        sha256=event.sha256,
        size_bytes=event.size_bytes,
        media_type=event.media_type,
        name=event.name,
        attached_at=at,
    )
    others = tuple(each for each in state.documents if each.kind != event.kind)
    return state.model_copy(update={"documents": (*others, document)})


def _returned(state: Registration, event: ReturnRecorded, at: datetime) -> Registration:
    recorded = Return(
        on=event.on, outcome=event.outcome, recorded_by=event.recorded_by, recorded_at=at, advice=event.advice
    )
    return state.model_copy(update={"return_recorded": recorded})
