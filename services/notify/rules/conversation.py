"""R38: when the conversation of an alert with one recipient is over: no reminder and no escalation follows. Pure.

Only a cry for help goes on, whatever the state of the alert. An answer ends it too: rules/escalation.py decides that.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

from services.notify.model.whereabouts import Stay, Whereabouts
from services.notify.rules.audience import is_there
from shared.advice import CountryAdvice, PlaceAdvice, at_place
from shared.events import Level

#: So long after a recipient was selected the conversation ends: the teams have taken over the open cases.
ESCALATION_ENDS_AFTER = timedelta(days=7)


class Ending(StrEnum):
    """Why the conversation with a recipient is over."""

    DRILL = "drill"
    CLOSED = "closed"
    TOO_OLD = "too_old"
    GONE = "gone"
    IMPROVED = "improved"
    REPLACED = "replaced"


@dataclass(frozen=True, slots=True)
class Conversation:
    """What an alert told one recipient. Manual alerts tell of no advice: their `advice_version` is None.

    `has_newer_alert`: a newer alert about the advice of the same country has told the person as well.
    """

    country: str
    advice_version: int | None
    level: Level | None
    selected_at: datetime
    closed_at: datetime | None = None
    is_drill: bool = False
    has_newer_alert: bool = False


def conversation_ending(
    told: Conversation,
    registrations: Sequence[Whereabouts],
    advice: CountryAdvice | None,
    today: date,
    now: datetime,
) -> Ending | None:
    """R38: why the conversation is over; None: it goes on.

    `registrations`: those of the person with a leg in the country. A stay that ended without a recorded return ends
    nothing, and neither does advice that is not known: unknown is never safe.
    """
    if told.is_drill:
        return Ending.DRILL
    if is_closed_for(told.selected_at, told.closed_at):
        return Ending.CLOSED
    if now - told.selected_at > ESCALATION_ENDS_AFTER:
        return Ending.TOO_OLD
    stays = [stay for where in registrations for stay in _stays_there(where, told.country, today)]
    if not stays:
        return Ending.GONE
    if told.advice_version is None or told.level is None:
        return None
    if told.has_newer_alert:
        return Ending.REPLACED
    if advice is None:
        return None
    places = [at_place(advice, stay.region) for stay in stays]
    if all(place.level is not None and place.level < told.level for place in places):
        return Ending.IMPROVED
    return None if any(_has_stayed_bad(place, told.level, told.advice_version) for place in places) else Ending.REPLACED


def is_closed_for(selected_at: datetime, closed_at: datetime | None) -> bool:
    """Closing an alert ends the conversation with those selected until then. Who comes later has one of their own."""
    return closed_at is not None and selected_at <= closed_at


def _stays_there(where: Whereabouts, country: str, today: date) -> list[Stay]:
    has_returned = where.returned_on is not None and where.returned_on <= today
    if where.cancelled or has_returned:
        return []
    return [stay for stay in where.stays if stay.country == country and is_there(where, stay, today)]


def _has_stayed_bad(place: PlaceAdvice, level: Level, advice_version: int) -> bool:
    """Whether the place has been this bad without a break since the alert. Unknown counts as bad."""
    if place.level is None:
        return True
    since = place.area.red_since if level is Level.RED else place.area.orange_since
    return place.level >= level and (since is None or since.advice_version <= advice_version)
