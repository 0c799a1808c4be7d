"""What a student still needs, why, until when and from whom: R1, R2, R4, R6-R17, R19, R24, R39, a line for each."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from enum import StrEnum

from services.registration.model import Decision, Registration, Status
from services.registration.read_models import DecisionInputs
from services.registration.rules import approval, departure, documents, places, reminders
from services.registration.rules.clearance import Queue
from services.registration.rules.study_related import study_related
from shared.advice import OVERRIDES
from shared.clock import amsterdam_date
from shared.events import AdviceSeen, LevelGrounds


class Item(StrEnum):
    """What a line is about."""

    STUDY_RELATED = "study_related"
    APPROVAL = "approval"
    TIMING = "timing"
    DOCUMENT = "document"
    ADVICE = "travel_advice"
    STAY_CONTACT = "stay_contact"
    SAFETY_SESSION = "safety_session"
    GROUP_TRIP = "group_trip"
    PAGE = "page"
    CLEARANCE = "clearance"


class State(StrEnum):
    """Who has to act: nobody (DONE), the student (TODO) or staff (WAITING); BLOCKED: the student cannot go."""

    DONE = "done"
    TODO = "todo"
    WAITING = "waiting"
    BLOCKED = "blocked"


@dataclass(frozen=True, slots=True)
class Line:
    """One line. `reason` has a text, `until` is the last day, `who` is the queue whose staff the student contacts.

    `grounds`: who decided the level of the advice that the line is about (R17), and since when.
    """

    item: Item
    state: State
    rule: str
    reason: str
    until: date | None = None
    who: Queue | None = None
    country: str | None = None
    document: str | None = None
    grounds: LevelGrounds | None = None
    page: str | None = None


def checklist(
    registration: Registration, inputs: DecisionInputs, now: datetime, *, has_unnamed_request: bool = False
) -> tuple[Line, ...]:
    """Every line, done or not, on the current inputs; the last line is the clearance as it was decided.

    `has_unnamed_request`: the student has asked for an approval that the registration does not name.
    """
    return (
        _study_line(registration),
        _approval_line(registration, inputs, now, has_unnamed_request),
        _timing_line(registration, now),
        *_document_lines(registration, inputs),
        *_advice_lines(registration, inputs, now),
        *_stay_contact_lines(registration, now),
        *_page_lines(registration, inputs),
        *_session_lines(registration, now),
        *_trip_lines(registration),
        _clearance_line(registration),
    )


def _study_line(registration: Registration) -> Line:
    relation = study_related(registration.answers)
    rule = "R1" if relation.is_study_related else "R11"
    return Line(Item.STUDY_RELATED, State.DONE, rule, relation.reasons[0])


def _approval_line(
    registration: Registration, inputs: DecisionInputs, now: datetime, has_unnamed_request: bool
) -> Line:
    """R4: decided before the first day, so the day before is the last; after that by the coordinator alone."""
    reason = approval.approval_standing(registration, inputs.approval).reason
    has_started = amsterdam_date(now) >= registration.departure_date
    last_day = None if has_started else registration.departure_date - timedelta(days=1)
    match reason:
        case approval.Reason.NOT_NEEDED:
            return Line(Item.APPROVAL, State.DONE, "R11", reason)
        case approval.Reason.GRANTED:
            return Line(Item.APPROVAL, State.DONE, "R2", reason)
        case approval.Reason.REFUSED | approval.Reason.REVOKED:
            return Line(Item.APPROVAL, State.BLOCKED, "R2", reason, last_day, Queue.COORDINATOR)
        case approval.Reason.MISSING if has_unnamed_request:
            return Line(Item.APPROVAL, State.TODO, "R2", "approval_not_named", last_day)
        case approval.Reason.MISSING if has_started:
            return Line(Item.APPROVAL, State.TODO, "R4", "approval_missing_after_start", None, Queue.COORDINATOR)
        case approval.Reason.PENDING if has_started:
            return Line(Item.APPROVAL, State.WAITING, "R4", "approval_pending_after_start", None, Queue.COORDINATOR)
        case approval.Reason.MISSING | approval.Reason.WITHDRAWN | approval.Reason.OF_ANOTHER_PERSON:
            return Line(Item.APPROVAL, State.TODO, "R2", reason, last_day, Queue.COORDINATOR)
        case _:
            return Line(Item.APPROVAL, State.WAITING, "R2", reason, last_day, Queue.COORDINATOR)


def _timing_line(registration: Registration, now: datetime) -> Line:
    """A registration that was cleared in time stays in time, also after departure."""
    cleared = registration.status in (Status.APPROVED, Status.SUSPENDED) and registration.decision is not None
    judged_at = registration.itinerary_at if cleared else now
    window = departure.departure(registration.departure_date, registration.itinerary_at, judged_at)
    if window.reason is departure.Reason.SELF_SERVICE:
        return Line(Item.TIMING, State.DONE, window.rule, window.reason)
    until = registration.departure_date if window.reason is departure.Reason.WITHIN_TWO_WEEKS else None
    return Line(Item.TIMING, State.WAITING, window.rule, window.reason, until, Queue.FACULTY_CONTACT)


def _document_lines(registration: Registration, inputs: DecisionInputs) -> list[Line]:
    """R9: one line for each kind that the catalogue requires."""
    attached = tuple(document.kind for document in registration.documents)
    missing = documents.completeness(inputs.required_documents, attached).missing
    last_day = registration.departure_date - timedelta(days=1)
    return [
        Line(
            Item.DOCUMENT, State.TODO, "R9", documents.Reason.MISSING, last_day, Queue.FACULTY_CONTACT, document=kind
        )
        if kind in missing
        else Line(Item.DOCUMENT, State.DONE, "R9", documents.Reason.COMPLETE, document=kind)
        for kind in dict.fromkeys(inputs.required_documents)
    ]  # fmt: skip


def _stay_contact_lines(registration: Registration, now: datetime) -> list[Line]:
    """R24: from the first day on, how the student can be reached there."""
    is_over = registration.status is Status.CANCELLED or registration.has_returned
    if is_over or amsterdam_date(now) < registration.departure_date:
        return []
    if registration.stay_contact_at is not None:
        return [Line(Item.STAY_CONTACT, State.DONE, "R24", "stay_contact_known")]
    until = registration.departure_date + STAY_CONTACT_DAYS
    return [Line(Item.STAY_CONTACT, State.TODO, "R24", "stay_contact_missing", until, Queue.COORDINATOR)]


def _session_lines(registration: Registration, now: datetime) -> list[Line]:
    """R39: asked until the day before departure; it never blocks."""
    if registration.progress.session_attended:
        return [Line(Item.SAFETY_SESSION, State.DONE, "R39", reminders.Reason.ATTENDED)]
    if registration.status in (Status.CANCELLED, Status.REFUSED) or amsterdam_date(now) >= registration.departure_date:
        return []
    last_day = registration.departure_date - timedelta(days=1)
    return [
        Line(
            Item.SAFETY_SESSION,
            State.TODO,
            "R39",
            reminders.Reason.SESSION_MISSING,
            last_day,
            Queue.INTERNATIONAL_OFFICE,
        )
    ]


def _trip_lines(registration: Registration) -> list[Line]:
    """R15: the leader changed the trip, and the places that count are those that the student registers."""
    if registration.trip_change is None or registration.status is Status.CANCELLED or registration.has_returned:
        return []
    return [Line(Item.GROUP_TRIP, State.TODO, "R15", "trip_changed", registration.departure_date)]


def _page_lines(registration: Registration, inputs: DecisionInputs) -> list[Line]:
    """R39: the pages that a student acknowledges; like the session they never block."""
    if registration.status in (Status.CANCELLED, Status.REFUSED) or registration.has_returned:
        return []
    read = {page.id: page.version for page in registration.acknowledged}
    return [
        Line(Item.PAGE, State.DONE, "R39", "page_acknowledged", page=page)
        if page in read and version in (None, read[page])
        else Line(Item.PAGE, State.TODO, "R39", "page_not_acknowledged", page=page)
        for page, version in inputs.pages.items()
    ]


def _advice_lines(registration: Registration, inputs: DecisionInputs, now: datetime) -> list[Line]:
    """One line for each country and reason, in the order of the journey."""
    lines: dict[tuple[str, str], Line] = {}
    for place in places.places(registration.legs, inputs, now):
        line = _advice_line(place, registration.departure_date)
        lines.setdefault((place.leg.country, line.reason), line)
    return list(lines.values())


def _advice_line(place: places.Place, departure_date: date) -> Line:
    line = _line_of_place(place, departure_date)
    return replace(line, country=place.leg.country, grounds=place.grounds)


def _line_of_place(place: places.Place, departure_date: date) -> Line:
    match place.reason:
        case places.Reason.SAFE:
            return Line(Item.ADVICE, State.DONE, "R12", place.reason)
        case places.Reason.ALLOWED:
            return Line(Item.ADVICE, State.DONE, "R17", place.reason)
        case places.Reason.FORBIDDEN:
            return Line(Item.ADVICE, State.BLOCKED, "R17", place.reason, None, Queue.FACULTY_CONTACT)
        case places.Reason.NEGATIVE:
            return Line(Item.ADVICE, State.BLOCKED, "R13", place.reason, None, Queue.FACULTY_CONTACT)
        case places.Reason.UNRESOLVED:
            return Line(Item.ADVICE, State.TODO, "R16", place.reason, departure_date, Queue.SAFETY_OFFICER)
        case _:
            return Line(Item.ADVICE, State.WAITING, "R14", place.reason, departure_date, Queue.SAFETY_OFFICER)


def _clearance_line(registration: Registration) -> Line:
    """R10: only an approved registration says "you may depart"."""
    if registration.status is Status.CANCELLED:
        return Line(Item.CLEARANCE, State.BLOCKED, "R10", "cancelled")
    decision = registration.decision
    if decision is None:
        return Line(Item.CLEARANCE, State.WAITING, "R10", "undecided")
    who = whom_to_ask(decision.rule)
    match registration.status:
        case Status.APPROVED:
            return Line(Item.CLEARANCE, State.DONE, decision.rule, decision.reason)
        case Status.REFUSED | Status.SUSPENDED:
            grounds = override_decided_on(decision)
            return Line(Item.CLEARANCE, State.BLOCKED, decision.rule, decision.reason, None, who, grounds=grounds)
        case _:
            return Line(Item.CLEARANCE, State.WAITING, decision.rule, decision.reason, registration.departure_date, who)


def override_decided_on(decision: Decision) -> LevelGrounds | None:
    """R17: the override for which the decision blocks; None when it blocks for another reason."""
    return override_in(decision.advice) if decision.reason == places.Reason.FORBIDDEN else None


def override_in(advice: Sequence[AdviceSeen]) -> LevelGrounds | None:
    """R17: the first override that decided a level of this advice."""
    all_grounds = (seen.grounds for seen in advice)
    return next((grounds for grounds in all_grounds if grounds and grounds.basis in OVERRIDES), None)


#: R24: after the reminder of day 7 the coordinator gets a task (proposal).
STAY_CONTACT_DAYS = timedelta(days=7)

#: For every rule that blocks, the queue whose staff the student contacts.
_WHO = {
    "R2": Queue.COORDINATOR,
    "R9": Queue.FACULTY_CONTACT,
    "R7": Queue.FACULTY_CONTACT,
    "R8": Queue.FACULTY_CONTACT,
    "R13": Queue.FACULTY_CONTACT,
    "R14": Queue.SAFETY_OFFICER,
    "R16": Queue.SAFETY_OFFICER,
    "R17": Queue.FACULTY_CONTACT,
    "R18": Queue.SAFETY_OFFICER,
    "R19": Queue.COORDINATOR,
    "R21": Queue.COORDINATOR,
}


def whom_to_ask(rule: str) -> Queue:
    """Whom a student contacts when this rule blocks; by default the faculty's contact person."""
    return _WHO.get(rule, Queue.FACULTY_CONTACT)
