"""Computes a registration from its events. Pure: the same events give the same state, here and in the audit."""

from datetime import datetime

from services.registration.model import APPROVAL_LOST, Agreement, Decision, Document, Registration, Return, Status, Task
from services.registration.schedule import JourneyProgress, advance_progress
from shared.errors import PermanentError
from shared.events import (
    AcknowledgedPage,
    ClearanceRestored,
    ClearanceSuspended,
    DocumentAttached,
    Event,
    Level,
    RegistrationApproved,
    RegistrationCancelled,
    RegistrationChanged,
    RegistrationHeld,
    RegistrationRefused,
    RegistrationRouted,
    RegistrationSubmitted,
    ReturnRecorded,
    StayContactUpdated,
    TaskClaimed,
    TaskClosed,
    TaskOpened,
    TripChangeOffered,
)


def evolve(state: Registration | None, event: Event, at: datetime, version: int) -> Registration:
    """The registration after an event. Raises PermanentError when the stream does not begin with a submission."""
    after = _evolve_registration(state, event, at, version)
    progress = advance_progress(
        state.progress if state else JourneyProgress(),
        event,
        at,
        lambda: after.dates,
        has_moved=state is None or after.legs != state.legs,
        is_cancelled=after.status is Status.CANCELLED,
        has_contact_task=any(task.rule == "R24" for task in after.open_tasks),
    )
    if progress is after.progress:
        return after
    return after.model_copy(update={"progress": progress})


def _evolve_registration(state: Registration | None, event: Event, at: datetime, version: int) -> Registration:
    """Everything but `progress`."""
    if isinstance(event, RegistrationSubmitted):  # RegistrationChanged is a subclass
        return _submit(state, event, at)
    if state is None:
        raise PermanentError(f"{type(event).__name__} at version {version} before the submission")
    match event:
        case RegistrationHeld():
            return _decide(state, Status.INCOMPLETE if event.rule == "R9" else Status.HELD, event, at)
        case RegistrationRouted():
            return _decide(state, Status.ROUTED, event, at)
        case RegistrationRefused():
            return _decide(state, Status.REFUSED, event, at, event.decided_by)
        case RegistrationApproved():
            approved = _decide(state, Status.APPROVED, event, at, event.decided_by)
            return approved.model_copy(update=_clearance_fields(state, event))
        case ClearanceRestored():
            restored = _decide(state, Status.APPROVED, event, at, event.decided_by)
            cleared = {
                "was_suspended": False,
                "reinstatement_asked": False,
                "approval_asked": False,
                "agreements": (),
                "cleared_legs": state.legs,
            }
            return restored.model_copy(update=cleared)
        case ClearanceSuspended():
            suspended = _decide(state, Status.SUSPENDED, event, at)
            lost = {
                "was_suspended": True,
                "reinstatement_asked": False,
                "agreements": (),
                "exception": (),
                "cleared_legs": (),
            }
            return suspended.model_copy(update=lost)
        case RegistrationCancelled():
            return state.model_copy(update={"status": Status.CANCELLED, "changed_at": at})
        case TaskOpened():
            return _open_task(state, event)
        case TaskClosed():
            return _close_task(state, event)
        case TaskClaimed():
            return _claim_task(state, event)
        case DocumentAttached():
            return _attach_document(state, event, at)
        case StayContactUpdated():
            stay_contact = {
                "stay_contact": event.contact,
                "stay_contact_given": event.given,
                "stay_contact_at": at,
                "contact_confirmed_at": at if event.confirmed else state.contact_confirmed_at,
            }
            return state.model_copy(update=stay_contact)
        case TripChangeOffered():
            return state.model_copy(update={"trip_change": None if event.withdrawn else event.trip_version})
        case ReturnRecorded():
            return _record_return(state, event, at)
        case _:
            return state


def _acknowledged(state: Registration, event: RegistrationSubmitted) -> tuple[AcknowledgedPage, ...]:
    """R39: the newest acknowledgement of each page; a form that names none takes none away."""
    newest = {page.id: page for page in (*state.acknowledged, *event.acknowledged)}
    return tuple(newest.values())


def _submit(state: Registration | None, event: RegistrationSubmitted, at: datetime) -> Registration:
    """What the student submitted. A former decision stays when nothing on which it rests has changed."""
    if isinstance(event, RegistrationChanged) and state is None:
        raise PermanentError("RegistrationChanged before the submission")
    submitted = Registration(
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
        acknowledged=event.acknowledged,
        programme_from_login=event.programme_from_login,
    )
    if state is None:
        return submitted
    keeps_journey = (state.legs, state.group_id) == (submitted.legs, submitted.group_id)
    retained: dict[str, object] = {
        "trip_change": state.trip_change if keeps_journey else None,  # another journey is the student's answer
        "submitted_at": state.submitted_at,
        "itinerary_at": state.itinerary_at if state.legs == submitted.legs else at,
        "was_suspended": state.was_suspended,
        "reinstatement_asked": state.reinstatement_asked,
        "open_tasks": state.open_tasks,
        "external_id": submitted.external_id or state.external_id,
        "documents": state.documents,
        "stay_contact": state.stay_contact,
        "stay_contact_given": state.stay_contact_given,
        "stay_contact_at": state.stay_contact_at,
        "contact_confirmed_at": state.contact_confirmed_at,
        "was_flagged": state.was_flagged,
        "return_recorded": None if state.has_returned and submitted.legs != state.legs else state.return_recorded,
        "acknowledged": _acknowledged(state, event),
    }
    if state.has_departed(at):  # before departure another itinerary is decided anew as a whole
        retained["cleared_legs"] = state.cleared_legs
    if _decision_basis(state) == _decision_basis(submitted) or _is_shortened(state, submitted, at):
        retained |= {
            "cleared_legs": state.cleared_legs,
            "status": state.status,
            "decision": state.decision,
            "agreements": state.agreements,
            "exception": state.exception,
        }
    return submitted.model_copy(update=retained)


