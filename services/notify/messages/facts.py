"""What a message says, apart from who it is for. Frozen and JSON-able: kept with an alert, it gives the same bytes
at every attempt, whatever the advice has become since. Pure."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from shared.advice import AreaAdvice, CountryAdvice
from shared.catalogue import Contact, Name, University
from shared.events import ClearanceSuspended, Country, Level, RegionCode

AlertKind = Literal["alert_country", "alert_region", "alert_unresolved"]
NoticeKind = Literal["clearance_suspended_student", "clearance_suspended_coordinator"]
Kind = AlertKind | NoticeKind

#: `Recipient.reason` to the kind of message.
ALERT_KINDS: Mapping[str, AlertKind] = {
    "country": "alert_country",
    "region": "alert_region",
    "unresolved_place": "alert_unresolved",
}


class Facts(BaseModel):
    """What every message shows."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    university: Name
    emergency_number: str = Field(description="R28; E.164")
    emergency_email: str = Field(description="Answers by mail go here")


class AlertFacts(Facts):
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


class Place(BaseModel):
    """One place of a registration whose advice decided."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    country: Country
    level: Level | None = None
    url: str = ""


class ClearanceFacts(Facts):
    """A clearance that was taken back before departure (R19, R2)."""

    rule: str
    registration_id: str
    departure_date: date
    programme: Name
    places: tuple[Place, ...] = ()
    contact: Contact = Field(description="Whom the student can turn to")


def alert_facts(advice: CountryAdvice, area: str, level: Level, university: University) -> AlertFacts:
    """The facts of an alert on this advice, for a recipient's `area` and `level` as RecipientsSelected has them."""
    known = _area(advice, area)
    since = None if known is None else known.red_since if level is Level.RED else known.orange_since
    is_whole = known is advice.whole
    return AlertFacts(
        university=university.name,
        emergency_number=university.emergency_number,
        emergency_email=university.emergency_email,
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


def clearance_facts(
    event: ClearanceSuspended,
    programme: Name,
    contact: Contact,
    university: University,
    urls: Mapping[str, str],
) -> ClearanceFacts:
    """The facts of the notices of R19; `urls` has the advice's page per country. Without negative advice: no places."""
    return ClearanceFacts(
        university=university.name,
        emergency_number=university.emergency_number,
        emergency_email=university.emergency_email,
        rule=event.rule,
        registration_id=event.registration_id,
        departure_date=event.departure_date,
        programme=programme,
        places=tuple(
            Place(country=seen.country, level=seen.level, url=urls.get(seen.country, ""))
            for seen in event.advice
            if seen.level is None or seen.level >= Level.ORANGE
        ),
        contact=contact,
    )


def _area(advice: CountryAdvice, area: str) -> AreaAdvice | None:
    """The area that a recipient's `area` names: by code before by text, the country as a whole last."""
    named = [known for known in (*advice.regions, advice.whole) if area in (known.code, known.area)]
    return named[0] if named else None
