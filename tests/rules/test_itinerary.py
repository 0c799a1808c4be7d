"""R15: an itinerary has no gap in which nobody knows where the student is."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.registration.rules.itinerary import Reason, itinerary_mistakes
from shared.events import Leg, LegKind
from tests.rules.registration_world import leg

TODAY = date(2026, 3, 2)


def day(number: int) -> date:
    """So many days from now."""
    return TODAY + timedelta(days=number)


def stay(start: int, end: int, kind: LegKind = LegKind.STAY) -> Leg:
    """A leg by days from now."""
    return leg("ES", day(start), day(end), kind)


@pytest.mark.parametrize(
    ("legs", "mistakes"),
    [
        ([stay(20, 40)], []),
        ([stay(20, 20)], []),
        ([stay(-30, 0)], []),
        ([stay(20, 30), stay(30, 40)], []),
        ([stay(20, 30), stay(31, 40)], []),
        ([stay(20, 30), stay(32, 40)], []),  # westward over the date line
        ([stay(20, 30), stay(29, 40)], []),  # eastward
        ([stay(20, 19)], [("legs.0.endDate", Reason.ENDS_BEFORE_START)]),
        ([stay(20, 30), stay(33, 40)], [("legs.1.startDate", Reason.GAP_TO_FORMER_LEG)]),
        ([stay(20, 30), stay(28, 40)], [("legs.1.startDate", Reason.OVERLAPS_FORMER_LEG)]),
        ([stay(20, 30), stay(10, 40)], [("legs.1.startDate", Reason.BEFORE_FORMER_LEG)]),
        ([stay(20, 23, LegKind.THROUGH)], [("legs.0.endDate", Reason.THROUGH_TOO_LONG)]),
        ([stay(20, 22, LegKind.THROUGH)], [("legs", Reason.NOWHERE_STAYED)]),
        ([stay(-30, -1)], [("legs.0.endDate", Reason.ALREADY_OVER)]),
        ([stay(20, 20 + 5 * 366 + 1)], [("legs", Reason.TOO_LONG)]),
        ([stay(5 * 366 + 1, 5 * 366 + 9)], [("legs.0.startDate", Reason.TOO_FAR_AHEAD)]),
    ],
)
def test_itinerary_table(legs: list[Leg], mistakes: list[tuple[str, Reason]]) -> None:
    """Each mistake names its field."""
    found = itinerary_mistakes(legs, TODAY)

    assert [(mistake.field, mistake.reason) for mistake in found] == mistakes


def test_itinerary_names_every_mistake() -> None:
    """Two wrong legs, two mistakes in one answer."""
    found = itinerary_mistakes([stay(20, 19), stay(40, 50), stay(90, 95)], TODAY)

    assert [mistake.field for mistake in found] == ["legs.0.endDate", "legs.1.startDate", "legs.2.startDate"]


@given(st.lists(st.tuples(st.integers(-1, 2), st.integers(0, 60)), min_size=1, max_size=20))
def test_itinerary_without_mistakes_leaves_no_day_uncovered_by_the_grace(steps: list[tuple[int, int]]) -> None:
    """R26 gives one day of grace on both sides: in an accepted itinerary every day in between is in reach of a leg."""
    legs, start = [], 0
    for step, length in steps:
        start += step
        legs.append(stay(start, start + length))
        start += length
    if itinerary_mistakes(legs, TODAY):
        return

    first, last = min(leg.start_date for leg in legs), max(leg.end_date for leg in legs)
    for number in range((last - first).days + 1):
        here = first + timedelta(days=number)
        assert any(leg.start_date - timedelta(days=1) <= here <= leg.end_date + timedelta(days=1) for leg in legs)
