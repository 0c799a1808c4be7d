"""R6, R7, R8: how long before departure is the submission? Source: Leiden, "at least 2 weeks before departure"."""

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from shared.clock import amsterdam_date

#: R6: calendar days (Europe/Amsterdam). One day less, and the faculty contact person decides (R7).
SELF_SERVICE_DAYS = 14


class Reason(StrEnum):
    """How long the submission was before the departure."""

    SELF_SERVICE = "at_least_two_weeks"
    WITHIN_TWO_WEEKS = "within_two_weeks"
    ALREADY_DEPARTED = "already_departed"


@dataclass(frozen=True, slots=True)
class Departure:
    """The decision; `days` from the submission to the departure, negative when the submission came later."""

    reason: Reason
    days: int

    @property
    def rule(self) -> str:
        """The rule that applies."""
        return {Reason.SELF_SERVICE: "R6", Reason.WITHIN_TWO_WEEKS: "R7", Reason.ALREADY_DEPARTED: "R8"}[self.reason]


def has_departed(departure_date: date, now: datetime) -> bool:
    """Whether the day of departure (Europe/Amsterdam) is over. On the day itself a student can still be stopped."""
    return departure_date < amsterdam_date(now)


def departure(departure_date: date, submitted_at: datetime, now: datetime) -> Departure:
    """R6: calendar dates in Europe/Amsterdam. 14 days are enough, 13 are routed (R7); after departure R8.

    `submitted_at` is when this itinerary was submitted, `now` the moment of the decision.
    """
    days = (departure_date - amsterdam_date(submitted_at)).days
    if days < 0 or has_departed(departure_date, now):
        return Departure(Reason.ALREADY_DEPARTED, days)
    if days >= SELF_SERVICE_DAYS:
        return Departure(Reason.SELF_SERVICE, days)
    return Departure(Reason.WITHIN_TWO_WEEKS, days)
