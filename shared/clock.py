"""The clock. Code reads it here, at the edge of a process; everything else gets `now` as an argument."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

AMSTERDAM = ZoneInfo("Europe/Amsterdam")


def utc_now() -> datetime:
    """The current instant, aware, UTC."""
    return datetime.now(UTC)


def start_of_day(day: date) -> datetime:
    """The first instant of a day in Europe/Amsterdam."""
    return datetime.combine(day, time.min, AMSTERDAM).astimezone(UTC)


def end_of_day(day: date) -> datetime:
    """The last microsecond of a day in Europe/Amsterdam, which may have 23 or 25 hours."""
    return start_of_day(day + timedelta(days=1)) - timedelta(microseconds=1)


def amsterdam_date(instant: datetime) -> date:
    """The calendar date in Europe/Amsterdam at an aware instant: the university's dates are these."""
    return instant.astimezone(AMSTERDAM).date()
