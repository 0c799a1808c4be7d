"""What the university configures, as its files hold it: faculties, programmes, activities, contacts, slots, schools.

Rule ids refer to docs/rules.md. `shared.catalogue` asks questions of these entries.
"""

import re
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from shared import plausible
from shared.email_addresses import accepted_address, needs_smtputf8
from shared.events import ActivityType, Country, Identifier
from shared.fields import DocumentKind
from shared.phone_numbers import office_number


def _email(value: str) -> str:
    # Below reserved names too: an invented catalogue has no others.
    address = accepted_address(value, reserved=True)
    if needs_smtputf8(address):
        raise ValueError("has letters outside ASCII before the @, which not every mail server carries")
    return address


_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def _day(value: Any) -> Any:
    # YAML makes a date of it; pydantic alone would also read a number as seconds since 1970.
    if not isinstance(value, date) and not (isinstance(value, str) and _DAY.fullmatch(value)):
        raise ValueError("not a date (2026-09-01)")
    return value


def _plausible(value: date) -> date:
    if not plausible.is_in_window(value):
        raise ValueError(f"outside the years {plausible.FIRST_YEAR} to {plausible.LAST_YEAR}")
    return value


PeriodDay = Annotated[date, BeforeValidator(_day), AfterValidator(_plausible)]
Text = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
LongText = Annotated[str, Field(min_length=1, max_length=4_000, pattern=r"^[^\x00-\x08\x0b-\x1f\x7f]+$")]
Url = Annotated[str, Field(max_length=500, pattern=r"^https://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[^\s<>\"]*)?$")]
Email = Annotated[str, Field(max_length=254), AfterValidator(_email)]
Phone = Annotated[str, Field(max_length=40), AfterValidator(office_number)]


class Entry(BaseModel):
    """A part of the catalogue. A key that it does not know is a mistake."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Name(Entry):
    """A name in Dutch and English. Without a Dutch name the English one is used for both."""

    nl: Text = ""
    en: Text

    @model_validator(mode="before")
    @classmethod
    def _use_english_without_dutch(cls, value: Any) -> Any:
        if isinstance(value, dict) and "nl" not in value and "en" in value:
            return {**value, "nl": value["en"]}
        return value

    def text(self, language: str) -> str:
        """The name in `nl` or, for anything else, in English."""
        return self.nl if language == "nl" else self.en


class Words(Name):
    """An explanation or a criterion in Dutch and English: as a name, but longer."""

    nl: LongText = ""
    en: LongText


class Link(Entry):
    """A web page with its title."""

    title: Name
    url: Url


class Contact(Entry):
    """How to reach a function of the university, e.g. "Study abroad coordinator". Never a person's name."""

    function: Text
    email: Email
    phone: Phone


class Office(Contact):
    """An International Office: also where it is, and the page on which a meeting is booked."""

    address: Text | None = None
    meeting: Url | None = None


class Activity(Entry):
    """What a student reads about a type of activity: of the programme, else of the faculty, else of the university."""

    name: Name | None = None
    explanation: Words | None = None
    links: tuple[Link, ...] = ()
    criteria: tuple[Words, ...] = ()


class DocumentType(Entry):
    """A kind of document (R9), by the code under which it is listed."""

    name: Name


class OtherCoordinator(Entry):
    """Another coordinator of a programme, for some of its activities, or for one level of study."""

    contact: Contact
    activity_types: tuple[ActivityType, ...] = Field(default=(), description="Empty: every type")
    study_level: Literal["bachelor", "master"] | None = Field(default=None, description="Without it: both")


class InEurope(Entry):
    """The students who are advised to do their internship in Europe (R32)."""

    study_level: Literal["bachelor", "master"]
    year_of_study: int = Field(ge=1, le=8)


class Programme(Entry):
    """A programme, its coordinator, and which approvers may approve its requests (R5)."""

    name: Name
    coordinator: Contact
    other_coordinators: tuple[OtherCoordinator, ...] = Field(default=(), description="The first that fits is named")
    activity_types: tuple[ActivityType, ...] | None = Field(
        default=None, min_length=1, description="R3; without it the faculty's"
    )
    activities: dict[ActivityType, Activity] = Field(default_factory=dict)
    approver_roles: tuple[Identifier, ...] = Field(
        default=(),
        min_length=1,
        description="Scopes of the role `approver:<scope>`; without them the faculty's, else the programme's own id",
    )
    board_of_examiners: tuple[Identifier, ...] = Field(
        default=(),
        min_length=1,
        description="Scopes of the role `approver:<scope>` that belong to the board (R23), whether they approve or "
        "not; without them the faculty's, else the approvers'",
    )
    recommended_in_europe: InEurope | None = Field(default=None, description="R32")


class Theme(Entry):
    """A research theme (R30), as the faculty spells it."""

    id: Identifier
    name: Text


