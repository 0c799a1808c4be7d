"""A task speaks to the staff who have it: in their language, with days and countries as people write them."""

from datetime import date, timedelta

import pytest

from services.registration.portal_import import NEGATIVE
from services.registration.reminder_events import CONTACT_MISSING
from services.registration.rules import approval, clearance, departure, during_stay, places, suspension
from services.registration.rules.task_end import ASKED_TO_CANCEL, LEFT_NEGATIVE_AREA
from services.registration.task_texts import TASKS, TaskJourney, task_text

TODAY = date(2026, 11, 30)


def text(rule: str, reason: str, days: int, language: str = "en", countries: tuple[str, ...] = ("ES",)) -> str:
    """The text of a task about a student who leaves so many days from now, for a month."""
    first = TODAY + timedelta(days)
    journey = TaskJourney(first, first + timedelta(30), countries)
    return task_text(rule, reason, journey, TODAY, "nl" if language == "nl" else "en")


@pytest.mark.parametrize(
    ("days", "dutch", "english"),
    [
        (9, "vertrekt over 9 dagen", "leaves in 9 days"),
        (2, "vertrekt over 2 dagen", "leaves in 2 days"),
        (1, "vertrekt morgen", "leaves tomorrow"),
        (0, "vertrekt vandaag", "leaves today"),
        (-1, "is al vertrokken", "has already left"),
    ],
)
def test_task_text_says_when_the_student_leaves(days: int, dutch: str, english: str) -> None:
    """One day and many days, today and the past are said as people say them."""
    assert dutch in text("R7", "within_two_weeks", days, "nl")
    assert english in text("R7", "within_two_weeks", days)


def test_task_text_names_countries_and_days() -> None:
    """By name, not by code; days as they are written in each language."""
    dutch = text("R20", "advice_negative", -5, "nl", ("ES", "XK"))
    english = text("R20", "advice_negative", -5, "en", ("ES", "XK"))

    assert dutch.endswith("(Spanje, Kosovo, 25 november 2026 tot en met 25 december 2026)")
    assert english.endswith("(Spain, Kosovo, 25 November 2026 to 25 December 2026)")


def test_task_texts_never_address_the_student() -> None:
    """The contact person's queue does not say "you leave": the reader is not the student."""
    for dutch, english in TASKS.values():
        assert not {"je", "jij", "jouw"} & set(dutch.lower().split())
        assert not {"you", "your"} & set(english.lower().split())
        assert dutch != english


#: Every task that code opens: (rule, reason).
OPENED = {
    ("R7", departure.Reason.WITHIN_TWO_WEEKS),
    ("R8", departure.Reason.ALREADY_DEPARTED),
    ("R8", clearance.Reason.EXTENDED),
    ("R2", approval.Reason.OTHER_ACTIVITY),
    ("R2", approval.Reason.OTHER_COUNTRY),
    ("R2", approval.Reason.OTHER_DATES),
    ("R2", suspension.Reason.APPROVAL_WITHDRAWN),
    ("R2", suspension.Reason.APPROVAL_REFUSED),
    ("R2", suspension.Reason.APPROVAL_REVOKED),
    ("R14", places.Reason.UNKNOWN),
    ("R14", places.Reason.STALE),
    ("R14", places.Reason.BEHIND),
    ("R16", places.Reason.UNRESOLVED),
    ("R19", suspension.Reason.ADVICE_NEGATIVE),
    ("R19", suspension.Reason.OVERRIDE_NEGATIVE),
    ("R19", suspension.Reason.PLACE_UNRESOLVED),
    ("R20", during_stay.Reason.NEGATIVE),
    ("R20", during_stay.Reason.PLACE_UNRESOLVED),
    ("R20", places.Reason.FORBIDDEN),
    ("R23", places.Reason.FORBIDDEN),
    ("R20", LEFT_NEGATIVE_AREA),
    ("R20", ASKED_TO_CANCEL),
    ("R21", clearance.Reason.SUSPENDED_BEFORE),
    ("R23", during_stay.Reason.NEGATIVE),
    ("R23", during_stay.Reason.PLACE_UNRESOLVED),
    ("R24", CONTACT_MISSING),
    ("R13", NEGATIVE),
}


def test_task_texts_cover_every_task() -> None:
    """No task reaches its staff as a code."""
    assert {(rule, str(reason)) for rule, reason in OPENED} <= TASKS.keys()
