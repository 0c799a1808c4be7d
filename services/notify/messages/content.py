"""What a message says, apart from who it is for. Frozen and JSON-able: kept with an alert, it gives the same bytes
at every attempt, whatever the advice has become since. Pure."""

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from shared.advice import AreaAdvice, CountryAdvice
from shared.catalogue import Contact, Name, University
from shared.events import AdviceSeen, ClearanceRestored, ClearanceSuspended, Country, Level, RegionCode

AlertKind = Literal["alert_country", "alert_region", "alert_unresolved", "manual", "drill", "reminder"]
NoticeKind = Literal[
    "clearance_suspended_student",
    "clearance_suspended_coordinator",
    "clearance_restored",
    "advice_improved",
    "answer_received",
    "incident",
    "check_advice",
    "stay_contact",
    "still_correct",
    "safety_session",
    "slot_promoted",
]
Kind = AlertKind | NoticeKind

#: `Recipient.reason` to the kind of message.
ALERT_KINDS: Mapping[str, AlertKind] = {
    "country": "alert_country",
    "region": "alert_region",
    "unresolved_place": "alert_unresolved",
}


class MessageContent(BaseModel):
    """What every message shows."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    university: Name
    emergency_number: str = Field(description="R28; E.164")
    emergency_email: str = Field(description="Answers by mail go here")


class AlertContent(MessageContent):
    """An alert for one place: the whole country, or one of its areas."""

    country: Country
    area: str = Field(default="", max_length=300, description="As the ministry names it; empty: the whole country")
    area_code: RegionCode | None = None
    level: Level
    since: datetime = Field(description="Since when this level or a worse one holds there")
    effective_at: datetime = Field(description="The advice's own time")
    source: str = Field(description="Source module")
    text_nl: str
    text_en: str
    url: str


class ManualContent(MessageContent):
    """What a safety officer has to say to everybody in a place; a drill says so."""

    country: Country
    area_code: RegionCode | None = None
    message_nl: str = Field(max_length=2_000)
    message_en: str = Field(max_length=2_000)
    raised_at: datetime


class ReminderContent(MessageContent):
    """An alert that somebody has not answered."""

    country: Country
    asked_at: datetime = Field(description="When the alert was raised")


class AnswerContent(MessageContent):
    """An answer as it was received."""

    country: Country
    answer: Literal["safe", "help"]
    answered_at: datetime


class IncidentContent(MessageContent):
    """R38: people whom a team has to take care of; no names, the board has them."""

    alert_id: str
    country: Country
    reasons: tuple[tuple[str, int], ...] = Field(description="Reason code and how many people")
    at: datetime


class SlotContent(MessageContent):
    """R34: a place from the waiting list."""

    cluster: str = Field(max_length=200)
    contact: Contact


class Place(BaseModel):
    """One place of a registration whose advice decided."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    country: Country
    level: Level | None = None
    url: str = ""


class ClearanceContent(MessageContent):
    """A clearance that was taken back before departure (R19, R2), or given back (R21)."""

    rule: str
    registration_id: str
    departure_date: date
    programme: Name
    places: tuple[Place, ...] = ()
    contact: Contact = Field(description="Whom the student can turn to")


class RegistrationContent(MessageContent):
    """R22, R24, R25, R39: a reminder about a registration; `places` with their current colours where that matters."""

    registration_id: str
    departure_date: date
    programme: Name
    places: tuple[Place, ...] = ()
    checked_at: datetime | None = Field(default=None, description="R22: when the advice was last fetched")
    contact: Contact


#: What a message may be made of.
AnyContent = (
    AlertContent
    | ClearanceContent
    | ManualContent
    | ReminderContent
    | AnswerContent
    | IncidentContent
    | SlotContent
    | RegistrationContent
)


def common_content(university: University) -> dict[str, Any]:
    """R28: what every message shows, the emergency number among it."""
    return {
        "university": university.name,
        "emergency_number": university.emergency_number,
        "emergency_email": university.emergency_email,
    }


def places_seen(advice: Iterable[AdviceSeen], urls: Mapping[str, str]) -> tuple[Place, ...]:
    """The places of a decision or reminder, each with its colour and the page of its advice."""
    return tuple(Place(country=seen.country, level=seen.level, url=urls.get(seen.country, "")) for seen in advice)


def alert_content(advice: CountryAdvice, area: str, level: Level, university: University) -> AlertContent:
    """The facts of an alert on this advice, for a recipient's `area` and `level` as RecipientsSelected has them.

    R28: the university's emergency number is one of them.
    """
    known = _area(advice, area)
    since = None if known is None else known.red_since if level is Level.RED else known.orange_since
    is_whole = known is advice.whole
    return AlertContent(
        **common_content(university),
        country=advice.country,
        area="" if is_whole else known.area if known else area,
        area_code=None if is_whole or known is None else known.code,
        level=level,
        # The source's own time where this very version brought it; ours where an earlier one did.
        since=advice.effective_at if since is None or since.advice_version == advice.advice_version else since.at,
        effective_at=advice.effective_at,
        source=advice.source,
        text_nl=advice.text_nl,
        text_en=advice.text_en,
        url=advice.url,
    )


def clearance_content(
    event: ClearanceSuspended | ClearanceRestored,
    departure: date,
    programme: Name,
    contact: Contact,
    university: University,
    urls: Mapping[str, str],
) -> ClearanceContent:
    """The facts of the notices of R19 and R21; `urls` has the advice's page per country. R19 names the places that are
    negative or unknown, R21 all of them.
    """
    is_back = isinstance(event, ClearanceRestored)
    named = [seen for seen in event.advice if is_back or seen.level is None or seen.level >= Level.ORANGE]
    return ClearanceContent(
        **common_content(university),
        rule=event.rule if isinstance(event, ClearanceSuspended) else "R21",
        registration_id=event.registration_id,
        departure_date=departure,
        programme=programme,
        places=places_seen(named, urls),
        contact=contact,
    )


def _area(advice: CountryAdvice, area: str) -> AreaAdvice | None:
    """The area that a recipient's `area` names: by code before by text, the country as a whole last."""
    named = [known for known in (*advice.regions, advice.whole) if area in (known.code, known.area)]
    return named[0] if named else None
