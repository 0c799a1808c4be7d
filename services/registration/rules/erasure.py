"""R26: may a person's data be erased now? Sources: AVG articles 5 and 17; mission."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from services.registration.model import Registration, Status

#: R26's day of grace.
GRACE = timedelta(days=1)


class Reason(StrEnum):
    """Why the data may be erased, or why not yet."""

    ERASABLE = "erasable"
    ABROAD = "abroad"
    OVERDUE = "return_not_recorded"
    JOURNEY_AHEAD = "journey_ahead"
    OPEN_ALERT = "open_alert"
    KEPT = "kept_for_now"


@dataclass(frozen=True, slots=True)
class Erasure:
    """The decision."""

    reason: Reason

    @property
    def permits(self) -> bool:
        """The data may be erased."""
        return self.reason is Reason.ERASABLE


def erasure(registrations: Sequence[Registration], open_alerts: int, today: date) -> Erasure:
    """R26: not while the person may have to be found: abroad, overdue, about to travel, or in an open alert."""
    open_journeys = [
        registration
        for registration in registrations
        if registration.status is not Status.CANCELLED and not registration.has_returned
    ]
    if open_alerts:
        return Erasure(Reason.OPEN_ALERT)
    if any(
        journey.departure_date - today <= GRACE and today - journey.return_date <= GRACE for journey in open_journeys
    ):
        return Erasure(Reason.ABROAD)
    if any(journey.return_date < today for journey in open_journeys):
        return Erasure(Reason.OVERDUE)
    if any(journey.departure_date > today for journey in open_journeys):
        return Erasure(Reason.JOURNEY_AHEAD)
    return Erasure(Reason.ERASABLE)


def retention(registrations: Sequence[Registration], open_alerts: int, today: date, kept: timedelta) -> Erasure:
    """R26: when `kept` has passed since the last day of the last journey, the data are erased on the same terms."""
    last_day = max((registration.return_date for registration in registrations), default=None)
    if last_day is None or today - last_day <= kept:
        return Erasure(Reason.KEPT)
    return erasure(registrations, open_alerts, today)
