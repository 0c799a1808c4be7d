"""R10, with R2, R7-R9, R11-R17, R21: may the student depart? Source: Leiden, "Approval and registration".

Every block is collected and shown; the first of PRECEDENCE is the outcome (argued in the README). Only the branch
without any block permits.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from services.registration.model import Registration
from services.registration.read_models import DecisionInputs
from services.registration.rules import approval, departure, documents, places
from services.registration.rules.extension import is_extension, undecided_legs
from shared.events import AdviceSeen

#: R14: a newer advice may take this long to arrive here before a person gets a task.
PATIENCE = timedelta(seconds=60)


class Outcome(StrEnum):
    """The outcome for a registration. UNDECIDED is evaluated again automatically and permits nothing."""

    APPROVED = "approved"
    HELD = "held"
    INCOMPLETE = "incomplete"
    ROUTED = "routed"
    REFUSED = "refused"
    UNDECIDED = "undecided"


class Queue(StrEnum):
    """The queues of tasks, by the staff who handle them."""

    FACULTY_CONTACT = "faculty-contact"
    COORDINATOR = "coordinator"
    SAFETY_OFFICER = "safety-officer"
    INTERNATIONAL_OFFICE = "international-office"
    BOARD_OF_EXAMINERS = "board-of-examiners"


class Reason(StrEnum):
    """Why."""

    APPROVED_AND_SAFE = "approved_and_safe"
    VOLUNTARY_AND_SAFE = "voluntary_and_safe"
    WITHIN_TWO_WEEKS = departure.Reason.WITHIN_TWO_WEEKS.value
    ALREADY_DEPARTED = departure.Reason.ALREADY_DEPARTED.value
    EXTENDED = "extended_during_stay"
    APPROVAL_MISSING = approval.Reason.MISSING.value
    APPROVAL_PENDING = approval.Reason.PENDING.value
    APPROVAL_REFUSED = approval.Reason.REFUSED.value
    APPROVAL_WITHDRAWN = approval.Reason.WITHDRAWN.value
    APPROVAL_REVOKED = approval.Reason.REVOKED.value
    APPROVAL_FOR_ANOTHER_ACTIVITY = approval.Reason.OTHER_ACTIVITY.value
    APPROVAL_FOR_ANOTHER_COUNTRY = approval.Reason.OTHER_COUNTRY.value
    APPROVAL_FOR_OTHER_DATES = approval.Reason.OTHER_DATES.value
    ADVICE_NEGATIVE = places.Reason.NEGATIVE.value
    OVERRIDE_NEGATIVE = places.Reason.FORBIDDEN.value
    ADVICE_UNKNOWN = places.Reason.UNKNOWN.value
    ADVICE_STALE = places.Reason.STALE.value
    ADVICE_BEING_UPDATED = places.Reason.BEHIND.value
    PLACE_UNRESOLVED = places.Reason.UNRESOLVED.value
    DOCUMENTS_MISSING = documents.Reason.MISSING.value
    SUSPENDED_BEFORE = "suspended_before"


@dataclass(frozen=True, slots=True)
class Block:
    """One thing that blocks. `country` when it is about a place, `queue` when a person has to decide."""

    outcome: Outcome
    rule: str
    reason: Reason
    queue: Queue | None = None
    country: str | None = None


@dataclass(frozen=True, slots=True)
class Clearance:
    """The decision: one outcome, every block, and the advice on which it rests. `missing`: documents (R9)."""

    outcome: Outcome
    rule: str
    reason: Reason
    blocks: tuple[Block, ...]
    advice: tuple[AdviceSeen, ...]
    places: tuple[places.Place, ...]
    missing: tuple[str, ...] = ()

    @property
    def queues(self) -> tuple[Block, ...]:
        """R2, R7, R8, R14, R16, R21: the blocks that persons decide, one for each queue; only when routed.

        The people of a queue decide once about all that is theirs; the first block in PRECEDENCE names their task.
        """
        if self.outcome is not Outcome.ROUTED:
            return ()
        first: dict[Queue, Block] = {}
        for block in self.blocks:
            if block.outcome is Outcome.ROUTED and block.queue is not None:
                first.setdefault(block.queue, block)
        return tuple(first.values())

    @property
    def queue(self) -> Queue:
        """The queue of the outcome itself; by default the safety officer's."""
        return next((block.queue for block in self.queues if block.queue), Queue.SAFETY_OFFICER)


