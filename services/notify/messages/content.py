"""The content of each kind of message, without its recipient. Pure.

Content is frozen and can be stored as JSON: stored with a notice, it gives the same bytes at every attempt, even when
the advice has changed since.
"""

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from services.notify.messages.service_content import (
    OfficeCasesContent,
    OfficeDigestContent,
    OutcomeContent,
    RequestContent,
)
from services.notify.messages.shared_content import MessageContent
from shared.advice import AreaAdvice, CountryAdvice
from shared.catalogue import Contact, Name, University
from shared.events import (
    AdviceSeen,
    ClearanceRestored,
    ClearanceSuspended,
    Country,
    Level,
    LevelGrounds,
    Presence,
    RegionCode,
)

AlertKind = Literal["alert_country", "alert_region", "alert_unresolved", "manual", "drill", "reminder"]
NoticeKind = Literal[
    "clearance_suspended_student",
    "clearance_suspended_coordinator",
    "clearance_restored",
    "advice_improved",
    "answer_received",
    "incident",
    "help_reply",
    "check_advice",
    "stay_contact",
    "still_correct",
    "safety_session",
    "slot_promoted",
    "approval_question",
    "approval_granted",
    "approval_refused",
    "approval_revoked",
    "not_registered",
    "registration_cleared",
    "registration_routed",
    "registration_incomplete",
    "registration_refused",
    "trip_changed",
    "stay_over",
    "office_cases",
    "office_digest",
]
Kind = AlertKind | NoticeKind

#: `Recipient.reason` → kind of message.
ALERT_KINDS: Mapping[str, AlertKind] = {
    "country": "alert_country",
    "region": "alert_region",
    "unresolved_place": "alert_unresolved",
}


class AlertContent(MessageContent):
    """An alert for one place: the whole country, or one of its areas."""

    country: Country
    area: str = Field(default="", max_length=300, description="As the ministry names it; empty: the whole country")
    area_code: RegionCode | None = None
    level: Level
    since: datetime = Field(description="Since when this level holds there: of an override its own beginning")
    effective_at: datetime = Field(description="The advice's own time")
    source: str = Field(description="Source module")
    text_nl: str
    text_en: str
    url: str
    grounds: LevelGrounds | None = Field(default=None, description="Who decided the level; null: the source")
    presence: Presence = Presence.THERE


class ManualContent(MessageContent):
    """A safety officer's message to everyone in a place, or the text of a drill."""

    country: Country
    area_code: RegionCode | None = None
    message_nl: str = Field(max_length=2_000)
    message_en: str = Field(max_length=2_000)
    raised_at: datetime
    presence: Presence = Presence.THERE


class ReminderContent(MessageContent):
    """The reminder of an alert that the person has not answered."""

    country: Country
    asked_at: datetime = Field(description="When the alert was raised")
    presence: Presence = Presence.THERE


class AnswerContent(MessageContent):
    """The confirmation of an answer."""

    country: Country
    answer: Literal["safe", "help"]
    answered_at: datetime


class IncidentContent(MessageContent):
    """R38: how many people a team has to take care of, and why. The names are on the board only."""

    alert_id: str
    country: Country
    reasons: tuple[tuple[str, int], ...] = Field(description="Reason code and how many people")
    at: datetime
    is_closed: bool = Field(default=False, description="The alert is closed: somebody cried for help all the same")
    is_drill: bool = False


class HelpReplyContent(MessageContent):
    """R38: a person asked for help, and no alert knows of it. Only the list of replies names the person."""

    asked_at: datetime
    is_known: bool = Field(description="The number belongs to exactly one person, or the mail answers one to them")
    country: Country | None = Field(default=None, description="Where that person is by the registration")
    by_mail: bool = Field(default=False, description="By mail to the address of bounces; else by SMS")


class SlotContent(MessageContent):
    """R34: a slot from the waiting list."""

    cluster: str = Field(max_length=200)
    contact: Contact


