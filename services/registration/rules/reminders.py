"""R22, R24, R25, R39: is a reminder that is due still useful? Sources: Leiden, "Remember to check the travel advice
before departure", "keep your contact details updated"; Health and safety. Days and lateness: proposals.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from services.registration.model import Registration, Status
from services.registration.rules.departure import has_departed
from services.registration.schedule import (
    BOUNCE_PREFIX,
    MORNING,
    PlannedReminder,
    contact_task_day,
    planned_reminders,
    wall_clock,
)
from shared.clock import amsterdam_date
from shared.events import ReminderKind

#: R25: a student who confirmed the details within this time is not asked again.
CONFIRMED_LATELY = timedelta(days=14)
#: R25: after failed messages the student is asked once in this time, however many fail.
BETWEEN_BOUNCES = timedelta(days=7)


class Reason(StrEnum):
    """Why a reminder is sent (the first four) or dropped."""

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
    """The decision about one planned reminder."""

    planned: PlannedReminder
    reason: Reason
    late: bool = False

    @property
    def is_sent(self) -> bool:
        """Otherwise it is dropped, for this reason."""
        return self.reason in _SENT


def reminders(registration: Registration, now: datetime) -> tuple[Reminder, ...]:
    """R22, R24, R25, R39: every reminder that is due and not settled. Of each kind only the newest can be sent."""
    due = list(_due(registration, now))
    newest = {planned.kind: planned for planned in due}
    return tuple(
        _RULES[planned.kind](registration, planned, now)
        if planned is newest[planned.kind]
        else Reminder(planned, Reason.SUPERSEDED)
        for planned in due
    )


def advice_reminder(registration: Registration, planned: PlannedReminder, now: datetime) -> Reminder:
    """R22: useful until the day of departure itself; a student who was refused does not go."""
    if registration.status is Status.REFUSED:
        return Reminder(planned, Reason.REFUSED)
    if has_departed(registration.departure_date, now):
        return Reminder(planned, Reason.DEPARTED)
    return _sent(planned, Reason.CHECK_ADVICE, now)


def stay_contact_reminder(registration: Registration, planned: PlannedReminder, now: datetime) -> Reminder:
    """R24: useful while contact details abroad are missing and the stay is not over."""
    if registration.progress.contact_at is not None:
        return Reminder(planned, Reason.CONTACT_KNOWN)
    if amsterdam_date(now) > registration.return_date:
        return Reminder(planned, Reason.OVER)
    return _sent(planned, Reason.CONTACT_MISSING, now)


def still_correct_reminder(registration: Registration, planned: PlannedReminder, now: datetime) -> Reminder:
    """R25: monthly while abroad, unless the student has confirmed them recently."""
    confirmed_at = registration.progress.contact_at
    if amsterdam_date(now) > registration.return_date:
        return Reminder(planned, Reason.OVER)
    if confirmed_at is not None and now - confirmed_at < CONFIRMED_LATELY:
        return Reminder(planned, Reason.CONFIRMED_LATELY)
    return _sent(planned, Reason.STILL_CORRECT, now)


def safety_session_reminder(registration: Registration, planned: PlannedReminder, now: datetime) -> Reminder:
    """R39: a reminder, never a block. Without a record the session counts as not attended."""
    if registration.status is Status.REFUSED:
        return Reminder(planned, Reason.REFUSED)
    if registration.progress.session_attended:
        return Reminder(planned, Reason.ATTENDED)
    if amsterdam_date(now) >= registration.departure_date:
        return Reminder(planned, Reason.DEPARTED)
    return _sent(planned, Reason.SESSION_MISSING, now)


def bounce_reminder(registration: Registration, failed_at: datetime, now: datetime) -> Reminder:
    """R25: after a bounced email or a failed SMS, at most once in BETWEEN_BOUNCES, until the return.

    Not when the details were changed after the failure: it says nothing about the new ones.
    """
    today = amsterdam_date(now)
    failed_on = min(amsterdam_date(failed_at), today)
    planned = PlannedReminder(ReminderKind.STILL_CORRECT, f"{BOUNCE_PREFIX}{failed_on}", failed_on)
    progress = registration.progress
    details_given_at = progress.contact_at or registration.changed_at  # those of the stay are used first
    if registration.status is Status.CANCELLED:
        return Reminder(planned, Reason.CANCELLED)
    if progress.returned_on is not None:
        return Reminder(planned, Reason.OVER)
    if details_given_at > failed_at:
        return Reminder(planned, Reason.CHANGED_SINCE)
    if progress.bounced_on is not None and today - progress.bounced_on < BETWEEN_BOUNCES:
        return Reminder(planned, Reason.ASKED_LATELY)
    return _sent(planned, Reason.STILL_CORRECT, now)


@dataclass(frozen=True, slots=True)
class ContactTask:
    """R24: whether staff get a task about missing contact details, or the task has lost its cause."""

    is_opened: bool = False
    is_closed: bool = False


def contact_task(registration: Registration, now: datetime) -> ContactTask:
    """R24: after three reminders staff get a task, once; it is closed when the details arrive."""
    progress, day = registration.progress, contact_task_day(registration.dates)
    has_task = any(task.rule == "R24" for task in registration.open_tasks)
    if registration.status is Status.CANCELLED or progress.returned_on is not None:
        return ContactTask()
    if progress.contact_at is not None:
        return ContactTask(is_closed=has_task)
    is_due = day is not None and wall_clock(now) >= f"{day}{MORNING}"
    is_abroad = amsterdam_date(now) <= registration.return_date
    return ContactTask(is_opened=is_due and is_abroad and not progress.contact_asked)


_RULES = {
    ReminderKind.CHECK_ADVICE: advice_reminder,
    ReminderKind.STAY_CONTACT: stay_contact_reminder,
    ReminderKind.STILL_CORRECT: still_correct_reminder,
    ReminderKind.SAFETY_SESSION: safety_session_reminder,
}


def _due(registration: Registration, now: datetime) -> Iterator[PlannedReminder]:
    if registration.status is Status.CANCELLED or registration.progress.returned_on is not None:
        return
    for planned in planned_reminders(registration.dates):
        is_due = f"{planned.due_on}{MORNING}" <= wall_clock(now)
        if is_due and planned.key not in registration.progress.settled:
            yield planned


def _sent(planned: PlannedReminder, reason: Reason, now: datetime) -> Reminder:
    return Reminder(planned, reason, late=amsterdam_date(now) > planned.due_on)
