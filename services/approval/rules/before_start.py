"""R4: approval is decided before the activity starts. Source: Leiden, "approved before the start date".

After the start the programme's coordinator alone may still decide, with a recorded reason (proposal): otherwise the
registration of a student who has already left could never be cleared.
"""

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from services.approval.rules.ruling import Effect, Ruling
from shared.clock import amsterdam_date
from shared.plausible import is_travel_date


class Reason(StrEnum):
    """Whether the activity has started, or its dates cannot be right."""

    BEFORE_START = "before_start"
    ALREADY_STARTED = "already_started"
    DATES_NOT_PLAUSIBLE = "dates_not_plausible"


@dataclass(frozen=True, slots=True)
class Timeliness:
    """Decision. `days_left`: until the first day; 0 or less if it has come."""

    reason: Reason
    days_left: int

    @property
    def is_in_time(self) -> bool:
        """Whether every approver may decide."""
        return self.reason is Reason.BEFORE_START


def before_start(start_date: date, now: datetime) -> Timeliness:
    """R4: the activity starts on its first day (Europe/Amsterdam). From then on only the coordinator decides."""
    days_left = (start_date - amsterdam_date(now)).days
    return Timeliness(Reason.BEFORE_START if days_left > 0 else Reason.ALREADY_STARTED, days_left)


def after_start() -> Ruling:
    """R4: the finding of a request that comes after the start."""
    return Ruling(Effect.ROUTED, "R4", Reason.ALREADY_STARTED)


def dates_are_plausible(start_date: date, end_date: date, now: datetime) -> bool:
    """R4: both days lie where travel dates lie. No reader would believe others, which an earlier version took."""
    today = amsterdam_date(now)
    return is_travel_date(start_date, today) and is_travel_date(end_date, today)
