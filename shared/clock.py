"""The only place that reads the clock. Everything else gets `now` as an argument."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

AMSTERDAM = ZoneInfo("Europe/Amsterdam")


def utc_now() -> datetime:
    """The current instant, aware, UTC."""
    return datetime.now(UTC)


def amsterdam_date(instant: datetime) -> date:
    """The calendar date in Europe/Amsterdam at an aware instant: the university's dates are these."""
    return instant.astimezone(AMSTERDAM).date()
