"""R26: nobody is erased while they may have to be found, and kept data are kept for the whole of their time."""

from datetime import date, timedelta

import pytest

from services.registration.model import Registration, Return, Status
from services.registration.rules.erasure import Reason, erasure, retention
from tests.rules.registration_world import DEPARTURE, NOW, RETURN, STUDENT, leg, registration

DAY = timedelta(days=1)
KEPT = timedelta(days=365)


def back(state: Registration, outcome: str = "returned") -> Registration:
    """With this outcome recorded on the last day."""
    recorded = Return(on=RETURN, outcome=outcome, recorded_by=STUDENT, recorded_at=NOW)  # type: ignore[arg-type]
    return state.model_copy(update={"return_recorded": recorded})


JOURNEY = registration()
CANCELLED = registration(status=Status.CANCELLED)
LATER = registration(leg(start=RETURN + 100 * DAY, end=RETURN + 130 * DAY))


@pytest.mark.parametrize(
    ("registrations", "today", "reason"),
    [
        ([], RETURN, Reason.ERASABLE),
        ([JOURNEY], DEPARTURE - 2 * DAY, Reason.JOURNEY_AHEAD),
        ([JOURNEY], DEPARTURE - DAY, Reason.ABROAD),  # the day of grace: who left early is there already
        ([JOURNEY], RETURN, Reason.ABROAD),
        ([JOURNEY], RETURN + DAY, Reason.ABROAD),
        ([JOURNEY], RETURN + 2 * DAY, Reason.OVERDUE),
        ([JOURNEY], RETURN + 5_000 * DAY, Reason.OVERDUE),
        ([back(JOURNEY)], RETURN, Reason.ERASABLE),
        ([back(JOURNEY, "stays")], RETURN, Reason.ABROAD),
        ([back(JOURNEY, "unknown")], RETURN + 2 * DAY, Reason.OVERDUE),
        ([CANCELLED], RETURN, Reason.ERASABLE),
        ([back(JOURNEY), LATER], RETURN, Reason.JOURNEY_AHEAD),
        ([LATER, JOURNEY], RETURN, Reason.ABROAD),
    ],
)
def test_erasure_waits_for_everybody_who_may_have_to_be_found(
    registrations: list[Registration], today: date, reason: Reason
) -> None:
    """One open journey is enough; cancelled ones and those with a recorded return are over."""
    decision = erasure(registrations, 0, today)

    assert (decision.reason, decision.permits) == (reason, reason is Reason.ERASABLE)


def test_erasure_of_who_is_in_an_open_alert_waits_wherever_they_are() -> None:
    """Also after a recorded return, and for a person without any registration."""
    journeys: list[list[Registration]] = [[], [back(JOURNEY)], [JOURNEY]]
    assert [erasure(of_person, 1, RETURN).reason for of_person in journeys] == [Reason.OPEN_ALERT] * 3


@pytest.mark.parametrize(
    ("registrations", "today", "reason"),
    [
        ([back(JOURNEY)], RETURN + KEPT - DAY, Reason.KEPT),
        ([back(JOURNEY)], RETURN + KEPT, Reason.KEPT),  # the last day on which the data are kept
        ([back(JOURNEY)], RETURN + KEPT + DAY, Reason.ERASABLE),
        ([JOURNEY], RETURN + KEPT + DAY, Reason.OVERDUE),
        ([back(JOURNEY), LATER], RETURN + KEPT + DAY, Reason.KEPT),  # the last journey counts
        ([CANCELLED], RETURN + KEPT + DAY, Reason.ERASABLE),
        ([], RETURN + KEPT, Reason.KEPT),
    ],
)
def test_retention_keeps_the_data_for_the_whole_time_after_the_last_journey(
    registrations: list[Registration], today: date, reason: Reason
) -> None:
    """A day counts when it is over; afterwards the data go on the same terms as by request."""
    assert retention(registrations, 0, today, KEPT).reason is reason
    assert not retention(registrations, 1, today, KEPT).permits
