"""R19, R2: does a clearance that was given still stand? Source: Leiden, Health and safety.

R20: during the stay nothing is suspended or cancelled by itself; the student is contacted (notify).
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
    """Why a clearance stands or goes."""

    STANDS = "clearance_stands"
    DEPARTED = "already_departed"
    ADVICE_NEGATIVE = "advice_negative"
    PLACE_UNRESOLVED = "place_unresolved"
    APPROVAL_WITHDRAWN = "approval_withdrawn"
    APPROVAL_REFUSED = "approval_refused"


@dataclass(frozen=True, slots=True)
class Suspension:
    """The decision; `rule` is R19 for the advice and R2 for the approval.

    `gone`: what has become of the approval of somebody who has left. Nothing is suspended, a person is asked.
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
    """R19: before departure a place has turned negative, or may have where it is not resolved (R16).

    What a person has judged on this very advice stands. R18: orange does not suspend what was cleared by an exception
    at orange; red does.
    Advice that has only become stale or unknown takes no clearance away: it gives none (R14).
    """
    everywhere = places.places(registration.legs, inputs, now)
    seen = places.advice_seen(everywhere)
    checked = [
        place
        for place in everywhere
        if not tolerated(registration.exception, place) and not is_judged(registration, place)
    ]
    gone = _GONE.get(approval.approval_standing(registration, inputs.approval).reason)
    if has_departed(registration.departure_date, now):
        return Suspension(Reason.DEPARTED, "R20", seen, gone)
    if any(place.reason is places.Reason.NEGATIVE for place in checked):
        return Suspension(Reason.ADVICE_NEGATIVE, "R19", seen)
    if any(place.may_be_negative for place in checked):
        return Suspension(Reason.PLACE_UNRESOLVED, "R19", seen)
    if gone is not None:
        return Suspension(gone, "R2", seen)
    return Suspension(Reason.STANDS, "R10", seen)


_GONE = {
    approval.Reason.WITHDRAWN: Reason.APPROVAL_WITHDRAWN,
    approval.Reason.REFUSED: Reason.APPROVAL_REFUSED,
}


def is_judged(registration: Registration, place: places.Place) -> bool:
    """R16: a person decided about this place that cannot be resolved, on exactly this version of the advice."""
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
