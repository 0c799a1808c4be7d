"""R22, R24, R25, R39: when each reminder is due, which are sent late, and which are dropped and why."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.registration.evolve import evolve
from services.registration.model import Registration, Status
from services.registration.read_models import Freshness
from services.registration.reminder_events import due_events
from services.registration.rules.reminders import (
    Reason,
    advice_reminder,
    bounce_reminder,
    contact_task,
    reminders,
    safety_session_reminder,
    stay_contact_reminder,
    still_correct_reminder,
)
from services.registration.schedule import PlannedReminder, wall_clock
from services.registration.texts import REASONS
from shared.clock import AMSTERDAM
from shared.events import (
    Event,
    Leg,
    LegKind,
    Level,
    RegistrationCancelled,
    RegistrationSubmitted,
    ReminderDropped,
    ReminderDue,
    ReminderKind,
    ReturnRecorded,
    SafetySessionRecorded,
    StayContactUpdated,
    StayEnded,
    StayStarted,
    StudyAnswers,
    TaskClosed,
    TaskOpened,
)
from tests.rules.registration_world import DEPARTURE, NOW, RETURN, STUDENT, advice, inputs, leg

WHO = {"registration_id": "registration-1", "person_id": STUDENT}
SEALED = "sealed:v1:x"


def submitted(*legs: Leg) -> RegistrationSubmitted:
    """The student's journey of May and June, submitted on the second of March."""
    return RegistrationSubmitted(
        **WHO, approval_id=None, faculty_id="example-sciences", programme_id="example-biology",
        activity_type="internship", legs=legs or (leg(),), contact=SEALED, language="en", study_related=False,
        answers=StudyAnswers(credits=False, university_funding=False, transcript_entry=False),
    )  # fmt: skip


def fold(*events: Event, at: datetime = NOW) -> Registration:
    """The registration after these events."""
    state: Registration | None = None
    for version, event in enumerate(events, start=1):
        state = evolve(state, event, at, version)
    assert state is not None
    return state


def morning(day: date, hour: int = 9) -> datetime:
    """A moment of a day in Amsterdam."""
    return datetime.combine(day, time(hour), AMSTERDAM).astimezone(UTC)


def live(moments: Iterable[datetime], *events: Event) -> list[tuple[str, Event]]:
    """Runs the scheduler at these moments on the state as it becomes: (Amsterdam date, event) of each event."""
    state, recorded, version = fold(*(events or (submitted(),))), [], 10
    for moment in moments:
        for draft in due_events(state, inputs(advice(Level.GREEN)), moment):
            version += 1
            state = evolve(state, draft.data, moment, version)
            recorded.append((wall_clock(moment)[:10], draft.data))
    return recorded


