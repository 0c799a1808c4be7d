"""The clock. Code reads it here, at the edge of a process; everything else gets `now` as an argument."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

AMSTERDAM = ZoneInfo("Europe/Amsterdam")
#: `datetime` overflows when a time zone moves an instant over its edges, so nearer to them nothing is moved.
_FIRST, _LAST = datetime(1, 1, 3, tzinfo=UTC), datetime(9999, 12, 29, 23, 59, 59, 999_999, tzinfo=UTC)


def utc_now() -> datetime:
    """The current instant, aware, UTC."""
    return datetime.now(UTC)


def in_amsterdam(instant: datetime) -> datetime:
    """An aware instant by the Amsterdam clock. Total: at the edges of time it is moved by up to two days."""
    return min(max(instant, _FIRST), _LAST).astimezone(AMSTERDAM)


def in_utc(instant: datetime) -> datetime:
    """An aware instant in UTC. Total, as `in_amsterdam`."""
    return min(max(instant, _FIRST), _LAST).astimezone(UTC)


def days_later(day: date, days: int | timedelta) -> date:
    """The day so many days later; with a negative number, earlier. Total: at the edges of time it is the edge."""
    ordinal = day.toordinal() + (days.days if isinstance(days, timedelta) else days)
    return date.fromordinal(min(max(ordinal, date.min.toordinal()), date.max.toordinal()))


def start_of_day(day: date) -> datetime:
    """The first instant of a day in Europe/Amsterdam."""
    return in_utc(datetime.combine(day, time.min, AMSTERDAM))


def end_of_day(day: date) -> datetime:
    """The last microsecond of a day in Europe/Amsterdam, which may have 23 or 25 hours."""
    return start_of_day(days_later(day, 1)) - timedelta(microseconds=1)


def amsterdam_date(instant: datetime) -> date:
    """The calendar date in Europe/Amsterdam at an aware instant: the university's dates are these."""
    return in_amsterdam(instant).date()
