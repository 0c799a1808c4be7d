"""R4: approval is decided before the activity starts. Source: Leiden, "approved before the start date"."""

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from shared.clock import amsterdam_date


class Reason(StrEnum):
    """Whether there is still time."""

    BEFORE_START = "before_start"
    ALREADY_STARTED = "already_started"


@dataclass(frozen=True, slots=True)
class Timeliness:
    """The decision; `days_left` until the first day, 0 or less when it has come."""

    reason: Reason
    days_left: int

    @property
    def is_in_time(self) -> bool:
        """R4 permits a decision."""
        return self.reason is Reason.BEFORE_START


def before_start(start_date: date, now: datetime) -> Timeliness:
    """R4: on the first day (Europe/Amsterdam) the activity has started; it goes to the programme coordinator."""
    days_left = (start_date - amsterdam_date(now)).days
    return Timeliness(Reason.BEFORE_START if days_left > 0 else Reason.ALREADY_STARTED, days_left)
