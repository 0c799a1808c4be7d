"""How far a journey has come: stays begun and ended, reminders settled, and when something is due next.

A part of the fold (model.py): what is due is a function of the events alone, so there is no plan to keep beside them.
"""

from calendar import monthrange
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

from pydantic import Field

from shared.clock import AMSTERDAM, amsterdam_date
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

#: Proposal (R22): so many days before departure.
ADVICE_DAYS = (14, 7, 1)
#: Proposal (R39): early enough to find a session, and once more.
SESSION_DAYS = (30, 10)
#: Proposal (R24): so many days after arrival; on the day after these a person is asked.
CONTACT_DAYS = (1, 3, 7)
CONTACT_TASK_DAY = 8
#: A reminder comes in the morning, Europe/Amsterdam; a stay begins and ends at midnight.
MORNING, MIDNIGHT = "T08", "T00"
#: R25: what a bounce reminder's occasion begins with; such ones are not planned, they follow a failure.
BOUNCE = "bounce-"
#: Kept of what is settled; a journey of five years plans about seventy.
MOST_SETTLED = 200


@dataclass(frozen=True, slots=True)
class Occasion:
    """One planned reminder."""

    kind: ReminderKind
    name: str
    due_on: date

    @property
    def key(self) -> str:
        """Its identity: with other dates it is another one."""
        return _key(self.kind, self.name, self.due_on)


class Dates(NamedTuple):
    """What of an itinerary decides when something is due. Days as they are, Europe/Amsterdam.

    `known`: the day on which it was handed in.
    """

    departure: date
    arrival: date
    last: date
    known: date


class Progress(Part):
    """Where a journey stands, as the scheduler has moved it."""

    started_on: date | None = Field(default=None, description="The stay has begun")
    ended_on: date | None = Field(default=None, description="The last day has passed; overdue until returned (R26)")
    returned_on: date | None = Field(default=None, description="Somebody recorded that the student is back")
    contact_at: datetime | None = Field(default=None, description="R24: contact details abroad were given or confirmed")
    contact_asked: bool = Field(default=False, description="R24: the reminders are over and a person was asked")
    session_attended: bool | None = Field(default=None, description="R39; null: nothing recorded")
    settled: tuple[str, ...] = Field(default=(), description="Reminders sent or dropped: `kind/occasion/day`")
    bounced_on: date | None = Field(default=None, description="R25: the newest reminder after a failed message")
    due: str | None = Field(default=None, description="Next moment to look: Amsterdam wall clock `YYYY-MM-DDThh`")

    @property
    def is_overdue(self) -> bool:
        """R26: the last day has passed and nobody recorded a return."""
        return self.ended_on is not None and self.returned_on is None


def wall_clock(instant: datetime) -> str:
    """An aware instant as `due` is written: the Amsterdam clock on the wall, which compares as text."""
    return instant.astimezone(AMSTERDAM).strftime("%Y-%m-%dT%H")


def planned(dates: Dates) -> Iterator[Occasion]:
    """R22, R24, R25, R39: every reminder of a journey, each kind in order.

    What would have come before the itinerary was handed in, or that morning, is none: the student has just seen it all.
    """
    known = dates.known
    for days in SESSION_DAYS:
        yield from _from(known, ReminderKind.SAFETY_SESSION, f"T-{days}", dates.departure - timedelta(days))
    for days in ADVICE_DAYS:
        yield from _from(known, ReminderKind.CHECK_ADVICE, f"T-{days}", dates.departure - timedelta(days))
    for days in CONTACT_DAYS:
        day = dates.arrival + timedelta(days)
        if day <= dates.last:
            yield from _from(known, ReminderKind.STAY_CONTACT, f"day-{days}", day)
    for day in _monthly(dates.arrival, dates.last):
        yield from _from(known, ReminderKind.STILL_CORRECT, f"{day:%Y-%m}", day)


def contact_task_day(dates: Dates) -> date | None:
    """R24: when a person is asked; None where the stay is over before that."""
    day = dates.arrival + timedelta(CONTACT_TASK_DAY)
    return day if day <= dates.last else None