class Place(BaseModel):
    """One place of a registration, with its advice."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    country: Country
    level: Level | None = None
    url: str = ""
    grounds: LevelGrounds | None = Field(default=None, description="Who decided the level; null: not known")


class ClearanceContent(MessageContent):
    """A clearance that was suspended before departure (R19, R2), or restored (R21)."""

    rule: str
    registration_id: str
    departure_date: date
    programme: Name
    places: tuple[Place, ...] = ()
    contact: Contact = Field(description="Whom the student can turn to")


class RegistrationContent(MessageContent):
    """R22, R24, R25, R39: a reminder about a registration. `places` have their current colours where those matter."""

    registration_id: str
    departure_date: date
    programme: Name
    places: tuple[Place, ...] = ()
    checked_at: datetime | None = Field(default=None, description="R22: when the advice was last fetched")
    contact: Contact


#: The content of any message.
AnyContent = (
    AlertContent
    | ClearanceContent
    | ManualContent
    | ReminderContent
    | AnswerContent
    | IncidentContent
    | HelpReplyContent
    | SlotContent
    | RegistrationContent
    | RequestContent
    | OutcomeContent
    | OfficeCasesContent
    | OfficeDigestContent
)


def common_content(university: University) -> dict[str, Any]:
    """R28: the fields of every message, with the emergency number."""
    return {
        "university": university.name,
        "emergency_number": university.emergency_number,
        "emergency_email": university.emergency_email,
    }


def places_seen(advice: Iterable[AdviceSeen], urls: Mapping[str, str]) -> tuple[Place, ...]:
    """The places of a decision or reminder, each with its colour and the web page of its advice."""
    return tuple(
        Place(country=seen.country, level=seen.level, url=urls.get(seen.country, ""), grounds=seen.grounds)
        for seen in advice
    )


def alert_content(
    advice: CountryAdvice, area: str, level: Level, university: University, presence: Presence = Presence.THERE
) -> AlertContent:
    """R28: the content of an alert about this advice, with the emergency number.

    `area`, `level`, `presence`: those of the recipient in RecipientsSelected.
    """
    named = _area(advice, area)
    grounds = named.grounds if named is not None else None
    is_whole = named is advice.whole
    return AlertContent(
        **common_content(university),
        country=advice.country,
        area="" if is_whole else named.area if named else area,
        area_code=None if is_whole or named is None else named.code,
        level=level,
        since=grounds.since if grounds is not None else _since_before_grounds(advice, named, level),
        effective_at=advice.effective_at,
        source=advice.source,
        text_nl=advice.text_nl,
        text_en=advice.text_en,
        url=advice.url,
        grounds=grounds,
        presence=presence,
    )


def clearance_content(
    event: ClearanceSuspended | ClearanceRestored,
    departure: date,
    programme: Name,
    contact: Contact,
    university: University,
    urls: Mapping[str, str],
) -> ClearanceContent:
    """The content of the notices of R19 and R21. `urls`: country → web page of its advice.

    R19 names the places whose advice is negative or unknown, R21 all places.
    """
    is_restored = isinstance(event, ClearanceRestored)
    named = [seen for seen in event.advice if is_restored or seen.level is None or seen.level >= Level.ORANGE]
    return ClearanceContent(
        **common_content(university),
        rule=event.rule if isinstance(event, ClearanceSuspended) else "R21",
        registration_id=event.registration_id,
        departure_date=departure,
        programme=programme,
        places=places_seen(named, urls),
        contact=contact,
    )


def _since_before_grounds(advice: CountryAdvice, area: AreaAdvice | None, level: Level) -> datetime:
    """For advice that a version without grounds stored: the source's time if it brought the level now, else ours."""
    since = None if area is None else area.red_since if level is Level.RED else area.orange_since
    return advice.effective_at if since is None or since.advice_version == advice.advice_version else since.at


def _area(advice: CountryAdvice, area: str) -> AreaAdvice | None:
    """The area that a recipient's `area` names, by code or by text; the whole country comes last."""
    matching = (candidate for candidate in (*advice.regions, advice.whole) if area in (candidate.code, candidate.area))
    return next(matching, None)
