"""R3: which activities abroad exist. Source: Leiden University, "Internships, research, fieldwork, ..."."""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from shared.events import ActivityType


class Reason(StrEnum):
    """Whether a student can ask approval for an activity."""

    OFFERED = "activity_offered"
    NOT_AN_ACTIVITY = "not_an_activity"
    NOT_OFFERED_BY_FACULTY = "not_offered_by_faculty"


@dataclass(frozen=True, slots=True)
class Activity:
    """Decision. `type` is set if, and only if, a student can ask approval for it."""

    reason: Reason
    type: ActivityType | None = None


def activity(name: str, offered: Collection[ActivityType]) -> Activity:
    """R3: it is one of the eight activities, and the faculty offers it."""
    try:
        kind = ActivityType(name)
    except ValueError:
        return Activity(Reason.NOT_AN_ACTIVITY)
    if kind in offered:
        return Activity(Reason.OFFERED, kind)
    return Activity(Reason.NOT_OFFERED_BY_FACULTY)
