"""R20: during the stay nobody leaves who-is-where but by a recorded return."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.registration.model import Registration, Return, Status
from services.registration.rules.cancellation import Reason, cancellation, itinerary_change
from services.registration.rules.stay import stay
from shared.events import Leg
from tests.rules.registration_world import DEPARTURE, NOW, RETURN, leg, registration

DAY = timedelta(days=1)
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


def back(state: Registration, outcome: str = "returned") -> Registration:
    """With this outcome recorded."""
    recorded = Return(on=DEPARTURE, outcome=outcome, recorded_by="student-0001", recorded_at=NOW)  # type: ignore[arg-type]
    return state.model_copy(update={"return_recorded": recorded})


@pytest.mark.parametrize(
    ("state", "now", "reason"),
    [
        (registration(), NOW, Reason.POSSIBLE),
        (registration(), NOON - DAY, Reason.POSSIBLE),
        (registration(), datetime(2026, 4, 30, 21, 59, tzinfo=UTC), Reason.POSSIBLE),
        (registration(), datetime(2026, 4, 30, 22, tzinfo=UTC), Reason.STAY_HAS_BEGUN),  # midnight in Amsterdam
        (registration(), NOON, Reason.STAY_HAS_BEGUN),
        (registration(), NOON + 200 * DAY, Reason.STAY_HAS_BEGUN),  # overdue
        (back(registration()), NOON + 5 * DAY, Reason.RETURNED),
        (back(registration(), "stays"), NOON + 5 * DAY, Reason.STAY_HAS_BEGUN),
    ],
)
def test_cancellation_table(state: Registration, now: datetime, reason: Reason) -> None:
    """Possible until the day before the first day, by the calendar of Amsterdam."""
    assert cancellation(state, now).reason is reason


@given(days=st.integers(-400, 400), status=st.sampled_from([status for status in Status if status != "cancelled"]))
def test_cancellation_whoever_counts_as_away_cannot_be_cancelled(days: int, status: Status) -> None:
    """In every state: from the moment at which the stay counts as begun (R26), it is a return and no cancellation."""
    state, now = registration(status=status), NOON + days * DAY

    assert cancellation(state, now).permits is (stay(state, now).started_on is None)


@pytest.mark.parametrize(
    ("state", "legs", "now", "reason"),
    [
        (registration(), (leg("FR", DEPARTURE + 90 * DAY, RETURN + 90 * DAY),), NOW, Reason.POSSIBLE),
        (registration(), (leg(start=DEPARTURE + 2 * DAY),), NOON, Reason.STAY_MOVED_AHEAD),
        (registration(), (leg(start=DEPARTURE + 2 * DAY),), NOON + 2 * DAY, Reason.POSSIBLE),
        (registration(), (leg(end=RETURN + 9 * DAY),), NOON, Reason.POSSIBLE),
        (registration(), (leg(end=RETURN - 9 * DAY),), NOON, Reason.POSSIBLE),
        (registration(), (leg(end=DEPARTURE + DAY), leg("FR", DEPARTURE + DAY)), NOON, Reason.POSSIBLE),
        (back(registration()), (leg(end=RETURN + 9 * DAY),), NOON, Reason.RETURNED),
        (back(registration()), (leg(),), NOON, Reason.POSSIBLE),
    ],
)
def test_itinerary_change_table(state: Registration, legs: tuple[Leg, ...], now: datetime, reason: Reason) -> None:
    """Longer, shorter or elsewhere: possible. Away from today, or after the return: not."""
    assert itinerary_change(state, legs, now).reason is reason
