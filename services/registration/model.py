"""One registration: the fold of its events. Full state comes from the student, everything else from decisions."""

from datetime import date, datetime
from enum import StrEnum
from typing import Literal

from pydantic import Field

from shared.errors import PermanentError
from shared.events import (
    ActivityType,
    AdviceSeen,
    ClearanceSuspended,
    Event,
    Identifier,
    Leg,
    Part,
    RegistrationApproved,
    RegistrationCancelled,
    RegistrationChanged,
    RegistrationHeld,
    RegistrationRefused,
    RegistrationRouted,
    RegistrationSubmitted,
    Sealed,
    StudyAnswers,
    TaskClosed,
    TaskOpened,
)


class Status(StrEnum):
    """Where a registration stands. Only APPROVED says "you may depart" (R10)."""

    SUBMITTED = "submitted"  # committed, not yet decided
    HELD = "held"
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
    open_tasks: tuple[Task, ...] = ()

    def has_open_task(self, queue: str, rule: str) -> bool:
        """Somebody already has this to look at."""
        return any(task.queue == queue and task.rule == rule for task in self.open_tasks)


def evolve(state: Registration | None, event: Event, at: datetime, version: int) -> Registration:
    """The registration after a fact. Raises PermanentError when the stream does not begin with a submission."""
    if isinstance(event, RegistrationSubmitted):  # a RegistrationChanged too
        return _filed(state, event, at)
    if state is None:
        raise PermanentError(f"{type(event).__name__} at version {version} before the submission")
    match event:
        case RegistrationHeld():
            return _decided(state, Status.HELD, event, at)
        case RegistrationRouted():
            return _decided(state, Status.ROUTED, event, at)
        case RegistrationRefused():
            return _decided(state, Status.REFUSED, event, at, event.decided_by)
        case RegistrationApproved():
            return _decided(state, Status.APPROVED, event, at, event.decided_by)
        case ClearanceSuspended():
            suspended = _decided(state, Status.SUSPENDED, event, at)
            return suspended.model_copy(update={"was_suspended": True, "reinstatement_asked": False})
        case RegistrationCancelled():
            return state.model_copy(update={"status": Status.CANCELLED, "changed_at": at})
        case TaskOpened():
            return _task_opened(state, event)
        case TaskClosed():
            left = tuple(task for task in state.open_tasks if task.task_id != event.task_id)
            return state.model_copy(update={"open_tasks": left})
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
    )
    if state is None:
        return filed
    kept: dict[str, object] = {
        "submitted_at": state.submitted_at,
        "itinerary_at": state.itinerary_at if state.legs == filed.legs else at,
        "was_suspended": state.was_suspended,
        "reinstatement_asked": state.reinstatement_asked,
        "open_tasks": state.open_tasks,
    }
    if _decided_on(state) == _decided_on(filed):
        kept |= {"status": state.status, "decision": state.decision}
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


DecisionEvent = RegistrationHeld | RegistrationRouted | RegistrationApproved | RegistrationRefused | ClearanceSuspended


def _decided(
    state: Registration, status: Status, event: DecisionEvent, at: datetime, decided_by: str = "rules"
) -> Registration:
    decision = Decision(
        status=status,
        rule="R10" if isinstance(event, RegistrationApproved) else event.rule,
        reason=event.reason,
        advice=event.advice,
        decided_by=decided_by,
        decided_at=at,
    )
    return state.model_copy(update={"status": status, "decision": decision})


def _task_opened(state: Registration, event: TaskOpened) -> Registration:
    task = Task(task_id=event.task_id, queue=event.queue, scope=event.scope, rule=event.rule, reason=event.reason)
    others = tuple(each for each in state.open_tasks if each.task_id != event.task_id)
    asked = state.reinstatement_asked or event.rule == "R21"
    return state.model_copy(update={"open_tasks": (*others, task), "reinstatement_asked": asked})