def _decision_basis(state: Registration) -> tuple[object, ...]:
    """On which fields a clearance rests: a new phone number changes no decision."""
    return (
        state.approval_id,
        state.faculty_id,
        state.programme_id,
        state.activity_type,
        state.legs,
        state.study_related,
    )


def _is_shortened(state: Registration, submitted: Registration, at: datetime) -> bool:
    """Whether a student who is abroad only leaves out days or places: there is nothing new to decide (R8)."""
    return (
        state.has_departed(at)
        and submitted.departure_date == state.departure_date
        and _decision_basis(state) == _decision_basis(submitted.model_copy(update={"legs": state.legs}))
        and all(any(leg.is_within(former) for former in state.legs) for leg in submitted.legs)
    )


DecisionEvent = (
    RegistrationHeld
    | RegistrationRouted
    | RegistrationApproved
    | RegistrationRefused
    | ClearanceSuspended
    | ClearanceRestored
)


def _decide(
    state: Registration, status: Status, event: DecisionEvent, at: datetime, decided_by: str = "rules"
) -> Registration:
    decision = Decision(
        status=status,
        rule="R10" if isinstance(event, RegistrationApproved | ClearanceRestored) else event.rule,
        reason=event.reason,
        advice=event.advice,
        decided_by=decided_by,
        decided_at=at,
        remark=getattr(event, "remark", None),
    )
    return state.model_copy(update={"status": status, "decision": decision})


def _clearance_fields(state: Registration, event: RegistrationApproved) -> dict[str, object]:
    """R18: the advice on which an exception was made; R21: a clearance by a person ends the suspension."""
    orange = tuple(seen for seen in event.advice if seen.level == Level.ORANGE) if event.exception else ()
    suspended = state.was_suspended and event.decided_by == "rules"
    return {
        "exception": orange,
        "was_suspended": suspended,
        "approval_asked": False,
        "agreements": (),
        "cleared_legs": state.legs,
    }


def _open_task(state: Registration, event: TaskOpened) -> Registration:
    task = Task(task_id=event.task_id, queue=event.queue, scope=event.scope, rule=event.rule, reason=event.reason)
    other_tasks = tuple(open_task for open_task in state.open_tasks if open_task.task_id != event.task_id)
    is_lost = event.reason in APPROVAL_LOST
    # R21: asked again on the next improvement, when what suspended the clearance has come back meanwhile.
    asked_before = state.reinstatement_asked and event.rule != "R19" and not is_lost
    change = {
        "open_tasks": (*other_tasks, task),
        "reinstatement_asked": asked_before or event.rule == "R21",
        "was_flagged": state.was_flagged or event.rule == "R23",
        "approval_asked": state.approval_asked or is_lost,
    }
    return state.model_copy(update=change)


def _close_task(state: Registration, event: TaskClosed) -> Registration:
    """A task that a person closed with a decision (`settled_on`) is an agreement about its rule."""
    change: dict[str, object] = {
        "open_tasks": tuple(task for task in state.open_tasks if task.task_id != event.task_id)
    }
    task = next((task for task in state.open_tasks if task.task_id == event.task_id), None)
    if task is not None and event.settled_on is not None:
        other_agreements = tuple(agreement for agreement in state.agreements if agreement.rule != task.rule)
        agreed = Agreement(rule=task.rule, agreed_by=event.closed_by, advice=event.settled_on)
        change["agreements"] = (*other_agreements, agreed)
    return state.model_copy(update=change)


def _claim_task(state: Registration, event: TaskClaimed) -> Registration:
    tasks = tuple(
        task.model_copy(update={"claimed_by": event.claimed_by}) if task.task_id == event.task_id else task
        for task in state.open_tasks
    )
    return state.model_copy(update={"open_tasks": tasks})


def _attach_document(state: Registration, event: DocumentAttached, at: datetime) -> Registration:
    """R9: a new document replaces the one of the same kind."""
    document = Document(
        document_id=event.document_id,
        kind=event.kind,
        sha256=event.sha256,
        size_bytes=event.size_bytes,
        media_type=event.media_type,
        name=event.name,
        attached_at=at,
        kind_sealed=event.kind_sealed,
    )
    other_kinds = tuple(attached for attached in state.documents if attached.kind_key != document.kind_key)
    return state.model_copy(update={"documents": (*other_kinds, document)})


def _record_return(state: Registration, event: ReturnRecorded, at: datetime) -> Registration:
    recorded = Return(
        on=event.on, outcome=event.outcome, recorded_by=event.recorded_by, recorded_at=at, advice=event.advice
    )
    return state.model_copy(update={"return_recorded": recorded})
