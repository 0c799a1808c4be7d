"""R19, R2: is a clearance still valid? Source: Leiden, Health and safety.

R20: during the stay nothing is suspended or cancelled automatically; notify contacts the student.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from services.registration.model import Registration, Status
from services.registration.read_models import DecisionInputs
from services.registration.rules import approval, places
from services.registration.rules.departure import has_departed
from services.registration.rules.exception import tolerated
from shared.events import AdviceSeen


class Reason(StrEnum):
    """Why a clearance is still valid, or is suspended."""

    STANDS = "clearance_stands"
    DEPARTED = "already_departed"
    ADVICE_NEGATIVE = "advice_negative"
    OVERRIDE_NEGATIVE = "override_negative"
    PLACE_UNRESOLVED = "place_unresolved"
    APPROVAL_WITHDRAWN = "approval_withdrawn"
    APPROVAL_REFUSED = "approval_refused"
    APPROVAL_REVOKED = "approval_revoked"


@dataclass(frozen=True, slots=True)
class Suspension:
    """The decision; `rule` is R19 for the advice and R2 for the approval.

    `gone`: why the approval does not hold any more. After departure nothing is suspended for it; staff get a task.
    """

    reason: Reason
    rule: str
    advice: tuple[AdviceSeen, ...]
    gone: Reason | None = None

    @property
    def is_suspended(self) -> bool:
        """The student must not go."""
        return self.reason not in (Reason.STANDS, Reason.DEPARTED)


def suspension(registration: Registration, inputs: DecisionInputs, now: datetime) -> Suspension:
    """R19: before departure, when a place is negative, or may be because it is not resolved (R16).

    A person's decision on exactly this advice stands. R18: orange does not suspend a clearance that was given by an
    exception at orange; red does. Advice that is only stale or unknown suspends nothing; it only clears nobody (R14).
    """
    all_places = places.places(registration.legs, inputs, now)
    seen = places.advice_seen(all_places)
    checked = [
        place
        for place in all_places
        if not tolerated(registration.exception, place) and not is_judged(registration, place)
    ]
    gone = _LOST_APPROVAL.get(approval.approval_standing(registration, inputs.approval).reason)
    if has_departed(registration.departure_date, now):
        return Suspension(Reason.DEPARTED, "R20", seen, gone)
    if any(place.reason is places.Reason.NEGATIVE for place in checked):
        return Suspension(Reason.ADVICE_NEGATIVE, "R19", seen)
    if any(place.reason is places.Reason.FORBIDDEN for place in checked):
        return Suspension(Reason.OVERRIDE_NEGATIVE, "R19", seen)
    if any(place.may_be_negative for place in checked):
        return Suspension(Reason.PLACE_UNRESOLVED, "R19", seen)
    if gone is not None:
        return Suspension(gone, "R2", seen)
    return Suspension(Reason.STANDS, "R10", seen)


_LOST_APPROVAL = {
    approval.Reason.WITHDRAWN: Reason.APPROVAL_WITHDRAWN,
    approval.Reason.REFUSED: Reason.APPROVAL_REFUSED,
    approval.Reason.REVOKED: Reason.APPROVAL_REVOKED,
}


def is_judged(registration: Registration, place: places.Place) -> bool:
    """R16: whether a person decided about this unresolved place on exactly this version of the advice."""
    decision = registration.decision
    return (
        place.reason is places.Reason.UNRESOLVED
        and registration.status is Status.APPROVED
        and decision is not None
        and decision.decided_by != "rules"
        and any(
            (seen.country, seen.advice_version) == (place.leg.country, place.advice_version) for seen in decision.advice
        )
    )