class Choice(Entry):
    """Something that a student chooses. A name alone gets an id that is made of its letters."""

    id: Identifier
    name: Text

    @model_validator(mode="before")
    @classmethod
    def _take_a_name_alone(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        return {"id": re.sub(r"[^a-z0-9]+", "-", value.lower()).strip("-")[:80] or "-", "name": value}


class Institute(Choice):
    """An institute that is a partner (R30)."""

    country: Country | None = None
    website: Url | None = None


class Hospital(Choice):
    """A hospital of a cluster (R34)."""


class PartnerNetwork(Entry):
    """A network whose institutes are partners (R30). Without institutes the network alone is named."""

    id: Identifier
    name: Text
    institutes: tuple[Institute, ...] = ()


class Research(Entry):
    """The research projects of a faculty: its programmes and themes that have them (R29-R31)."""

    programmes: tuple[Identifier, ...] = Field(min_length=1, description="R29")
    activity_types: tuple[ActivityType, ...] = (ActivityType.RESEARCH_OR_FIELDWORK, ActivityType.INTERNSHIP)
    themes: tuple[Theme, ...] = Field(min_length=1, description="R30")
    partner_networks: tuple[PartnerNetwork, ...] = ()
    partner_institutes: tuple[Institute, ...] = Field(default=(), description="Partners outside of every network")


class Pool(Entry):
    """The slots of a cluster in one period (R34). A rotation belongs to the pool that holds its first day."""

    id: Identifier
    starts_on: PeriodDay
    ends_on: PeriodDay
    slots: int = Field(ge=0, le=1_000)


class Cluster(Entry):
    """Hospitals for regular rotations (R34). Without a pool for the period the International Office decides."""

    id: Identifier
    name: Text
    country: Country
    hospitals: tuple[Hospital, ...] = Field(default=(), description="Of which a request may name one")
    pools: tuple[Pool, ...] = ()

    def pool_on(self, start_date: date) -> Pool | None:
        """The pool whose period holds the first day of a rotation."""
        return next((pool for pool in self.pools if pool.starts_on <= start_date <= pool.ends_on), None)


class Clerkships(Entry):
    """A faculty's clinical rotations abroad (R33-R35)."""

    programmes: tuple[Identifier, ...] = Field(min_length=1, description="R33: programmes with regular rotations")
    clusters: tuple[Cluster, ...] = Field(default=(), description="R34")
    office_first_in: tuple[Country, ...] = Field(
        default=(), description="R35: electives there need the International Office first"
    )


class School(Entry):
    """A summer or winter school of one year (R37), of a faculty or of the whole university."""

    id: Identifier
    name: Text
    season: Literal["summer", "winter"]
    year: int = Field(ge=2_000, le=2_100)
    country: Country | None = None
    website: Url | None = None
    criteria: tuple[Words, ...] = ()
    fees_paid_by: Literal["student", "faculty", "university"] = "student"


class Faculty(Entry):
    """A faculty: its contact person, its programmes and its types of activity."""

    id: Identifier
    name: Name
    contact_person: Contact
    programmes: dict[Identifier, Programme] = Field(default_factory=dict, min_length=1)
    activity_types: tuple[ActivityType, ...] = Field(default=tuple(ActivityType), min_length=1)
    activities: dict[ActivityType, Activity] = Field(default_factory=dict)
    links: tuple[Link, ...] = Field(default=(), description="Pages about going abroad")
    document_kinds: dict[DocumentKind, DocumentType] = Field(
        default_factory=dict, description="Beside the university's; R9 asks for kinds of these"
    )
    required_documents: dict[ActivityType, tuple[DocumentKind, ...]] = Field(
        default_factory=dict, description="R9: for study-related activities"
    )
    voluntary_documents: dict[ActivityType, tuple[DocumentKind, ...]] = Field(
        default_factory=dict, description="R9, R11: for voluntary ones; nothing unless it is named here"
    )
    approver_roles: tuple[Identifier, ...] = Field(
        default=(), min_length=1, description="For the programmes that name none of their own"
    )
    board_of_examiners: tuple[Identifier, ...] = Field(
        default=(), min_length=1, description="For the programmes that name none of their own"
    )
    international_office: Office | None = Field(
        default=None, description="The faculty's own; without it the university's"
    )
    research: Research | None = None
    clerkships: Clerkships | None = None
    schools: tuple[School, ...] = ()


class IncidentRouting(Entry):
    """R38: which teams take over an incident abroad. Every team that is named gets the message."""

    other_faculties: tuple[Contact, ...] = Field(
        min_length=1, description="For every faculty without an entry of its own"
    )
    faculties: dict[Identifier, tuple[Contact, ...]] = Field(default_factory=dict)
    serious: Contact | None = Field(default=None, description="As well, when a person needs help")


class Acknowledgement(Entry):
    """A page that students acknowledge when they register (R39), e.g. the regulations. `version`: date or number."""

    id: Identifier
    name: Name
    url: Url | None = None
    version: Text | None = Field(default=None, description="Without it the version of the catalogue is recorded")


class University(Entry):
    """The part of the catalogue that is the same for every faculty."""

    name: Name
    emergency_number: Phone
    emergency_email: Email
    international_office: Office
    safety_officers: Contact
    incident_routing: IncidentRouting | None = Field(default=None, description="R38; without it the safety officers")
    links: tuple[Link, ...] = Field(default=(), description="Pages about going abroad")
    activities: dict[ActivityType, Activity] = Field(default_factory=dict)
    document_kinds: dict[DocumentKind, DocumentType] = Field(default_factory=dict, description="R9: of every faculty")
    schools: tuple[School, ...] = Field(default=(), description="R37: for students of every faculty")
    acknowledged: tuple[Acknowledgement, ...] = Field(default=(), description="R39: when registering")
    invented: bool = Field(default=False, description="No such university exists: refused with ENV=production")
