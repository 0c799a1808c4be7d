"""DESIGN §7, R26: may a person's data be erased now? Sources: AVG articles 5 and 17; mission."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from services.registration.model import Registration, Status

#: R26's day of grace.
GRACE = timedelta(days=1)


class Reason(StrEnum):
    """Why, or why not yet."""

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
        """Nothing that somebody may still need is lost."""
        return self.reason is Reason.ERASABLE


def erasure(registrations: Sequence[Registration], open_alerts: int, today: date) -> Erasure:
    """R26: nobody is forgotten who may have to be found: abroad, overdue, about to go, or in an open alert."""
    going = [each for each in registrations if each.status is not Status.CANCELLED and not each.has_returned]
    if open_alerts:
        return Erasure(Reason.OPEN_ALERT)
    if any(each.departure_date - GRACE <= today <= each.return_date + GRACE for each in going):
        return Erasure(Reason.ABROAD)
    if any(each.return_date < today for each in going):
        return Erasure(Reason.OVERDUE)
    if any(each.departure_date > today for each in going):
        return Erasure(Reason.JOURNEY_AHEAD)
    return Erasure(Reason.ERASABLE)


def retention(registrations: Sequence[Registration], open_alerts: int, today: date, kept: timedelta) -> Erasure:
    """DESIGN §7, R26: `kept` after the last day of the last journey the data go by themselves, on the same terms."""
    last = max((each.return_date for each in registrations), default=None)
    if last is None or last + kept >= today:
        return Erasure(Reason.KEPT)
    return erasure(registrations, open_alerts, today)
