"""R20, R26: may a registration be cancelled, or its itinerary be changed? Source: Leiden, Health and safety.

A student who is abroad stays in who-is-where until a return is recorded. Nobody looks for a student who cancelled.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from services.registration.model import Registration
from shared.clock import amsterdam_date
from shared.events import Leg


class Reason(StrEnum):
    """Why it is possible, or not."""

    POSSIBLE = "cancellation_possible"
    STAY_HAS_BEGUN = "stay_has_begun"
    STAY_MOVED_AHEAD = "stay_moved_ahead"
    RETURNED = "return_is_recorded"


@dataclass(frozen=True, slots=True)
class Cancellation:
    """The decision."""

    reason: Reason

    @property
    def permits(self) -> bool:
        """Nothing is in the way."""
        return self.reason is Reason.POSSIBLE


def cancellation(registration: Registration, now: datetime) -> Cancellation:
    """R20: until the day before the first day (Europe/Amsterdam); then a return is recorded instead.

    Whether it was cleared makes no difference: a student who left without a clearance is there as well (R8, R26).
    """
    if registration.has_returned:
        return Cancellation(Reason.RETURNED)
    return Cancellation(Reason.STAY_HAS_BEGUN if _has_begun(registration, now) else Reason.POSSIBLE)


def itinerary_change(registration: Registration, legs: Sequence[Leg], now: datetime) -> Cancellation:
    """R20: a stay that has begun cannot be moved ahead, and a journey with a recorded return keeps its itinerary.

    Everything else is possible: longer, shorter, or on to another place.
    """
    if tuple(legs) == registration.legs:
        return Cancellation(Reason.POSSIBLE)
    if registration.has_returned:
        return Cancellation(Reason.RETURNED)
    starts_ahead = min(leg.start_date for leg in legs) > amsterdam_date(now)
    is_moved_ahead = _has_begun(registration, now) and starts_ahead
    return Cancellation(Reason.STAY_MOVED_AHEAD if is_moved_ahead else Reason.POSSIBLE)


def _has_begun(registration: Registration, now: datetime) -> bool:
    """As who-is-where counts: on the first day the student is away."""
    return registration.departure_date <= amsterdam_date(now)
