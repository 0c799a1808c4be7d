"""The content of service mail about requests and registrations, without its recipient. Pure."""

from datetime import date, datetime

from pydantic import BaseModel, ConfigDict, Field

from services.notify.messages.shared_content import MessageContent
from shared.catalogue import Contact, Name
from shared.events import ActivityType, Country


class ServiceContent(MessageContent):
    """What every service mail contains: the office that has the case, which also gets the answers."""

    contact: Contact
    portal_url: str = Field(default="", description="Where students and staff work; empty: not configured")


class SealedWords(ServiceContent):
    """A mail that quotes a person. The words are sealed here, and opened only in the message itself."""

    sealed: str | None = None
    path: str = Field(default="", description="Path of the sealed field in its event")
    words: str = Field(default="", description="The opened words; never stored")


class RequestContent(SealedWords):
    """A mail about a request for approval."""

    approval_id: str
    activity: ActivityType
    country: Country
    start_date: date
    end_date: date
    programme: Name


class OutcomeContent(SealedWords):
    """A mail about a registration: its decision, or its end."""

    registration_id: str
    departure_date: date
    return_date: date
    countries: tuple[Country, ...]
    programme: Name
    rule: str = ""
    reason: str = Field(default="", description="Reason code of the decision")
    missing: tuple[str, ...] = Field(default=(), description="R9: kinds of documents")
    has_left: bool = Field(default=False, description="The day of departure has come")


class CaseLine(BaseModel):
    """One case in a mail to an office: an id to look it up by, never a name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    rule: str = ""
    about: str
    countries: tuple[Country, ...] = ()
    starts_on: date | None = None


class OfficeCasesContent(ServiceContent):
    """New cases for an office. `more`: how many stand in no line."""

    lines: tuple[CaseLine, ...]
    more: int = 0
    today: date = Field(description="Amsterdam date, from which days are counted")


class CaseCount(BaseModel):
    """The open cases of one kind. `late`: requests whose first day has come undecided."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    rule: str = ""
    count: int
    new: int = 0
    late: int = 0
    oldest: datetime


class OfficeDigestContent(ServiceContent):
    """The cases that wait for an office, once a day."""

    counts: tuple[CaseCount, ...]
    day: date
