"""R19, R2: does a clearance that was given still stand? Source: Leiden, Health and safety.

R20: during the stay nothing is suspended or cancelled by itself; the student is contacted (notify).
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from services.registration.known import Knowledge
from services.registration.model import Registration
from services.registration.rules import approval, places
from services.registration.rules.departure import has_departed
from shared.events import AdviceSeen


class Reason(StrEnum):
    """Why a clearance stands or goes."""

    STANDS = "clearance_stands"
    DEPARTED = "already_departed"
    ADVICE_NEGATIVE = "advice_negative"
    PLACE_UNRESOLVED = "place_unresolved"
    APPROVAL_WITHDRAWN = "approval_withdrawn"
    APPROVAL_REFUSED = "approval_refused"


@dataclass(frozen=True, slots=True)
class Suspension:
    """The decision; `rule` is R19 for the advice and R2 for the approval."""

    reason: Reason
    rule: str
    advice: tuple[AdviceSeen, ...]

    @property
    def is_suspended(self) -> bool:
        """The student must not go."""
        return self.reason not in (Reason.STANDS, Reason.DEPARTED)


def suspension(registration: Registration, knowledge: Knowledge, now: datetime) -> Suspension:
    """R19: before departure a place has turned negative, or may have where it is not resolved (R16).

    Advice that has only become stale or unknown takes no clearance away: it gives none (R14).
    """
    checked = places.places(registration.legs, knowledge, now)
    seen = places.advice_seen(checked)
    if has_departed(registration.departure_date, now):
        return Suspension(Reason.DEPARTED, "R20", seen)
    if any(place.reason is places.Reason.NEGATIVE for place in checked):
        return Suspension(Reason.ADVICE_NEGATIVE, "R19", seen)
    if any(place.may_be_negative for place in checked):
        return Suspension(Reason.PLACE_UNRESOLVED, "R19", seen)
    match approval.approval_standing(registration, knowledge.approval).reason:
        case approval.Reason.WITHDRAWN:
            return Suspension(Reason.APPROVAL_WITHDRAWN, "R2", seen)
        case approval.Reason.REFUSED:
            return Suspension(Reason.APPROVAL_REFUSED, "R2", seen)
        case _:
            return Suspension(Reason.STANDS, "R10", seen)
