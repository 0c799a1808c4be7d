"""R22, R24, R25, R39: is a reminder that came due still of use? Sources: Leiden, "Remember to check the travel advice
before departure", "keep your contact details updated"; Health and safety. Days and lateness: proposals.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

from services.registration.model import Registration, Status
from services.registration.rules.departure import has_departed
from services.registration.schedule import BOUNCE, MORNING, Occasion, contact_task_day, planned, wall_clock
from shared.clock import amsterdam_date
from shared.events import ReminderKind

#: R25: who confirmed so lately is not asked again.
CONFIRMED_LATELY = timedelta(days=14)
#: R25: after failed messages the student is asked once in so many days, whatever else fails.
BETWEEN_BOUNCES = timedelta(days=7)


class Reason(StrEnum):
    """Why a reminder is sent (the first four), or of no use any more."""

    CHECK_ADVICE = "check_advice"
    CONTACT_MISSING = "contact_missing"
    STILL_CORRECT = "still_correct"
    SESSION_MISSING = "session_missing"
    SUPERSEDED = "superseded"
    CANCELLED = "cancelled"
    REFUSED = "refused"
    DEPARTED = "departed"
    OVER = "over"
    CONTACT_KNOWN = "contact_known"
    CONFIRMED_LATELY = "confirmed_lately"
    CHANGED_SINCE = "changed_since"
    ASKED_LATELY = "asked_lately"
    ATTENDED = "attended"


_SENT = frozenset({Reason.CHECK_ADVICE, Reason.CONTACT_MISSING, Reason.STILL_CORRECT, Reason.SESSION_MISSING})


@dataclass(frozen=True, slots=True)
class Reminder:
    """The decision about one occasion."""

    occasion: Occasion
    reason: Reason
    late: bool = False

    @property
    def is_sent(self) -> bool:
        """Otherwise it is dropped, for the reason."""
        return self.reason in _SENT


def reminders(registration: Registration, now: datetime) -> tuple[Reminder, ...]:
    """R22, R24, R25, R39: everything that came due and is not settled. Of one kind only the newest can be sent."""
    newest: dict[ReminderKind, Occasion] = {}
    due = list(_due(registration, now))
    for occasion in due:
        newest[occasion.kind] = occasion
    return tuple(
        _DECIDES[occasion.kind](registration, occasion, now)
        if occasion is newest[occasion.kind]
        else Reminder(occasion, Reason.SUPERSEDED)
        for occasion in due
    )


def advice_reminder(registration: Registration, occasion: Occasion, now: datetime) -> Reminder:
    """R22: until the day of departure itself; whoever was refused is not going."""
    if registration.status is Status.REFUSED:
        return Reminder(occasion, Reason.REFUSED)
    if has_departed(registration.departure_date, now):
        return Reminder(occasion, Reason.DEPARTED)
    return _sent(occasion, Reason.CHECK_ADVICE, now)


def stay_contact_reminder(registration: Registration, occasion: Occasion, now: datetime) -> Reminder:
    """R24: while contact details abroad are missing and the stay goes on."""
    if registration.progress.contact_at is not None:
        return Reminder(occasion, Reason.CONTACT_KNOWN)
    if amsterdam_date(now) > registration.return_date:
        return Reminder(occasion, Reason.OVER)
    return _sent(occasion, Reason.CONTACT_MISSING, now)


def still_correct_reminder(registration: Registration, occasion: Occasion, now: datetime) -> Reminder:
    """R25: monthly while abroad, unless the student has just said so."""
    confirmed = registration.progress.contact_at
    if amsterdam_date(now) > registration.return_date:
        return Reminder(occasion, Reason.OVER)
    if confirmed is not None and now - confirmed < CONFIRMED_LATELY:
        return Reminder(occasion, Reason.CONFIRMED_LATELY)
    return _sent(occasion, Reason.STILL_CORRECT, now)


def safety_session_reminder(registration: Registration, occasion: Occasion, now: datetime) -> Reminder:
    """R39: a reminder, never a block; nothing recorded counts as not attended."""
    if registration.status is Status.REFUSED:
        return Reminder(occasion, Reason.REFUSED)
    if registration.progress.session_attended:
        return Reminder(occasion, Reason.ATTENDED)
    if amsterdam_date(now) >= registration.departure_date:
        return Reminder(occasion, Reason.DEPARTED)
    return _sent(occasion, Reason.SESSION_MISSING, now)


def bounce_reminder(registration: Registration, failed_at: datetime, now: datetime) -> Reminder:
    """R25: after a bounced email or a failed SMS, once in a while, for who goes or is away.

    Not when the details were changed after the failure: then the failure says nothing about them.
    """
    today = amsterdam_date(now)
    failed_on = min(amsterdam_date(failed_at), today)
    occasion = Occasion(ReminderKind.STILL_CORRECT, f"{BOUNCE}{failed_on}", failed_on)
    progress = registration.progress
    given = max(registration.changed_at, progress.contact_at or registration.changed_at)
    if registration.status is Status.CANCELLED:
        return Reminder(occasion, Reason.CANCELLED)
    if progress.returned_on is not None:
        return Reminder(occasion, Reason.OVER)
    if given > failed_at:
        return Reminder(occasion, Reason.CHANGED_SINCE)
    if progress.bounced_on is not None and today - progress.bounced_on < BETWEEN_BOUNCES:
        return Reminder(occasion, Reason.ASKED_LATELY)
    return _sent(occasion, Reason.STILL_CORRECT, now)


@dataclass(frozen=True, slots=True)
class ContactTask:
    """R24: whether a person is to be asked about missing contact details, or their task has lost its cause."""

    is_opened: bool = False
    is_closed: bool = False


def contact_task(registration: Registration, now: datetime) -> ContactTask:
    """R24: three reminders were not enough: a person. Once; it ends when the details come."""
    progress, day = registration.progress, contact_task_day(registration.dates)
    asked = any(task.rule == "R24" for task in registration.open_tasks)
    if registration.status is Status.CANCELLED or progress.returned_on is not None:
        return ContactTask()
    if progress.contact_at is not None:
        return ContactTask(is_closed=asked)
    came = day is not None and wall_clock(now) >= f"{day}{MORNING}"
    goes_on = amsterdam_date(now) <= registration.return_date
    return ContactTask(is_opened=came and goes_on and not progress.contact_asked)


_DECIDES = {
    ReminderKind.CHECK_ADVICE: advice_reminder,
    ReminderKind.STAY_CONTACT: stay_contact_reminder,
    ReminderKind.STILL_CORRECT: still_correct_reminder,
    ReminderKind.SAFETY_SESSION: safety_session_reminder,
}


def _due(registration: Registration, now: datetime) -> Iterator[Occasion]:
    if registration.status is Status.CANCELLED or registration.progress.returned_on is not None:
        return
    for occasion in planned(registration.dates):
        came = f"{occasion.due_on}{MORNING}" <= wall_clock(now)
        if came and occasion.key not in registration.progress.settled:
            yield occasion


def _sent(occasion: Occasion, reason: Reason, now: datetime) -> Reminder:
    return Reminder(occasion, reason, late=_is_late(occasion.due_on, now))


def _is_late(day: date, now: datetime) -> bool:
    return amsterdam_date(now) > day