def progressed(
    before: Progress, event: Event, at: datetime, dates_of: Callable[[], Dates], *, ended: bool, asked: bool
) -> Progress:
    """The progress after a fact; the very same where nothing has moved.

    `dates_of` gives the itinerary's dates after the fact; `ended`: the student does not go; `asked`: a task of R24 is
    open.
    """
    refiled = isinstance(event, RegistrationSubmitted)
    if not (refiled or ended or asked or isinstance(event, _MOVES)):
        return before
    dates = dates_of()
    update = _update(before, event, at, dates, refiled)
    changed = before.model_copy(update=update)
    due = None if ended or changed.returned_on is not None else _due(changed, at, dates, asked)
    return changed if due == changed.due else changed.model_copy(update={"due": due})


#: What `due` stands on, beside the dates.
_MOVES = (
    StayStarted,
    StayEnded,
    ReturnRecorded,
    StayContactUpdated,
    SafetySessionRecorded,
    ReminderDue,
    ReminderDropped,
    TaskClosed,
)


def _update(before: Progress, event: Event, at: datetime, dates: Dates, refiled: bool) -> dict[str, object]:
    match event:
        case StayStarted():
            return {"started_on": event.on}
        case StayEnded():
            return {"ended_on": event.on}
        case ReturnRecorded(outcome="returned"):
            return {"returned_on": event.on}
        case StayContactUpdated():
            return {"contact_at": at}
        case SafetySessionRecorded():
            return {"session_attended": event.attended}
        case ReminderDue() | ReminderDropped():
            settled = (*before.settled, _key(event.kind, event.occasion, event.due_on))[-MOST_SETTLED:]
            bounced = {"bounced_on": event.due_on} if event.occasion.startswith(BOUNCE) else {}
            return {"settled": settled, **bounced}
        case TaskOpened(rule="R24"):
            return {"contact_asked": True}
        case _ if refiled:
            return _refiled(before, amsterdam_date(at), dates)
        case _:
            return {}


def _refiled(before: Progress, today: date, dates: Dates) -> dict[str, object]:
    """With other dates a stay may not have begun, or not be over; a return belongs to the dates before."""
    return {
        "started_on": before.started_on if dates.departure <= today else None,
        "ended_on": before.ended_on if dates.last < today else None,
        "returned_on": before.returned_on if dates.last < today else None,
        "contact_asked": before.contact_asked and dates.arrival <= today,
    }


def _due(progress: Progress, at: datetime, dates: Dates, asked: bool) -> str | None:
    """The first moment at which there is something to do; None: never."""
    if progress.settled:
        first = min((each.due_on for each in planned(dates) if each.key not in progress.settled), default=None)
    else:
        first = _first(dates)
    moments = [f"{first}{MORNING}"] if first is not None else []
    if progress.started_on is None:
        moments.append(f"{dates.departure}{MIDNIGHT}")
    if progress.ended_on is None:
        moments.append(f"{dates.last + timedelta(1)}{MIDNIGHT}")
    task_day = contact_task_day(dates)
    unasked = progress.contact_at is None and not progress.contact_asked and progress.ended_on is None
    if task_day is not None and unasked:
        moments.append(f"{task_day}{MORNING}")
    if asked and progress.contact_at is not None:
        moments.append(f"{amsterdam_date(at)}{MIDNIGHT}")
    return min(moments, default=None)


@lru_cache(maxsize=4_096)  # most who hand in today go at the beginning of the same term
def _first(dates: Dates) -> date | None:
    """The first planned reminder."""
    return min((each.due_on for each in planned(dates)), default=None)


def _from(known: date, kind: ReminderKind, name: str, day: date) -> Iterator[Occasion]:
    if day > known:
        yield Occasion(kind, name, day)


def _monthly(arrival: date, last: date) -> Iterator[date]:
    """The same day of every month after the arrival, the month's last where it is shorter."""
    months = 1
    while True:
        year, month = divmod(arrival.year * 12 + arrival.month - 1 + months, 12)
        day = date(year, month + 1, min(arrival.day, monthrange(year, month + 1)[1]))
        if day > last:
            return
        yield day
        months += 1


def _key(kind: ReminderKind, name: str, day: date) -> str:
    return f"{kind.value}/{name}/{day}"
