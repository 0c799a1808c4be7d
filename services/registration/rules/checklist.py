"""What a student still needs, why, until when and from whom: R1, R2, R6-R21, R24, R26, R39, a line for each.

No line contradicts another: what a person has decided is done, and after the journey nothing is asked any more.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import StrEnum

from services.registration.model import Decision, Registration, Status
from services.registration.read_models import DecisionInputs
from services.registration.rules import approval, departure, documents, places, reminders
from services.registration.rules.agreement import has_agreed
from services.registration.rules.clearance import Block, Clearance, Outcome, Queue, clearance
from services.registration.rules.clearance import Reason as BlockReason
from services.registration.rules.during_stay import during_stay, remaining_places
from services.registration.rules.exception import Reason as ExceptionReason
from services.registration.rules.exception import tolerated
from services.registration.rules.extension import is_extension, undecided_legs
from services.registration.rules.study_related import study_related
from services.registration.rules.suspension import is_judged
from shared.advice import OVERRIDES
from shared.clock import amsterdam_date, days_later
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


class Phase(StrEnum):
    """How far the journey is. AHEAD includes the day of departure: until then a student can still be stopped."""

    AHEAD = "ahead"
    UNDERWAY = "underway"
    OVERDUE = "overdue"  # the last day has passed and no return is recorded
    RETURNED = "returned"
    CANCELLED = "cancelled"


class Reason(StrEnum):
    """What a line says that no other rule says."""

    ACCEPTED = "accepted_by_person"
    UNDECIDED = "undecided"
    CANCELLED = "cancelled"
    RETURNED = "returned_home"
    RETURN_NOT_RECORDED = "return_not_recorded"
    RETURN_REQUESTED = "return_requested"
    CLEARED_UNDERWAY = "cleared_underway"
    NEGATIVE_THERE = "advice_negative_there"
    NOT_CURRENT = "advice_not_current"
    CAUSE_GONE = "refused_cause_gone"
    STILL_WITH_PERSON = "still_with_person"


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
    """Every line, done or not, on the current inputs; the last line is the clearance.

    `has_unnamed_request`: the student has asked for an approval that the registration does not name.
    """
    situation = _Situation(registration, inputs, now)
    if situation.phase in (Phase.RETURNED, Phase.CANCELLED):
        return (_study_line(registration), _clearance_line(situation))
    return (
        _study_line(registration),
        _approval_line(situation, has_unnamed_request),
        *_timing_lines(situation),
        *_document_lines(situation),
        *_advice_lines(situation),
        *_stay_contact_lines(situation),
        *_page_lines(situation),
        *_session_lines(situation),
        *_trip_lines(situation),
        _clearance_line(situation),
    )


def permits_departure(lines: tuple[Line, ...]) -> bool:
    """R10: whether the checklist says "you may depart"."""
    clearance_line = lines[-1]
    return clearance_line.state is State.DONE and clearance_line.rule == "R10"


def phase(registration: Registration, now: datetime) -> Phase:
    """How far the journey is, by Amsterdam dates."""
    if registration.status is Status.CANCELLED:
        return Phase.CANCELLED
    if registration.has_returned:
        return Phase.RETURNED
    if not registration.has_departed(now):
        return Phase.AHEAD
    return Phase.UNDERWAY if amsterdam_date(now) <= registration.return_date else Phase.OVERDUE


class _Situation:
    """One registration at one moment, and what the rules say of it now."""

    def __init__(self, registration: Registration, inputs: DecisionInputs, now: datetime) -> None:
        self.registration, self.inputs, self.now = registration, inputs, now
        self.today = amsterdam_date(now)
        self.phase = phase(registration, now)
        self.current: Clearance = clearance(registration, inputs, now)

    @property
    def is_cleared(self) -> bool:
        return self.registration.status is Status.APPROVED

    def open_blocks(self) -> list[Block]:
        """The blocks about which no person has decided yet."""
        agreements, seen = self.registration.agreements, self.current.advice
        return [block for block in self.current.blocks if not has_agreed(agreements, block.rule, seen)]

    def until(self, last_day: date) -> date | None:
        """A last day that has not passed."""
        return last_day if last_day >= self.today else None

    @property
    def day_before(self) -> date | None:
        return self.until(days_later(self.registration.departure_date, -1))


def _study_line(registration: Registration) -> Line:
    relation = study_related(registration.answers)
    rule = "R1" if relation.is_study_related else "R11"
    return Line(Item.STUDY_RELATED, State.DONE, rule, relation.reasons[0])


def _approval_line(situation: _Situation, has_unnamed_request: bool) -> Line:
    """R4: decided before the first day, so the day before is the last; after that by the coordinator alone."""
    reason = approval.approval_standing(situation.registration, situation.inputs.approval).reason
    is_accepted = situation.is_cleared or all(block.rule != "R2" for block in situation.open_blocks())
    has_started = situation.today >= situation.registration.departure_date
    match reason:
        case approval.Reason.NOT_NEEDED:
            return Line(Item.APPROVAL, State.DONE, "R11", reason)
        case approval.Reason.GRANTED:
            return Line(Item.APPROVAL, State.DONE, "R2", reason)
        case _ if is_accepted and reason in _FOR_SOMETHING_ELSE:
            return Line(Item.APPROVAL, State.DONE, "R2", Reason.ACCEPTED)
        case _ if situation.is_cleared and reason in _LOST:  # during the stay; before departure it is suspended
            return Line(Item.APPROVAL, State.WAITING, "R2", reason, None, Queue.COORDINATOR)
        case approval.Reason.REFUSED | approval.Reason.REVOKED:
            return Line(Item.APPROVAL, State.BLOCKED, "R2", reason, situation.day_before, Queue.COORDINATOR)
        case approval.Reason.MISSING if has_unnamed_request:
            return Line(Item.APPROVAL, State.TODO, "R2", "approval_not_named", situation.day_before)
        case approval.Reason.MISSING if has_started:
            return Line(Item.APPROVAL, State.TODO, "R4", "approval_missing_after_start", None, Queue.COORDINATOR)
        case approval.Reason.PENDING if has_started:
            return Line(Item.APPROVAL, State.WAITING, "R4", "approval_pending_after_start", None, Queue.COORDINATOR)
        case approval.Reason.MISSING | approval.Reason.WITHDRAWN:
            return Line(Item.APPROVAL, State.TODO, "R2", reason, situation.day_before, Queue.COORDINATOR)
        case _:
            return Line(Item.APPROVAL, State.WAITING, "R2", reason, situation.day_before, Queue.COORDINATOR)


#: A coordinator may decide that the approval covers the journey all the same.
_FOR_SOMETHING_ELSE = (approval.Reason.OTHER_ACTIVITY, approval.Reason.OTHER_COUNTRY, approval.Reason.OTHER_DATES)
_LOST = (approval.Reason.REFUSED, approval.Reason.WITHDRAWN, approval.Reason.REVOKED)


def _timing_lines(situation: _Situation) -> list[Line]:
    """R6-R8. A clearance or an agreement holds after departure as well; a refused journey waits for nobody."""
    registration = situation.registration
    is_decided = registration.status in (Status.APPROVED, Status.SUSPENDED)
    judged_at = registration.itinerary_at if is_decided else situation.now
    window = departure.departure(registration.departure_date, registration.itinerary_at, judged_at)
    if window.reason is departure.Reason.SELF_SERVICE:
        return [Line(Item.TIMING, State.DONE, window.rule, window.reason)]
    if is_decided or not any(block.rule in ("R7", "R8") for block in situation.open_blocks()):
        return [Line(Item.TIMING, State.DONE, window.rule, Reason.ACCEPTED)]
    if registration.status is Status.REFUSED:
        return []
    reason = BlockReason.EXTENDED if is_extension(registration, situation.now) else window.reason
    until = situation.until(registration.departure_date)
    return [Line(Item.TIMING, State.WAITING, window.rule, reason, until, Queue.FACULTY_CONTACT)]


def _document_lines(situation: _Situation) -> list[Line]:
    """R9: one line for each kind that the catalogue requires. What it requires later takes no clearance away."""
    attached = tuple(document.kind for document in situation.registration.documents)
    missing = documents.completeness(situation.inputs.required_documents, attached).missing
    return [
        Line(
            Item.DOCUMENT, State.TODO, "R9", documents.Reason.MISSING, situation.day_before, Queue.FACULTY_CONTACT,
            document=kind,
        )
        if kind in missing
        else Line(Item.DOCUMENT, State.DONE, "R9", documents.Reason.COMPLETE, document=kind)
        for kind in dict.fromkeys(situation.inputs.required_documents)
        if kind not in missing or not situation.is_cleared
    ]  # fmt: skip


def _stay_contact_lines(situation: _Situation) -> list[Line]:
    """R24: from the first day on, how the student can be reached there."""
    registration = situation.registration
    if situation.today < registration.departure_date:
        return []
    if registration.stay_contact_at is not None:
        return [Line(Item.STAY_CONTACT, State.DONE, "R24", "stay_contact_known")]
    until = situation.until(days_later(registration.departure_date, STAY_CONTACT_DAYS))
    return [Line(Item.STAY_CONTACT, State.TODO, "R24", "stay_contact_missing", until, Queue.COORDINATOR)]


def _session_lines(situation: _Situation) -> list[Line]:
    """R39: asked until the day before departure; it never blocks."""
    registration = situation.registration
    if registration.progress.session_attended:
        return [Line(Item.SAFETY_SESSION, State.DONE, "R39", reminders.Reason.ATTENDED)]
    if registration.status is Status.REFUSED or situation.today >= registration.departure_date:
        return []
    return [
        Line(
            Item.SAFETY_SESSION,
            State.TODO,
            "R39",
            reminders.Reason.SESSION_MISSING,
            situation.day_before,
            Queue.INTERNATIONAL_OFFICE,
        )
    ]


def _trip_lines(situation: _Situation) -> list[Line]:
    """R15: the leader changed the trip, and the places that count are those that the student registers."""
    registration = situation.registration
    if registration.trip_change is None:
        return []
    until = situation.until(registration.departure_date)
    return [Line(Item.GROUP_TRIP, State.TODO, "R15", "trip_changed", until)]


def _page_lines(situation: _Situation) -> list[Line]:
    """R39: the pages that a student acknowledges; like the session they never block."""
    registration = situation.registration
    if registration.status is Status.REFUSED:
        return []
    read = {page.id: page.version for page in registration.acknowledged}
    return [
        Line(Item.PAGE, State.DONE, "R39", "page_acknowledged", page=page)
        if page in read and version in (None, read[page])
        else Line(Item.PAGE, State.TODO, "R39", "page_not_acknowledged", page=page)
        for page, version in situation.inputs.pages.items()
    ]


def _advice_lines(situation: _Situation) -> list[Line]:
    """One line for each country and reason, in the order of the journey; during the stay of the places that remain."""
    shown = situation.current.places
    if situation.phase is not Phase.AHEAD:
        shown = remaining_places(situation.registration, shown, situation.now)
    lines: dict[tuple[str, str], Line] = {}
    for place in shown:
        line = _advice_line(situation, place)
        lines.setdefault((place.leg.country, line.reason), line)
    return list(lines.values())


def _advice_line(situation: _Situation, place: places.Place) -> Line:
    line = _line_of_place(situation, place)
    return replace(line, country=place.leg.country, grounds=place.grounds)


def _line_of_place(situation: _Situation, place: places.Place) -> Line:
    registration = situation.registration
    until = situation.until(registration.departure_date)
    is_agreed = place.leg in undecided_legs(registration, situation.now) and _is_agreed(situation, place)
    is_somewhere_safe = place.reason is places.Reason.UNRESOLVED and not place.may_be_negative
    if place.reason is places.Reason.ALLOWED:
        return Line(Item.ADVICE, State.DONE, "R17", place.reason)
    if place.is_safe or (situation.is_cleared and is_somewhere_safe):
        return Line(Item.ADVICE, State.DONE, "R12", places.Reason.SAFE)
    if tolerated(registration.exception, place):
        return Line(Item.ADVICE, State.DONE, "R18", ExceptionReason.GRANTED)
    if is_judged(registration, place) or is_agreed:
        return Line(Item.ADVICE, State.DONE, _ADVICE_RULE[place.reason], Reason.ACCEPTED)
    if place.may_be_negative and situation.phase is not Phase.AHEAD:
        return Line(Item.ADVICE, State.TODO, "R20", Reason.NEGATIVE_THERE, None, Queue.SAFETY_OFFICER)
    match place.reason:
        case places.Reason.FORBIDDEN:
            return Line(Item.ADVICE, State.BLOCKED, "R17", place.reason, None, Queue.FACULTY_CONTACT)
        case places.Reason.NEGATIVE:
            return Line(Item.ADVICE, State.BLOCKED, "R13", place.reason, None, Queue.FACULTY_CONTACT)
        case places.Reason.UNRESOLVED:
            return Line(Item.ADVICE, State.TODO, "R16", place.reason, until, Queue.SAFETY_OFFICER)
        case _ if situation.is_cleared:  # advice that is only stale takes no clearance away (R14)
            return Line(Item.ADVICE, State.TODO, "R14", Reason.NOT_CURRENT, until, Queue.SAFETY_OFFICER)
        case _:
            return Line(Item.ADVICE, State.WAITING, "R14", place.reason, until, Queue.SAFETY_OFFICER)


def _is_agreed(situation: _Situation, place: places.Place) -> bool:
    """R14, R16: whether a safety officer has decided about this place on exactly this advice."""
    rule = _ADVICE_RULE.get(place.reason, "")
    return has_agreed(situation.registration.agreements, rule, situation.current.advice)


_ADVICE_RULE = {
    places.Reason.UNRESOLVED: "R16",
    places.Reason.UNKNOWN: "R14",
    places.Reason.STALE: "R14",
    places.Reason.BEHIND: "R14",
}


def _clearance_line(situation: _Situation) -> Line:
    """The clearance; where an override decides, with its document and reason (R17)."""
    line = _line_of_clearance(situation)
    if line.reason != places.Reason.FORBIDDEN:
        return line
    return replace(line, grounds=override_in(situation.current.advice))


def _line_of_clearance(situation: _Situation) -> Line:
    """R10: only an approved registration says "you may depart"; during and after the stay, what it is about then."""
    registration = situation.registration
    match situation.phase:
        case Phase.CANCELLED:
            return Line(Item.CLEARANCE, State.BLOCKED, "R10", Reason.CANCELLED)
        case Phase.RETURNED:
            return Line(Item.CLEARANCE, State.DONE, "R20", Reason.RETURNED)
        case Phase.OVERDUE:
            return _clearance(State.TODO, "R26", Reason.RETURN_NOT_RECORDED, Queue.FACULTY_CONTACT)
        case Phase.UNDERWAY if during_stay(registration, situation.inputs, situation.now).asks_for_return:
            return _clearance(State.TODO, "R20", Reason.RETURN_REQUESTED, Queue.SAFETY_OFFICER)
    decision = registration.decision
    if decision is None or registration.status is Status.SUBMITTED:
        return Line(Item.CLEARANCE, State.WAITING, "R10", Reason.UNDECIDED)
    match registration.status:
        case Status.APPROVED:
            is_ahead = situation.phase is Phase.AHEAD
            return Line(Item.CLEARANCE, State.DONE, "R10", decision.reason if is_ahead else Reason.CLEARED_UNDERWAY)
        case Status.SUSPENDED:
            return _suspended_line(situation)
        case Status.REFUSED:
            return _refused_line(situation, decision)
        case Status.ROUTED:
            return _hopeless_line(situation) or _routed_line(situation, decision)
        case _:
            return _hopeless_line(situation) or _held_line(situation)


def _clearance(state: State, rule: str, reason: str, who: Queue, until: date | None = None) -> Line:
    return Line(Item.CLEARANCE, state, rule, reason, until, who)


def _suspended_line(situation: _Situation) -> Line:
    """R19 while the advice is negative; R21 when only the former suspension is left, and a person has to confirm.

    Advice that a person has accepted (R16, R18) does not hold anybody back.
    """
    negative = [
        place.reason
        for place in situation.current.places
        if place.may_be_negative and _line_of_place(situation, place).state is not State.DONE
    ]
    if negative:
        is_forbidden = places.Reason.FORBIDDEN in negative and places.Reason.NEGATIVE not in negative
        reason = places.Reason.FORBIDDEN if is_forbidden else places.Reason.NEGATIVE
        return _clearance(State.BLOCKED, "R19", reason, Queue.COORDINATOR)
    who = _who_confirms(situation) or Queue.COORDINATOR
    return _other_block(situation) or _clearance(State.BLOCKED, "R21", BlockReason.SUSPENDED_BEFORE, who)


def _refused_line(situation: _Situation, decision: Decision) -> Line:
    """R21: rules refused it for a cause that is gone; then a person decides whether the student may go after all."""
    if decision.decided_by != "rules":
        return _clearance(State.BLOCKED, decision.rule, decision.reason, whom_to_ask(decision.rule))
    cause = next((block for block in situation.current.blocks if block.rule == decision.rule), None)
    if cause is not None:
        return _clearance(State.BLOCKED, cause.rule, cause.reason, whom_to_ask(cause.rule))
    who = _who_confirms(situation) or whom_to_ask(decision.rule)
    return _other_block(situation) or _clearance(State.BLOCKED, "R21", Reason.CAUSE_GONE, who)


def _other_block(situation: _Situation) -> Line | None:
    """The first block now, beside the timing and a former suspension."""
    other = next((block for block in situation.open_blocks() if block.rule not in ("R7", "R8", "R21")), None)
    if other is None:
        return None
    return _clearance(State.BLOCKED, other.rule, other.reason, other.queue or whom_to_ask(other.rule))


def _who_confirms(situation: _Situation) -> Queue | None:
    """R21: the coordinator first, then the first other queue that has to decide."""
    by_rule = sorted(situation.open_blocks(), key=lambda block: block.rule != "R21")
    return next((block.queue for block in by_rule if block.queue is not None), None)


def _hopeless_line(situation: _Situation) -> Line | None:
    """A block that no person can clear, although the registration waits for one."""
    refusal = next((block for block in situation.current.blocks if block.outcome is Outcome.REFUSED), None)
    if refusal is None:
        return None
    return _clearance(State.BLOCKED, refusal.rule, refusal.reason, whom_to_ask(refusal.rule))


def _routed_line(situation: _Situation, decision: Decision) -> Line:
    """Who looks at it now."""
    routed = [block for block in situation.open_blocks() if block.outcome is Outcome.ROUTED]
    waiting = next((block for block in routed if block.rule == decision.rule), next(iter(routed), None))
    until = situation.until(situation.registration.departure_date)
    if waiting is None or waiting.queue is None:
        return _clearance(State.WAITING, decision.rule, Reason.STILL_WITH_PERSON, whom_to_ask(decision.rule), until)
    return _clearance(State.WAITING, waiting.rule, waiting.reason, waiting.queue, until)


def _held_line(situation: _Situation) -> Line:
    """What it waits for now; without a block it is about to be decided."""
    block = next(iter(situation.current.blocks), None)
    if block is None:
        return Line(Item.CLEARANCE, State.WAITING, "R10", Reason.UNDECIDED)
    until = situation.until(situation.registration.departure_date)
    return _clearance(State.WAITING, block.rule, block.reason, block.queue or whom_to_ask(block.rule), until)


def override_decided_on(decision: Decision) -> LevelGrounds | None:
    """R17: the override for which the decision blocks; None when it blocks for another reason."""
    return override_in(decision.advice) if decision.reason == places.Reason.FORBIDDEN else None


def override_in(advice: Sequence[AdviceSeen]) -> LevelGrounds | None:
    """R17: the first override that decided a level of this advice."""
    all_grounds = (seen.grounds for seen in advice)
    return next((grounds for grounds in all_grounds if grounds and grounds.basis in OVERRIDES), None)


#: R24: after the reminder of day 7 the coordinator gets a task (proposal).
STAY_CONTACT_DAYS = 7

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
