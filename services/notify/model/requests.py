"""A request for approval as notify knows it: what mail about it says. The fold of the events of one request. Pure."""

from datetime import date
from enum import StrEnum
from typing import Literal

from pydantic import Field

from shared.events import (
    ActivityType,
    ApprovalAnswered,
    ApprovalEvent,
    ApprovalGranted,
    ApprovalRefused,
    ApprovalRequested,
    ApprovalReturned,
    ApprovalRevoked,
    ApprovalStepRecorded,
    Country,
    Identifier,
    Part,
    StepKind,
)


class RequestState(StrEnum):
    """Who has to act on the request, or how it ended. ENDED: withdrawn, or ended in any other way."""

    OPEN = "open"
    QUESTION = "question"
    GRANTED = "granted"
    REFUSED = "refused"
    REVOKED = "revoked"
    ENDED = "ended"


class Request(Part):
    """One request. Dates are Europe/Amsterdam."""

    approval_id: Identifier
    version: int
    person_id: Identifier
    faculty_id: Identifier
    programme_id: Identifier
    activity_type: ActivityType
    country: Country
    start_date: date
    end_date: date
    language: Literal["nl", "en"]
    has_contact: bool = Field(description="The request came with contact details")
    office_steps: tuple[StepKind, ...] = Field(default=(), description="Steps that the International Office records")
    study_level: Literal["bachelor", "master"] | None = Field(default=None, description="Of the programme, where asked")
    state: RequestState = RequestState.OPEN


_STATES: dict[type[ApprovalEvent], RequestState] = {
    ApprovalReturned: RequestState.QUESTION,
    ApprovalAnswered: RequestState.OPEN,
    ApprovalGranted: RequestState.GRANTED,
    ApprovalRefused: RequestState.REFUSED,
    ApprovalRevoked: RequestState.REVOKED,
}


def evolve_request(request: Request | None, event: ApprovalEvent, version: int) -> Request | None:
    """The request after an event; None before the first one. An older version changes nothing."""
    if request is not None and version <= request.version:
        return request
    if isinstance(event, ApprovalRequested):
        steps = [finding.step for finding in event.findings if finding.queue == "international-office" and finding.step]
        return Request(
            approval_id=event.approval_id,
            version=version,
            person_id=event.person_id,
            faculty_id=event.faculty_id,
            programme_id=event.programme_id,
            activity_type=event.activity_type,
            country=event.country,
            start_date=event.start_date,
            end_date=event.end_date,
            language=event.language,
            has_contact=event.contact is not None,
            office_steps=tuple(steps),
            study_level=event.details.study_level if event.details is not None else None,
        )
    if request is None:
        return None
    change: dict[str, object] = {"version": version}
    if isinstance(event, ApprovalStepRecorded):
        change["office_steps"] = tuple(step for step in request.office_steps if step is not event.step)
    else:
        change["state"] = _STATES.get(type(event), RequestState.ENDED)
    return request.model_copy(update=change)
