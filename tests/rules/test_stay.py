"""R26: a stay begins and ends by the Amsterdam calendar; without a recorded return the student is overdue."""

from datetime import UTC, datetime, timedelta

import pytest

from services.registration.evolve import evolve
from services.registration.rules.stay import stay
from shared.events import RegistrationCancelled, ReturnRecorded, StayEnded
from tests.rules.registration_world import DEPARTURE, NOW, RETURN, STUDENT, leg
from tests.rules.test_reminders import WHO, fold, morning, submitted


@pytest.mark.parametrize(
    ("at", "started", "ended"),
    [
        (morning(DEPARTURE - timedelta(days=1), 23), False, False),
        (morning(DEPARTURE, 0), True, False),
        (morning(RETURN, 23), True, False),
        (morning(RETURN + timedelta(days=1), 0), True, True),
        (datetime(2026, 4, 30, 21, 59, tzinfo=UTC), False, False),  # 23:59 in Amsterdam
        (datetime(2026, 4, 30, 22, 0, tzinfo=UTC), True, False),
    ],
)
def test_stay_begins_and_ends_at_midnight_in_amsterdam(at: datetime, started: bool, ended: bool) -> None:
    """Also where UTC still has the day before."""
    found = stay(fold(submitted()), at)

    assert (found.started_on, found.ended_on) == (DEPARTURE if started else None, RETURN if ended else None)


def test_stay_that_was_cancelled_or_is_over_moves_no_more() -> None:
    """Who does not go, and who came back, is not overdue."""
    at = morning(RETURN + timedelta(days=3))
    cancelled = fold(submitted(), RegistrationCancelled(**WHO, cancelled_by=STUDENT))
    returned = fold(submitted(), ReturnRecorded(**WHO, on=RETURN, outcome="returned", recorded_by=STUDENT))

    assert stay(cancelled, at).started_on is stay(cancelled, at).ended_on is None
    assert stay(returned, at).ended_on is None
    assert not returned.progress.is_overdue


def test_stay_without_a_return_is_overdue_until_it_is_recorded() -> None:
    """Only `returned` ends it; the outcomes `stays` and `elsewhere` do not."""
    ended = fold(submitted(leg()), StayEnded(**WHO, on=RETURN), at=NOW)
    stays = evolve(ended, ReturnRecorded(**WHO, on=RETURN, outcome="stays", recorded_by=STUDENT), NOW, 3)
    back = evolve(stays, ReturnRecorded(**WHO, on=RETURN, outcome="returned", recorded_by=STUDENT), NOW, 4)

    assert ended.progress.is_overdue
    assert stays.progress.is_overdue
    assert not back.progress.is_overdue
