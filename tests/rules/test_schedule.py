"""R22, R24, R25, R39: on which days reminders are planned, at both edges of a journey, and when a journey is due."""

from datetime import date, timedelta

import pytest

from services.registration.model import Registration
from services.registration.schedule import JourneyDates, contact_task_day, planned_reminders
from shared.events import (
    Event,
    RegistrationCancelled,
    RegistrationChanged,
    ReminderDue,
    ReminderKind,
    ReturnRecorded,
    StayContactUpdated,
    StayEnded,
    StayStarted,
    TaskOpened,
)
from tests.rules.registration_world import DEPARTURE, RETURN, STUDENT, leg
from tests.rules.test_reminders import SEALED, WHO, fold, morning, submitted

DAY = timedelta(days=1)
ARRIVAL = date(2026, 1, 31)


def planned(kind: ReminderKind, dates: JourneyDates) -> list[str]:
    """The names of the reminders of this kind, in order."""
    return [reminder.name for reminder in planned_reminders(dates) if reminder.kind is kind]


@pytest.mark.parametrize(
    ("days_before", "advice", "session"),
    [
        (31, ["T-14", "T-7", "T-1"], ["T-30", "T-10"]),
        (30, ["T-14", "T-7", "T-1"], ["T-10"]),
        (15, ["T-14", "T-7", "T-1"], ["T-10"]),
        (14, ["T-7", "T-1"], ["T-10"]),
        (10, ["T-7", "T-1"], []),
        (1, [], []),
    ],
)
def test_schedule_leaves_out_reminders_of_the_day_of_the_submission(
    days_before: int, advice: list[str], session: list[str]
) -> None:
    """R22, R39: who submits has just seen the advice; a reminder on the same day says nothing new."""
    dates = JourneyDates(DEPARTURE, DEPARTURE, RETURN, DEPARTURE - days_before * DAY)

    assert planned(ReminderKind.CHECK_ADVICE, dates) == advice
    assert planned(ReminderKind.SAFETY_SESSION, dates) == session


@pytest.mark.parametrize(
    ("days", "names", "task"),
    [(0, [], False), (1, ["day-1"], False), (3, ["day-1", "day-3"], False), (6, ["day-1", "day-3"], False),
     (7, ["day-1", "day-3", "day-7"], False), (8, ["day-1", "day-3", "day-7"], True)],
)  # fmt: skip
def test_schedule_asks_for_contact_details_until_the_last_day_itself(days: int, names: list[str], task: bool) -> None:
    """R24: on the last day the student is still there; the task of a person comes on the eighth day."""
    dates = JourneyDates(DEPARTURE - DAY, DEPARTURE, DEPARTURE + days * DAY, DEPARTURE - 90 * DAY)

    assert planned(ReminderKind.STAY_CONTACT, dates) == names
    assert contact_task_day(dates) == (DEPARTURE + 8 * DAY if task else None)


def test_schedule_asks_every_month_also_where_the_month_is_shorter_and_on_the_last_day() -> None:
    """R25: the arrival's day of each month, or the month's last one, through the end of a year."""
    dates = JourneyDates(ARRIVAL, ARRIVAL, date(2027, 1, 31), ARRIVAL - 90 * DAY)

    days = [reminder.due_on for reminder in planned_reminders(dates) if reminder.kind is ReminderKind.STILL_CORRECT]

    assert days[:3] == [date(2026, 2, 28), date(2026, 3, 31), date(2026, 4, 30)]
    assert (len(days), days[-1]) == (12, dates.last_day)


def due(*events: Event, day: date = DEPARTURE, hour: int = 9) -> str | None:
    """When something is due after these events, which followed the submission on this day."""
    state: Registration = fold(submitted(), *events, at=morning(day, hour))
    return state.progress.due


STARTED, ENDED = StayStarted(**WHO, on=DEPARTURE), StayEnded(**WHO, on=RETURN)
KNOWN = StayContactUpdated(**WHO, contact=SEALED, confirmed=True)
BACK = ReturnRecorded(**WHO, on=RETURN, outcome="returned", recorded_by=STUDENT)
ASKED = TaskOpened(
    **WHO, task_id="t-1", queue="coordinator", scope="example-biology", rule="R24", reason="contact_missing"
)


def test_schedule_is_due_at_the_first_hour_of_what_comes_next() -> None:
    """A stay begins and ends at midnight, reminders come at eight; nothing is due of a journey that is over."""
    assert due() == "2026-05-01T00"
    assert due(STARTED) == "2026-05-02T08"
    assert due(STARTED, KNOWN, day=RETURN) == "2026-07-01T00"
    assert due(STARTED, ENDED, day=RETURN) is None
    assert due(BACK) is None
    assert due(RegistrationCancelled(**WHO, cancelled_by=STUDENT)) is None
    assert due(STARTED, ASKED, KNOWN, day=RETURN) == f"{RETURN}T00", "the task has lost its cause: closed at once"
    assert due(STARTED, ENDED, day=RETURN, hour=23) is None


def moved(start: date, end: date, *before: Event, on: date) -> tuple[date | None, date | None, date | None, bool]:
    """The progress that remains after another itinerary: (started, ended, returned, contact asked)."""
    change = RegistrationChanged(**submitted(leg(start=start, end=end)).model_dump())
    progress = fold(submitted(), *before, change, at=morning(on)).progress
    return progress.started_on, progress.ended_on, progress.returned_on, progress.contact_asked


def test_schedule_of_changed_dates_forgets_what_the_new_dates_say_otherwise() -> None:
    """R24, R26: a stay that begins later has not begun, one that lasts longer is not over, and nobody is back yet."""
    everything = (STARTED, ASKED, ENDED)
    today = RETURN + 5 * DAY

    assert moved(DEPARTURE, today, *everything, on=today) == (DEPARTURE, None, None, True)
    assert moved(DEPARTURE, today - DAY, *everything, on=today) == (DEPARTURE, RETURN, None, True)
    assert moved(today, today + DAY, *everything, on=today) == (DEPARTURE, None, None, True)
    assert moved(today + DAY, today + 2 * DAY, *everything, on=today) == (None, None, None, False)
    assert moved(DEPARTURE, RETURN, *everything, on=today) == (DEPARTURE, RETURN, None, True)
    assert moved(DEPARTURE, today, *everything, BACK, on=today)[2] is None


def test_schedule_counts_only_reminders_after_failed_messages_as_such() -> None:
    """R25: a monthly reminder does not keep the student from being asked after a failed message."""
    facts = {"faculty_id": "example-sciences", "programme_id": "example-biology", "departure_date": DEPARTURE}
    monthly = ReminderDue(
        **WHO, **facts, kind="still_correct", occasion="2026-06", due_on=date(2026, 6, 1), late=False
    )  # fmt: skip
    bounce = monthly.model_copy(update={"occasion": "bounce-2026-06-09", "due_on": date(2026, 6, 9)})

    assert fold(submitted(), monthly).progress.bounced_on is None
    assert fold(submitted(), bounce, monthly).progress.bounced_on == bounce.due_on
