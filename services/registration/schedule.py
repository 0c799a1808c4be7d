"""When something is due for a journey: planned reminders, and the day on which a stay begins or ends.

The plan is computed from the itinerary, and `progress` is part of the registration (`evolve.py`). So no timer and no
plan is stored beside the events; `scheduler.py` reads the registrations whose `progress.due` has come.
"""

from calendar import monthrange
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import MAXYEAR, date, datetime
from functools import lru_cache
from typing import NamedTuple

from pydantic import Field

from shared.clock import amsterdam_date, days_later, in_amsterdam
from shared.events import (
    Event,
    Part,
    RegistrationSubmitted,
    ReminderDropped,
    ReminderDue,
    ReminderKind,
    ReturnRecorded,
    SafetySessionRecorded,
    StayContactUpdated,
    StayEnded,
    StayStarted,
    TaskClosed,
    TaskOpened,
)

#: Proposal (R22): days before departure.
ADVICE_DAYS = (14, 7, 1)
#: Proposal (R39): days before departure; early enough to find a session, and once more.
SESSION_DAYS = (30, 10)
#: Proposal (R24): days after arrival; on CONTACT_TASK_DAY a person gets a task.
CONTACT_DAYS = (1, 3, 7)
CONTACT_TASK_DAY = 8
#: Hour of the Amsterdam clock: reminders are sent in the morning, a stay begins and ends at midnight.
MORNING, MIDNIGHT = "T08", "T00"
#: R25: the names of reminders that follow a failed message begin like this. They are not planned.
BOUNCE_PREFIX = "bounce-"
#: Settled reminders that a registration remembers; a journey of five years plans about seventy.
MAX_SETTLED = 200
#: Monthly reminders of one journey. None is longer, except by a date that nobody means.
MAX_MONTHS = 130


@dataclass(frozen=True, slots=True)
class PlannedReminder:
    """One reminder of a journey: what it is about, its name within the kind, and its day."""

    kind: ReminderKind
    name: str
    due_on: date

    @property
    def key(self) -> str:
        """Identifies the reminder. It contains the date, so changed travel dates make a new reminder."""
        return _key(self.kind, self.name, self.due_on)


class JourneyDates(NamedTuple):
    """The dates of an itinerary from which reminders are planned, and the day on which it was submitted.

    Dates of the itinerary are local to the place; `submitted_on` is Europe/Amsterdam.
    """

    departure: date
    arrival: date
    last_day: date
    submitted_on: date


class JourneyProgress(Part):
    """How far a journey is, and when the scheduler must read it next."""

    started_on: date | None = Field(default=None, description="The stay has begun")
    ended_on: date | None = Field(default=None, description="The last day has passed; overdue until returned (R26)")
    returned_on: date | None = Field(default=None, description="A return of the student is recorded")
    contact_at: datetime | None = Field(default=None, description="R24: contact details abroad were given or confirmed")
    contact_asked: bool = Field(default=False, description="R24: after the last reminder a person got a task")
    session_attended: bool | None = Field(default=None, description="R39; null: nothing recorded")
    settled: tuple[str, ...] = Field(default=(), description="Reminders sent or dropped: `kind/name/day`")
    bounced_on: date | None = Field(default=None, description="R25: the newest reminder after a failed message")
    due: str | None = Field(
        default=None, description="When something is due next: Amsterdam wall clock `YYYY-MM-DDThh`"
    )

    @property
    def is_overdue(self) -> bool:
        """R26: the last day has passed and no return is recorded."""
        return self.ended_on is not None and self.returned_on is None


def wall_clock(instant: datetime) -> str:
    """An aware instant in the form of `due`: the Amsterdam wall clock. As text it sorts by time."""
    return f"{in_amsterdam(instant):%Y-%m-%dT%H}"


def planned_reminders(dates: JourneyDates) -> Iterator[PlannedReminder]:
    """R22, R24, R25, R39: every reminder of a journey, each kind in order of time.

    Reminders for the day of the submission or earlier are not planned: the student has just seen all of it.
    """
    submitted_on = dates.submitted_on
    for days in SESSION_DAYS:
        yield from _after(submitted_on, ReminderKind.SAFETY_SESSION, f"T-{days}", days_later(dates.departure, -days))
    for days in ADVICE_DAYS:
        yield from _after(submitted_on, ReminderKind.CHECK_ADVICE, f"T-{days}", days_later(dates.departure, -days))
    for days in CONTACT_DAYS:
        day = days_later(dates.arrival, days)
        if day <= dates.last_day:
            yield from _after(submitted_on, ReminderKind.STAY_CONTACT, f"day-{days}", day)
    for day in _monthly(dates.arrival, dates.last_day):
        yield from _after(submitted_on, ReminderKind.STILL_CORRECT, f"{day:%Y-%m}", day)


def contact_task_day(dates: JourneyDates) -> date | None:
    """R24: when a person gets a task; None when the stay ends before that day."""
    day = days_later(dates.arrival, CONTACT_TASK_DAY)
    return day if day <= dates.last_day else None


