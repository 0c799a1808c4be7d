"""A case that waits for an office of the university: the fold of the events that open and close it. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from pydantic import Field

from shared.events import (
    AdviceHeld,
    AdviceReleased,
    ApprovalAnswered,
    ApprovalEvent,
    ApprovalRequested,
    ApprovalReturned,
    ApprovalStepRecorded,
    Event,
    Part,
    PersonAnswered,
    RegistrationCancelled,
    ReturnRecorded,
    SourceChecked,
    SourceFailed,
    StayEnded,
    StepKind,
    TaskClosed,
    TaskOpened,
)


class CaseKind(StrEnum):
    """What waits. OVERDUE: a student who has not said that they are back."""

    REQUEST = "request"
    STEP = "step"
    TASK = "task"
    OVERDUE = "overdue"
    HOLD = "hold"
    SOURCE = "source"
    REPLY = "reply"
    HELP = "help"


class OfficeCase(Part):
    """One case. `about`: the request, registration, hold, source, alert or stored reply."""

    case_id: str
    kind: CaseKind
    queue: str
    about: str
    version: int = Field(description="streamversion of the newest event about it")
    opened_at: datetime
    is_open: bool = True
    rule: str = ""


@dataclass(frozen=True, slots=True)
class CaseChange:
    """What one event does to one case: it opens `opened`, or closes `case_id`."""

    case_id: str
    version: int
    opened: OfficeCase | None = None


_COORDINATOR, _OFFICE, _OFFICERS = "coordinator", "international-office", "safety-officer"


def case_changes(event: Event, version: int, at: datetime) -> tuple[CaseChange, ...]:
    """The cases that an event opens or closes."""
    if isinstance(event, ApprovalEvent):
        return _of_request(event, version, at)
    match event:
        case TaskOpened():
            opened = _case(CaseKind.TASK, event.task_id, event.queue, event.registration_id, version, at, event.rule)
        case StayEnded():
            registration = event.registration_id
            opened = _case(CaseKind.OVERDUE, registration, _OFFICE, registration, version, at, "R26")
        case AdviceHeld():
            opened = _case(CaseKind.HOLD, event.hold_id, _OFFICERS, event.hold_id, version, at)
        case SourceFailed():
            opened = _case(CaseKind.SOURCE, event.source, _OFFICERS, event.source, version, at, "R14")
        case PersonAnswered(answer="help"):
            opened = _case(CaseKind.HELP, _answer(event), _OFFICERS, event.alert_id, version, at, "R38")
        case PersonAnswered():
            return (_closed(CaseKind.HELP, _answer(event), version),)
        case TaskClosed():
            return (_closed(CaseKind.TASK, event.task_id, version),)
        case RegistrationCancelled() | ReturnRecorded(outcome="returned"):
            return (_closed(CaseKind.OVERDUE, event.registration_id, version),)
        case AdviceReleased():
            return (_closed(CaseKind.HOLD, event.hold_id, version),)
        case SourceChecked():
            return (_closed(CaseKind.SOURCE, event.source, version),)
        case _:
            return ()
    return (CaseChange(opened.case_id, version, opened),)


def reply_case(callback_id: str, at: datetime) -> CaseChange:
    """A reply by SMS that a person has to read. No event tells of it: the raw post stays in the database."""
    case = _case(CaseKind.REPLY, callback_id, _OFFICERS, callback_id, 1, at)
    return CaseChange(case.case_id, 1, case)


def read_reply(callback_id: str) -> CaseChange:
    """A person has read the reply."""
    return _closed(CaseKind.REPLY, callback_id, 2)


def evolve_case(case: OfficeCase | None, change: CaseChange) -> OfficeCase | None:
    """The case after a change; an older version changes nothing.

    A case that is open stays open since it opened; only a stay that ends once more, on later days, begins anew.
    """
    if case is None:
        return change.opened
    if change.version <= case.version:
        return case
    if change.opened is None:
        return case.model_copy(update={"version": change.version, "is_open": False})
    stays_open = case.is_open and case.kind is not CaseKind.OVERDUE
    return case.model_copy(update={"version": change.version}) if stays_open else change.opened


def fold_changes(cases: Mapping[str, OfficeCase], changes: Iterable[CaseChange]) -> dict[str, OfficeCase]:
    """The cases that the changes leave different, by id."""
    after = dict(cases)
    for change in changes:
        case = evolve_case(after.get(change.case_id), change)
        if case is not None:
            after[change.case_id] = case
    return {case_id: case for case_id, case in after.items() if case is not cases.get(case_id)}


def _of_request(event: ApprovalEvent, version: int, at: datetime) -> tuple[CaseChange, ...]:
    """A request waits for the coordinator until a decision or a question, and again after the student's answer."""
    request = event.approval_id
    if isinstance(event, ApprovalStepRecorded):
        is_of_office = event.step is StepKind.INTERNATIONAL_OFFICE_CONTACTED
        return (_closed(CaseKind.STEP, request, version),) if is_of_office else ()
    if isinstance(event, ApprovalRequested | ApprovalAnswered):
        cases = [_case(CaseKind.REQUEST, request, _COORDINATOR, request, version, at, "R4")]
        findings = event.findings if isinstance(event, ApprovalRequested) else ()
        if any(finding.step and finding.queue == _OFFICE for finding in findings):
            cases.append(_case(CaseKind.STEP, request, _OFFICE, request, version, at, "R35"))
        return tuple(CaseChange(case.case_id, version, case) for case in cases)
    closed = _closed(CaseKind.REQUEST, request, version)
    return (closed,) if isinstance(event, ApprovalReturned) else (closed, _closed(CaseKind.STEP, request, version))


def _answer(event: PersonAnswered) -> str:
    return f"{event.alert_id}:{event.person_id}"


def _case(kind: CaseKind, name: str, queue: str, about: str, version: int, at: datetime, rule: str = "") -> OfficeCase:
    return OfficeCase(
        case_id=f"{kind}:{name}", kind=kind, queue=queue, about=about, version=version, opened_at=at, rule=rule
    )


def _closed(kind: CaseKind, name: str, version: int) -> CaseChange:
    return CaseChange(f"{kind}:{name}", version)