def every_hour(first: date, last: date) -> list[datetime]:
    """Each full hour between two midnights."""
    start, end = morning(first, 0), morning(last, 0)
    return [start + timedelta(hours=number) for number in range(int((end - start).total_seconds() // 3_600))]


def names(recorded: list[tuple[str, Event]]) -> list[tuple[str, str]]:
    """(date, short name) of each event."""
    short = []
    for day, event in recorded:
        name = type(event).__name__
        if isinstance(event, ReminderDue):
            name = f"{event.kind.value} {event.occasion}{' late' if event.late else ''}"
        if isinstance(event, ReminderDropped):
            name = f"dropped {event.kind.value} {event.occasion} {event.reason}"
        short.append((day, name))
    return short


EVERYTHING_IN_TIME = [
    ("2026-04-01", "safety_session T-30"),
    ("2026-04-17", "check_advice T-14"),
    ("2026-04-21", "safety_session T-10"),
    ("2026-04-24", "check_advice T-7"),
    ("2026-04-30", "check_advice T-1"),
    ("2026-05-01", "StayStarted"),
    ("2026-05-02", "stay_contact day-1"),
    ("2026-05-04", "stay_contact day-3"),
    ("2026-05-08", "stay_contact day-7"),
    ("2026-05-09", "TaskOpened"),
    ("2026-05-09", "TaskOpened"),
    ("2026-06-01", "still_correct 2026-06"),
    ("2026-07-01", "StayEnded"),
]


def test_reminders_of_a_whole_journey_come_in_time_and_once() -> None:
    """R22, R24, R25, R39, looked at every hour of five months."""
    told = live(every_hour(date(2026, 3, 2), date(2026, 8, 1)))

    assert names(told) == EVERYTHING_IN_TIME
    queues = [event.queue for _, event in told if isinstance(event, TaskOpened)]
    assert queues == ["coordinator", "international-office"]


def test_reminders_after_three_days_away_come_late_and_once() -> None:
    """The service was down from the 16th to the 19th of April: T-14 is two days late, and said to be."""
    moments = [moment for moment in every_hour(date(2026, 3, 2), date(2026, 5, 1)) if not 16 <= moment.day <= 18]

    told = names(live(moments))

    assert ("2026-04-19", "check_advice T-14 late") in told
    assert sum("T-14" in what for _, what in told) == 1


def test_reminders_after_a_month_away_only_the_newest_of_a_kind_is_sent() -> None:
    """Outdated reminders are dropped with a reason, and settled: they never come again."""
    told = names(live([morning(date(2026, 3, 3)), morning(date(2026, 4, 27)), morning(date(2026, 4, 28))]))

    assert told == [
        ("2026-04-27", "dropped safety_session T-30 superseded"),
        ("2026-04-27", "safety_session T-10 late"),
        ("2026-04-27", "dropped check_advice T-14 superseded"),
        ("2026-04-27", "check_advice T-7 late"),
    ]


def test_reminders_after_the_journey_are_all_dropped() -> None:
    """Away for the whole journey: outdated reminders are dropped, and the stay is recorded as ended."""
    told = names(live([morning(date(2026, 7, 20))]))

    assert [what for _, what in told if not what.startswith("dropped")] == ["StayStarted", "StayEnded"]
    assert {what.rsplit(" ", 1)[1] for _, what in told if what.startswith("dropped")} == {
        "superseded", "departed", "over"
    }  # fmt: skip


def test_reminders_clock_that_jumps_back_sends_nothing_again() -> None:
    """Three days forth, five back, and on again: once each."""
    days = [date(2026, 4, 17), date(2026, 4, 20), date(2026, 4, 15), date(2026, 4, 17), date(2026, 4, 18)]

    told = names(live([morning(day) for day in days]))

    assert sum("T-14" in what for _, what in told) == 1


@given(st.lists(st.integers(0, 24 * 200), min_size=1, max_size=60), st.integers(0, 40), st.integers(0, 120))
def test_reminders_whatever_the_clock_does_each_is_settled_at_most_once(
    hours: list[int], ahead: int, length: int
) -> None:
    """R22, R24, R25, R39: at most one fact for each kind and occasion; in the end nothing is left to look at."""
    first = NOW.date() + timedelta(days=ahead)
    journey = submitted(leg(start=first, end=first + timedelta(days=length)))
    moments = [NOW + timedelta(hours=hour) for hour in hours] + [NOW + timedelta(days=400)]

    told = live(moments, journey)

    keys = [(e.kind, e.occasion) for _, e in told if isinstance(e, ReminderDue | ReminderDropped)]
    assert len(keys) == len(set(keys))
    kinds = [type(event) for _, event in told]
    assert kinds.count(StayStarted) == kinds.count(StayEnded) == 1
    assert fold(journey, *(event for _, event in told), at=NOW + timedelta(days=400)).progress.due is None


def test_due_is_what_the_rules_then_find() -> None:
    """The moment that is kept is the first at which there is something to do: no later, no earlier."""
    state, looked = fold(submitted()), 0
    while state.progress.due is not None and looked < 50:
        day, hour = date.fromisoformat(state.progress.due[:10]), int(state.progress.due[-2:])
        at = morning(day, hour)
        assert due_events(state, inputs(), at - timedelta(minutes=1)) == []
        found = due_events(state, inputs(), at)
        assert found
        for version, each in enumerate(found, start=10):
            state = evolve(state, each.data, at, version)
        looked += 1

    assert looked == len({day for day, _ in EVERYTHING_IN_TIME})


def occasion(kind: ReminderKind, day: date = DEPARTURE) -> PlannedReminder:
    """Some occasion."""
    return PlannedReminder(kind, "x", day)


@pytest.mark.parametrize(
    ("status", "today", "reason"),
    [
        (Status.APPROVED, DEPARTURE - timedelta(days=1), Reason.CHECK_ADVICE),
        (Status.HELD, DEPARTURE - timedelta(days=1), Reason.CHECK_ADVICE),
        (Status.SUSPENDED, DEPARTURE, Reason.CHECK_ADVICE),
        (Status.REFUSED, DEPARTURE - timedelta(days=1), Reason.REFUSED),
        (Status.APPROVED, DEPARTURE + timedelta(days=1), Reason.DEPARTED),
    ],
)
def test_advice_reminder_table(status: Status, today: date, reason: Reason) -> None:
    """R22: until the day of departure, to everybody who may go."""
    state = fold(submitted()).model_copy(update={"status": status})

    assert advice_reminder(state, occasion(ReminderKind.CHECK_ADVICE), morning(today)).reason is reason


def test_advice_reminder_shows_the_colour_and_when_it_was_fetched() -> None:
    """R22: of every place of the journey, as it is now."""
    through = leg("FR", DEPARTURE, DEPARTURE, LegKind.THROUGH)
    state = fold(submitted(through, leg()))
    known = inputs(advice(Level.YELLOW), advice(Level.ORANGE, "FR", 7))
    checked = NOW + timedelta(days=45)
    known = known.__class__(
        known.approval, known.advice,
        {name: each.__class__(each.fresh_until, each.countries, checked) for name, each in known.sources.items()},
    )  # fmt: skip

    found = [draft.data for draft in due_events(state, known, morning(date(2026, 4, 17)))]

    shown = next(e for e in found if isinstance(e, ReminderDue) and e.kind is ReminderKind.CHECK_ADVICE)
    assert {(seen.country, seen.level, seen.advice_version) for seen in shown.advice} == {("FR", 2, 7), ("ES", 1, 3)}
    assert shown.checked_at == checked
    other = {"uk": Freshness(NOW, {}, NOW - timedelta(days=1)), "us": Freshness(NOW, {}, NOW - timedelta(days=9))}
    from_two = {**known.advice, "FR": known.advice["FR"].model_copy(update={"source": "uk"})}
    two = replace(known, advice=from_two, sources={**known.sources, **other})
    assert two.checked_at(("ES", "FR")) == NOW - timedelta(days=1), "the earliest of the sources of this journey"


def test_stay_contact_reminder_table() -> None:
    """R24: while they are missing; given, the rest is dropped; the stay over, too."""
    missing = fold(submitted())
    given_ = fold(submitted(), StayContactUpdated(**WHO, contact=SEALED, confirmed=False))
    for state, today, reason in (
        (missing, DEPARTURE + timedelta(days=1), Reason.CONTACT_MISSING),
        (given_, DEPARTURE + timedelta(days=1), Reason.CONTACT_KNOWN),
        (missing, RETURN, Reason.CONTACT_MISSING),
        (missing, RETURN + timedelta(days=1), Reason.OVER),
    ):
        found = stay_contact_reminder(state, occasion(ReminderKind.STAY_CONTACT), morning(today))
        assert found.reason is reason


def test_contact_task_opens_once_and_ends_with_its_cause() -> None:
    """R24: on day 8 a person is asked; the details come, and the tasks are closed at the next look."""
    before, day = fold(submitted()), DEPARTURE + timedelta(days=8)
    opened = [
        TaskOpened(**WHO, task_id=f"t-{queue}", queue=queue, scope="", rule="R24", reason="contact_missing")
        for queue in ("coordinator", "international-office")
    ]
    asked = fold(submitted(), *opened)
    given_ = evolve(asked, StayContactUpdated(**WHO, contact=SEALED, confirmed=False), morning(day), 9)

    assert not contact_task(before, morning(day, 7)).is_opened
    assert contact_task(before, morning(day, 8)).is_opened
    assert not contact_task(asked, morning(day, 9)).is_opened
    assert contact_task(given_, morning(day, 9)).is_closed
    assert given_.progress.due is not None
    assert given_.progress.due <= wall_clock(morning(day, 9))
    closed = [draft.data for draft in due_events(given_, inputs(), morning(day)) if isinstance(draft.data, TaskClosed)]
    assert {task.task_id for task in closed} == {"t-coordinator", "t-international-office"}


def test_due_events_of_contact_details_touch_no_other_task_and_show_no_advice() -> None:
    """R24: only the office without an open task gets one; only tasks of R24 end with the details."""
    tasks = [
        TaskOpened(**WHO, task_id=rule, queue=queue, scope="", rule=rule, reason="x")
        for queue, rule in (("coordinator", "R24"), ("safety-officer", "R20"))
    ]
    asked = fold(submitted(), *tasks)
    not_asked = asked.model_copy(update={"progress": asked.progress.model_copy(update={"contact_asked": False})})
    told = fold(submitted(), *tasks, StayContactUpdated(**WHO, contact=SEALED, confirmed=True))
    known, eighth_day = inputs(advice(Level.YELLOW)), morning(DEPARTURE + timedelta(days=8))
    known = replace(known, sources={name: replace(source, checked_at=NOW) for name, source in known.sources.items()})

    found = [draft.data for draft in due_events(not_asked, known, eighth_day)]

    assert [event.queue for event in found if isinstance(event, TaskOpened)] == ["international-office"]
    sent = [event for event in found if isinstance(event, ReminderDue)]
    assert [(event.kind.value, event.advice, event.checked_at) for event in sent] == [("stay_contact", (), None)]
    ended = [draft.data for draft in due_events(told, known, eighth_day)]
    assert [event.task_id for event in ended if isinstance(event, TaskClosed)] == ["R24"]


def test_still_correct_reminder_table() -> None:
    """R25: monthly, but not to who has just confirmed it."""
    day = date(2026, 6, 1)
    for confirmed, today, reason in (
        (None, day, Reason.STILL_CORRECT),
        (day - timedelta(days=13), day, Reason.CONFIRMED_LATELY),
        (day - timedelta(days=15), day, Reason.STILL_CORRECT),
        (None, RETURN + timedelta(days=1), Reason.OVER),
    ):
        state = fold(submitted())
        if confirmed is not None:
            state = evolve(state, StayContactUpdated(**WHO, contact=SEALED, confirmed=True), morning(confirmed), 2)
        found = still_correct_reminder(state, occasion(ReminderKind.STILL_CORRECT, day), morning(today))
        assert found.reason is reason


def test_safety_session_reminder_table() -> None:
    """R39: a reminder until departure, none for who attended; recorded wrongly and taken back, it comes again."""
    attended = fold(submitted(), SafetySessionRecorded(**WHO, attended=True, recorded_by="p-1"))
    taken_back = evolve(attended, SafetySessionRecorded(**WHO, attended=False, recorded_by="p-1"), NOW, 3)
    for state, today, reason in (
        (fold(submitted()), DEPARTURE - timedelta(days=10), Reason.SESSION_MISSING),
        (attended, DEPARTURE - timedelta(days=10), Reason.ATTENDED),
        (taken_back, DEPARTURE - timedelta(days=10), Reason.SESSION_MISSING),
        (fold(submitted()), DEPARTURE, Reason.DEPARTED),
    ):
        found = safety_session_reminder(state, occasion(ReminderKind.SAFETY_SESSION), morning(today))
        assert found.reason is reason


def test_bounce_reminder_table() -> None:
    """R25: after a failure, once in a week; not for details that are newer than the failure."""
    day, state = date(2026, 5, 20), fold(submitted())
    asked = evolve(
        state,
        ReminderDue(
            **WHO, kind=ReminderKind.STILL_CORRECT, occasion=f"bounce-{day}", due_on=day, late=False,
            faculty_id="f", programme_id="p", departure_date=DEPARTURE,
        ),
        morning(day), 2,
    )  # fmt: skip
    renewed = evolve(state, StayContactUpdated(**WHO, contact=SEALED, confirmed=False), morning(day, 12), 2)
    for registration, failed, reason in (
        (state, morning(day), Reason.STILL_CORRECT),
        (renewed, morning(day), Reason.CHANGED_SINCE),
        (renewed, morning(day, 13), Reason.STILL_CORRECT),
        (asked, morning(day + timedelta(days=6)), Reason.ASKED_LATELY),
        (asked, morning(day + timedelta(days=7)), Reason.STILL_CORRECT),
        (fold(submitted(), RegistrationCancelled(**WHO, cancelled_by=STUDENT)), morning(day), Reason.CANCELLED),
        (fold(submitted(), _returned(day)), morning(day), Reason.OVER),
    ):
        assert bounce_reminder(registration, failed, max(failed, morning(day, 14))).reason is reason


def test_every_reason_of_a_reminder_has_a_text() -> None:
    """In both languages: the history of a registration shows why a reminder was sent or dropped."""
    assert {reason.value for reason in Reason} <= set(REASONS)


def test_reminders_of_who_cancelled_or_came_back_are_none() -> None:
    """Nothing is due any more, and nothing is looked at again."""
    for last in (RegistrationCancelled(**WHO, cancelled_by=STUDENT), _returned(date(2026, 5, 20))):
        state = fold(submitted(), last)
        assert state.progress.due is None
        assert reminders(state, morning(date(2026, 6, 2))) == ()
        assert due_events(state, inputs(), morning(date(2026, 7, 2))) == []


def test_reminders_for_other_dates_are_other_reminders() -> None:
    """Departure a month later: T-14 comes again, for the new day; the stay that had begun has not."""
    told = live([morning(date(2026, 4, 17)), morning(date(2026, 5, 1))])
    state = fold(submitted(), *(event for _, event in told), at=morning(date(2026, 5, 1)))
    assert state.progress.started_on == DEPARTURE

    moved = submitted(leg(start=DEPARTURE + timedelta(days=31), end=RETURN + timedelta(days=31)))
    later = evolve(state, moved, morning(date(2026, 5, 1), 10), 20)
    found = due_events(later, inputs(advice(Level.GREEN)), morning(date(2026, 5, 18)))

    assert later.progress.started_on is None
    sent = [(e.data.kind, e.data.occasion) for e in found if isinstance(e.data, ReminderDue)]
    assert sent == [(ReminderKind.SAFETY_SESSION, "T-30"), (ReminderKind.CHECK_ADVICE, "T-14")]


def _returned(day: date) -> ReturnRecorded:
    return ReturnRecorded(**WHO, on=day, outcome="returned", recorded_by=STUDENT)
