"""R20, R23: is the advice negative where a student is now? Sources: Leiden, Health and safety; faculty news 2014.

Notify contacts the student; staff ask for the return and record its outcome. Nothing is cancelled.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from services.registration.model import Registration, Status
from services.registration.read_models import DecisionInputs
from services.registration.rules import places
from services.registration.rules.departure import has_departed
from services.registration.rules.exception import tolerated
from services.registration.rules.suspension import is_judged
from shared.clock import amsterdam_date
from shared.events import AdviceSeen

#: R26's day of grace: a student whose stay ended yesterday may still be there.
GRACE = timedelta(days=1)


class Reason(StrEnum):
    """Whether the student is abroad, and what the advice is there. OVERDUE: no return is recorded after the stay."""

    NOT_ABROAD = "not_abroad"
    OVERDUE = "overdue"
    SAFE = "advice_safe"
    NEGATIVE = "advice_negative"
    FORBIDDEN = "override_negative"
    PLACE_UNRESOLVED = "place_unresolved"


@dataclass(frozen=True, slots=True)
class DuringStay:
    """The decision: whether staff ask for the return, and whether the board of examiners is told.

    `has_moved_on`: the student is by the itinerary no longer in a place where the advice is still negative.
    """

    reason: Reason
    asks_for_return: bool = False
    has_moved_on: bool = False
    flags_board: bool = False
    advice: tuple[AdviceSeen, ...] = ()

    @property
    def is_negative(self) -> bool:
        """Certainly or possibly negative (R16: the worst level decides)."""
        return self.reason in (Reason.NEGATIVE, Reason.FORBIDDEN, Reason.PLACE_UNRESOLVED)


def during_stay(registration: Registration, inputs: DecisionInputs, now: datetime) -> DuringStay:
    """R20: staff ask once, and again when the level becomes worse than it was when an outcome was recorded.

    R23: the board is told once of a study-related stay in an area with negative advice, also when it was permitted.
    """
    today = amsterdam_date(now)
    is_abroad = has_departed(registration.departure_date, now) and registration.return_date >= today - GRACE
    if registration.status is Status.CANCELLED or registration.has_returned or not is_abroad:
        is_overdue = registration.progress.is_overdue and registration.return_date < today - GRACE
        return DuringStay(Reason.OVERDUE if is_overdue else Reason.NOT_ABROAD)
    checked = places.places(registration.legs, inputs, now)
    remaining = remaining_places(registration, checked, now)
    seen = places.advice_seen(remaining)
    negative = [place for place in remaining if place.may_be_negative and not is_judged(registration, place)]
    if not negative:
        has_moved_on = any(place.may_be_negative for place in checked if place not in remaining)
        return DuringStay(Reason.SAFE, has_moved_on=has_moved_on, advice=seen)
    reasons = {place.reason for place in negative}
    return DuringStay(
        next((Reason(reason) for reason in _CERTAIN if reason in reasons), Reason.PLACE_UNRESOLVED),
        asks_for_return=any(
            not tolerated(registration.exception, place) and not _is_recorded(registration, place) for place in negative
        ),
        flags_board=registration.study_related and not registration.was_flagged,
        advice=seen,
    )


#: Certainly negative: by the ministry's advice, or by the university's own decision (R17).
_CERTAIN = (places.Reason.NEGATIVE.value, places.Reason.FORBIDDEN.value)


def remaining_places(
    registration: Registration, checked: tuple[places.Place, ...], now: datetime
) -> tuple[places.Place, ...]:
    """The places where a student who has left is or will be; of an overdue journey the last one."""
    last_day = min(amsterdam_date(now) - GRACE, registration.return_date)
    return tuple(place for place in checked if place.leg.end_date >= last_day)


def _is_recorded(registration: Registration, place: places.Place) -> bool:
    """Whether an outcome was recorded when the level was as bad as now."""
    recorded = registration.return_recorded
    if recorded is None or place.level is None:
        return False
    return any(
        seen.country == place.leg.country and seen.level is not None and seen.level >= place.level
        for seen in recorded.advice
    )
