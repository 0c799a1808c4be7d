"""R26: which of a student's journeys are on the same days."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.registration.model import Registration, Return, Status
from services.registration.rules.overlap import Reason, overlaps
from shared.events import Leg
from tests.rules.registration_world import DEPARTURE, NOW, RETURN, leg, registration

DAY = timedelta(days=1)
IDENTICAL, OVERLAPPING = Reason.IDENTICAL, Reason.OVERLAPPING


def back() -> Registration:
    """With a recorded return."""
    recorded = Return(on=DEPARTURE, outcome="returned", recorded_by="student-0001", recorded_at=NOW)
    return registration().model_copy(update={"return_recorded": recorded})


@pytest.mark.parametrize(
    ("legs", "other", "expected"),
    [
        ((leg(),), registration(), IDENTICAL),
        ((leg("FR"),), registration(), OVERLAPPING),
        ((leg(end=RETURN + DAY),), registration(), OVERLAPPING),
        ((leg(start=RETURN - DAY, end=RETURN + DAY),), registration(), OVERLAPPING),
        ((leg(start=RETURN, end=RETURN + DAY),), registration(), None),  # travels on, on the same day
        ((leg(start=RETURN, end=RETURN),), registration(), OVERLAPPING),  # a day that lies within the other journey
        ((leg(start=RETURN + DAY, end=RETURN + 2 * DAY),), registration(), None),
        ((leg(),), registration(status=Status.CANCELLED), None),
        ((leg(),), registration(status=Status.REFUSED), IDENTICAL),
        ((leg(),), back(), None),
    ],
)
def test_overlaps_table(legs: tuple[Leg, ...], other: Registration, expected: Reason | None) -> None:
    """Every open registration counts, cleared or not."""
    assert [overlap.reason for overlap in overlaps(legs, [other])] == ([expected] if expected else [])


@given(st.integers(-90, 90), st.integers(0, 60), st.integers(-90, 90), st.integers(0, 60))
def test_overlaps_hold_both_ways(start: int, days: int, other_start: int, other_days: int) -> None:
    """If one journey overlaps another, the other one overlaps it."""
    one, two = (
        leg(start=DEPARTURE + first * DAY, end=DEPARTURE + (first + length) * DAY)
        for first, length in ((start, days), (other_start, other_days))
    )

    assert bool(overlaps((one,), [registration(two)])) == bool(overlaps((two,), [registration(one)]))