def clearance(registration: Registration, inputs: DecisionInputs, now: datetime) -> Clearance:
    """R10: an approval covers it or none is needed, every place is safe, two weeks ahead, never suspended.

    R8: when a student who is abroad extends a cleared stay or moves on, only the new part is decided.
    """
    standing = approval.approval_standing(registration, inputs.approval)
    window = departure.departure(registration.departure_date, registration.itinerary_at, now)
    checked = places.places(registration.legs, inputs, now)
    seen = places.advice_seen(checked)
    undecided = undecided_legs(registration, now)
    open_places = [place for place in checked if place.leg in undecided]

    departure_block = _departure_block(window, registration, now)
    safe = bool(checked) and all(place.is_safe for place in open_places)
    attached = (document.kind for document in registration.documents)
    papers = documents.completeness(inputs.required_documents, attached)
    if standing.permits and departure_block is None and safe and papers.is_complete and not registration.was_suspended:
        voluntary = standing.reason is approval.Reason.NOT_NEEDED
        reason = Reason.VOLUNTARY_AND_SAFE if voluntary else Reason.APPROVED_AND_SAFE
        return Clearance(Outcome.APPROVED, "R10", reason, (), seen, checked)

    waited = now - registration.changed_at > PATIENCE
    blocks = [_approval_block(standing), departure_block, *(_place_block(place, waited) for place in open_places)]
    if not papers.is_complete:
        blocks.append(Block(Outcome.INCOMPLETE, "R9", Reason.DOCUMENTS_MISSING))
    if registration.was_suspended:
        blocks.append(Block(Outcome.ROUTED, "R21", Reason.SUSPENDED_BEFORE, Queue.COORDINATOR))
    by_precedence = sorted((block for block in blocks if block is not None), key=_precedence)
    first = by_precedence[0]
    return Clearance(first.outcome, first.rule, first.reason, tuple(by_precedence), seen, checked, papers.missing)


#: Which block is the outcome when there are several: the first in this list.
PRECEDENCE: tuple[tuple[Outcome, str], ...] = (
    (Outcome.REFUSED, "R2"),  # the programme said no: there is nothing for a person to decide
    (Outcome.ROUTED, "R8"),  # rules neither approve nor refuse it: a person decides
    (Outcome.ROUTED, "R7"),
    (Outcome.HELD, "R2"),  # nothing to decide yet; the advice counts when the approval arrives
    (Outcome.REFUSED, "R13"),
    (Outcome.REFUSED, "R17"),
    (Outcome.INCOMPLETE, "R9"),  # the student first, so that staff then have every document
    (Outcome.ROUTED, "R2"),
    (Outcome.ROUTED, "R14"),
    (Outcome.ROUTED, "R16"),
    (Outcome.UNDECIDED, "R14"),
    (Outcome.ROUTED, "R21"),
)


def _precedence(block: Block) -> int:
    return PRECEDENCE.index((block.outcome, block.rule))


def _approval_block(standing: approval.Standing) -> Block | None:
    if standing.permits:
        return None
    reason = Reason(standing.reason.value)
    match standing.reason:
        case approval.Reason.REFUSED | approval.Reason.REVOKED:
            return Block(Outcome.REFUSED, "R2", reason)
        case approval.Reason.OTHER_ACTIVITY | approval.Reason.OTHER_COUNTRY | approval.Reason.OTHER_DATES:
            return Block(Outcome.ROUTED, "R2", reason, Queue.COORDINATOR)
        case _:
            return Block(Outcome.HELD, "R2", reason)


def _departure_block(window: departure.Departure, registration: Registration, now: datetime) -> Block | None:
    if window.reason is departure.Reason.SELF_SERVICE:
        return None
    if is_extension(registration, now):
        is_new = bool(undecided_legs(registration, now))
        return Block(Outcome.ROUTED, "R8", Reason.EXTENDED, Queue.FACULTY_CONTACT) if is_new else None
    return Block(Outcome.ROUTED, window.rule, Reason(window.reason.value), Queue.FACULTY_CONTACT)


def _place_block(place: places.Place, waited: bool) -> Block | None:
    if place.is_safe:
        return None
    reason, country = Reason(place.reason.value), place.leg.country
    match place.reason:
        case places.Reason.NEGATIVE:
            return Block(Outcome.REFUSED, "R13", reason, country=country)
        case places.Reason.FORBIDDEN:
            return Block(Outcome.REFUSED, "R17", reason, country=country)
        case places.Reason.UNRESOLVED:
            return Block(Outcome.ROUTED, "R16", reason, Queue.SAFETY_OFFICER, country)
        case places.Reason.BEHIND if not waited:
            return Block(Outcome.UNDECIDED, "R14", reason, country=country)
        case _:
            return Block(Outcome.ROUTED, "R14", reason, Queue.SAFETY_OFFICER, country)
