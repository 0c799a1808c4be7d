"""R26: has a stay begun, has its last day passed? Dates are Amsterdam dates. Source: mission."""

from dataclasses import dataclass
from datetime import date, datetime

from services.registration.model import Registration, Status
from shared.clock import amsterdam_date


@dataclass(frozen=True, slots=True)
class Stay:
    """The decision: the first and the last day, each if it has come and is not recorded yet."""

    started_on: date | None = None
    ended_on: date | None = None


def stay(registration: Registration, now: datetime) -> Stay:
    """R26: from the first day on the student is away; after the last day, without a recorded return, overdue.

    Every registration counts that is not cancelled, cleared or not (docs/decisions/0009). The date is the day itself,
    also when it is noticed later.
    """
    progress, today = registration.progress, amsterdam_date(now)
    if registration.status is Status.CANCELLED or progress.returned_on is not None:
        return Stay()
    started = registration.departure_date if today >= registration.departure_date else None
    ended = registration.return_date if today > registration.return_date else None
    return Stay(
        started_on=started if progress.started_on is None else None,
        ended_on=ended if progress.ended_on is None else None,
    )
