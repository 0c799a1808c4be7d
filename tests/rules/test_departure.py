"""R6, R7, R8: calendar dates in Europe/Amsterdam, across midnight and daylight saving."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.registration.rules.departure import Departure, Reason, departure, has_departed

AMSTERDAM = ZoneInfo("Europe/Amsterdam")
DAYS = st.dates(date(2020, 1, 1), date(2035, 12, 31))
TIMES = st.times()


def submitted(instant: datetime, leaves: date) -> Departure:
    """Decided at the moment of submission."""
    return departure(leaves, instant, instant)


@pytest.mark.parametrize(
    ("days", "reason", "rule"),
    [
        (400, Reason.SELF_SERVICE, "R6"),
        (15, Reason.SELF_SERVICE, "R6"),
        (14, Reason.SELF_SERVICE, "R6"),
        (13, Reason.WITHIN_TWO_WEEKS, "R7"),
        (1, Reason.WITHIN_TWO_WEEKS, "R7"),
        (0, Reason.WITHIN_TWO_WEEKS, "R7"),
        (-1, Reason.ALREADY_DEPARTED, "R8"),
        (-90, Reason.ALREADY_DEPARTED, "R8"),
    ],
)
def test_departure_days_before_decide(days: int, reason: Reason, rule: str) -> None:
    """Exactly 14 passes, 13 routes, the past is already departed."""
    found = submitted(datetime(2026, 3, 2, 9, tzinfo=UTC), date(2026, 3, 2) + timedelta(days=days))

    assert (found.reason, found.rule, found.days) == (reason, rule, days)


@given(leaves=DAYS, at=TIMES)
def test_departure_fourteen_days_by_the_amsterdam_calendar_passes_at_any_time(leaves: date, at: object) -> None:
    """R6: on the fourteenth day before, from the first to the last minute in Amsterdam, it is self-service."""
    assert isinstance(at, type(datetime.min.time()))
    day = leaves - timedelta(days=14)

    found = submitted(datetime.combine(day, at, AMSTERDAM).astimezone(UTC), leaves)

    assert found.reason is Reason.SELF_SERVICE


@given(leaves=DAYS, at=TIMES)
def test_departure_thirteen_days_by_the_amsterdam_calendar_routes_at_any_time(leaves: date, at: object) -> None:
    """R7: a minute after midnight in Amsterdam it is thirteen days, also when a night has 23 or 25 hours."""
    assert isinstance(at, type(datetime.min.time()))
    day = leaves - timedelta(days=13)

    found = submitted(datetime.combine(day, at, AMSTERDAM).astimezone(UTC), leaves)

    assert found.reason is Reason.WITHIN_TWO_WEEKS


@pytest.mark.parametrize(
    ("instant", "leaves", "reason"),
    [
        # summer time: 22:00 UTC is midnight in Amsterdam
        (datetime(2026, 6, 1, 21, 59, tzinfo=UTC), date(2026, 6, 15), Reason.SELF_SERVICE),
        (datetime(2026, 6, 1, 22, 0, tzinfo=UTC), date(2026, 6, 15), Reason.WITHIN_TWO_WEEKS),
        # winter time: 23:00 UTC
        (datetime(2026, 1, 1, 22, 59, tzinfo=UTC), date(2026, 1, 15), Reason.SELF_SERVICE),
        (datetime(2026, 1, 1, 23, 0, tzinfo=UTC), date(2026, 1, 15), Reason.WITHIN_TWO_WEEKS),
        # over the change to summer time (29 March 2026) and back (25 October 2026)
        (datetime(2026, 3, 28, 22, 59, tzinfo=UTC), date(2026, 4, 11), Reason.SELF_SERVICE),
        (datetime(2026, 3, 28, 23, 0, tzinfo=UTC), date(2026, 4, 11), Reason.WITHIN_TWO_WEEKS),
        (datetime(2026, 10, 24, 21, 59, tzinfo=UTC), date(2026, 11, 7), Reason.SELF_SERVICE),
        (datetime(2026, 10, 24, 22, 0, tzinfo=UTC), date(2026, 11, 7), Reason.WITHIN_TWO_WEEKS),
    ],
)
def test_departure_midnight_in_amsterdam_is_the_border(instant: datetime, leaves: date, reason: Reason) -> None:
    """The day changes at midnight in Amsterdam, not in UTC."""
    assert submitted(instant, leaves).reason is reason


def test_departure_day_itself_is_not_yet_departed() -> None:
    """Who leaves today can still be kept from going; tomorrow they are gone (R8)."""
    leaves = date(2026, 5, 1)

    assert not has_departed(leaves, datetime(2026, 5, 1, 21, 59, tzinfo=UTC))
    assert has_departed(leaves, datetime(2026, 5, 1, 22, 0, tzinfo=UTC))


def test_departure_decided_after_the_journey_began_is_r8() -> None:
    """Submitted in time, held, and decided when the day has passed: a person looks."""
    found = departure(date(2026, 5, 1), datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 5, 3, tzinfo=UTC))

    assert found.reason is Reason.ALREADY_DEPARTED
