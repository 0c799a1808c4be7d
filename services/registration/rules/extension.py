"""R8: which part of an itinerary is new, when a student who is abroad extends the stay or moves on? Proposal."""

from datetime import datetime

from services.registration.model import Registration
from shared.clock import amsterdam_date
from shared.events import Leg


def is_extension(registration: Registration, now: datetime) -> bool:
    """Whether the student is abroad on an itinerary that was cleared, and has changed it since."""
    return bool(registration.cleared_legs) and registration.has_departed(now)


def undecided_legs(registration: Registration, now: datetime) -> tuple[Leg, ...]:
    """The legs about which a decision is needed: before departure all of them.

    During the stay not those that were cleared, nor those that are over: nothing about them can be decided any more.
    """
    if not registration.has_departed(now):
        return registration.legs
    today = amsterdam_date(now)
    return tuple(
        leg
        for leg in registration.legs
        if leg.end_date >= today and not any(leg.is_within(cleared) for cleared in registration.cleared_legs)
    )