def advance_progress(
    before: JourneyProgress,
    event: Event,
    at: datetime,
    dates_after: Callable[[], JourneyDates],
    *,
    has_moved: bool,
    is_cancelled: bool,
    has_contact_task: bool,
) -> JourneyProgress:
    """The progress after an event; the same object when the event changes nothing of it.

    `dates_after` returns the itinerary's dates after the event, `has_moved` says whether the event changed it;
    `has_contact_task`: a task of R24 is open.
    """
    is_submission = isinstance(event, RegistrationSubmitted)
    if not (is_submission or is_cancelled or has_contact_task or isinstance(event, _MOVING_DUE)):
        return before
    dates = dates_after()
    changed = before.model_copy(update=_changes(before, event, at, dates, has_moved))
    is_over = is_cancelled or changed.returned_on is not None
    due = None if is_over else _next_due(changed, at, dates, has_contact_task)
    return changed if due == changed.due else changed.model_copy(update={"due": due})


#: Events that may change `due`, beside a submission and what concerns a task of R24.
_MOVING_DUE = (
    StayStarted,
    StayEnded,
    ReturnRecorded,
    StayContactUpdated,
    SafetySessionRecorded,
    ReminderDue,
    ReminderDropped,
    TaskClosed,
)


def _changes(
    before: JourneyProgress, event: Event, at: datetime, dates: JourneyDates, has_moved: bool
) -> dict[str, object]:
    match event:
        case StayStarted():
            return {"started_on": event.on}
        case StayEnded():
            return {"ended_on": event.on}
        case ReturnRecorded():  # another outcome takes back a return that was recorded before
            return {"returned_on": event.on if event.outcome == "returned" else None}
        case StayContactUpdated():
            return {"contact_at": at}
        case SafetySessionRecorded():
            return {"session_attended": event.attended}
        case ReminderDue() | ReminderDropped():
            settled = (*before.settled, _key(event.kind, event.occasion, event.due_on))[-MAX_SETTLED:]
            bounced = {"bounced_on": event.due_on} if event.occasion.startswith(BOUNCE_PREFIX) else {}
            return {"settled": settled, **bounced}
        case TaskOpened(rule="R24"):
            return {"contact_asked": True}
        case _ if has_moved:
            return _changes_of_submission(before, amsterdam_date(at), dates)
        case _:
            return {}


def _changes_of_submission(before: JourneyProgress, today: date, dates: JourneyDates) -> dict[str, object]:
    """By its new itinerary a stay may not have begun, or not be over; a recorded return belonged to the old one."""
    return {
        "started_on": before.started_on if dates.departure <= today else None,
        "ended_on": before.ended_on if dates.last_day < today else None,
        "returned_on": None,
        "contact_asked": before.contact_asked and dates.arrival <= today,
    }


def _next_due(progress: JourneyProgress, at: datetime, dates: JourneyDates, has_contact_task: bool) -> str | None:
    """The first moment at which the scheduler has something to do; None: never."""
    if progress.settled:
        reminders = (reminder for reminder in planned_reminders(dates) if reminder.key not in progress.settled)
        first_day = min((reminder.due_on for reminder in reminders), default=None)
    else:
        first_day = _first_reminder_day(dates)
    moments = [f"{first_day}{MORNING}"] if first_day is not None else []
    if progress.started_on is None:
        moments.append(f"{dates.departure}{MIDNIGHT}")
    if progress.ended_on is None:
        moments.append(f"{days_later(dates.last_day, 1)}{MIDNIGHT}")
    task_day = contact_task_day(dates)
    needs_task = progress.contact_at is None and not progress.contact_asked and progress.ended_on is None
    if task_day is not None and needs_task:
        moments.append(f"{task_day}{MORNING}")
    if has_contact_task and progress.contact_at is not None:  # the task has lost its cause: close it now
        moments.append(f"{amsterdam_date(at)}{MIDNIGHT}")
    return min(moments, default=None)


@lru_cache(maxsize=4_096)  # most students who submit on one day travel at the beginning of the same term
def _first_reminder_day(dates: JourneyDates) -> date | None:
    return min((reminder.due_on for reminder in planned_reminders(dates)), default=None)


def _after(submitted_on: date, kind: ReminderKind, name: str, day: date) -> Iterator[PlannedReminder]:
    if day > submitted_on:
        yield PlannedReminder(kind, name, day)


def _monthly(arrival: date, last_day: date) -> Iterator[date]:
    """The arrival's day of each later month, or the month's last day where the month is shorter."""
    for months in range(1, MAX_MONTHS + 1):
        year, month = divmod(arrival.year * 12 + arrival.month - 1 + months, 12)
        if year > MAXYEAR:
            return
        day = date(year, month + 1, min(arrival.day, monthrange(year, month + 1)[1]))
        if day > last_day:
            return
        yield day


def _key(kind: ReminderKind, name: str, day: date) -> str:
    return f"{kind.value}/{name}/{day}"
