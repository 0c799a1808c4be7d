"""The catalogue: what the university configures (faculties, programmes, approvers, contacts, slots), and its queries.

`shared.catalogue_files` reads it from one YAML file for the university and one for each faculty. Rule ids refer to
docs/rules.md.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, Literal

import phonenumbers
from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from shared.events import ActivityType, Country, Identifier
from shared.fields import DocumentKind


def _email(value: str) -> str:
    try:
        return validate_email(value, check_deliverability=False, test_environment=True).normalized
    except EmailNotValidError as error:
        raise ValueError(f"not an email address: {error}") from None


def _phone(value: str) -> str:
    try:
        number = phonenumbers.parse(value)
    except phonenumbers.NumberParseException:
        raise ValueError("not a phone number in international form (+31...)") from None
    if not phonenumbers.is_possible_number(number):
        raise ValueError("not a possible phone number")
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


Text = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
Email = Annotated[str, Field(max_length=254), AfterValidator(_email)]
Phone = Annotated[str, Field(max_length=40), AfterValidator(_phone)]


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


class Contact(Entry):
    """How to reach a function of the university, e.g. "Study abroad coordinator". Never a person's name."""

    function: Text
    email: Email
    phone: Phone


class InEurope(Entry):
    """The students who are advised to do their internship in Europe (R32)."""

    study_level: Literal["bachelor", "master"]
    year_of_study: int = Field(ge=1, le=8)


class Programme(Entry):
    """A programme, its coordinator, and which approvers may approve its requests (R5)."""

    name: Name
    coordinator: Contact
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


class PartnerNetwork(Entry):
    """A network whose institutes are partners (R30)."""

    id: Identifier
    name: Text
    institutes: tuple[Text, ...] = ()


class Research(Entry):
    """The research projects of a faculty: its programmes and themes that have them (R29-R31)."""

    programmes: tuple[Identifier, ...] = Field(min_length=1, description="R29")
    activity_types: tuple[ActivityType, ...] = (ActivityType.RESEARCH_OR_FIELDWORK, ActivityType.INTERNSHIP)
    themes: tuple[Theme, ...] = Field(min_length=1, description="R30")
    partner_networks: tuple[PartnerNetwork, ...] = ()


class Pool(Entry):
    """The slots of a cluster in one period (R34). A rotation belongs to the pool that holds its first day."""

    id: Identifier
    starts_on: date
    ends_on: date
    slots: int = Field(ge=0, le=1_000)


class Cluster(Entry):
    """Hospitals for regular rotations (R34). Without a pool for the period the International Office decides."""

    id: Identifier
    name: Text
    country: Country
    hospitals: tuple[Text, ...] = ()
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
    """A summer or winter school of one year that the faculty names (R37)."""

    id: Identifier
    name: Text
    season: Literal["summer", "winter"]
    year: int = Field(ge=2_000, le=2_100)
    country: Country | None = None


class Faculty(Entry):
    """A faculty: its contact person, its programmes and its types of activity."""

    id: Identifier
    name: Name
    contact_person: Contact
    programmes: dict[Identifier, Programme] = Field(default_factory=dict, min_length=1)
    activity_types: tuple[ActivityType, ...] = Field(default=tuple(ActivityType), min_length=1)
    required_documents: dict[ActivityType, tuple[DocumentKind, ...]] = Field(default_factory=dict)
    approver_roles: tuple[Identifier, ...] = Field(
        default=(), min_length=1, description="For the programmes that name none of their own"
    )
    board_of_examiners: tuple[Identifier, ...] = Field(
        default=(), min_length=1, description="For the programmes that name none of their own"
    )
    international_office: Contact | None = Field(
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


class University(Entry):
    """The part of the catalogue that is the same for every faculty."""

    name: Name
    emergency_number: Phone
    emergency_email: Email
    international_office: Contact
    safety_officers: Contact
    incident_routing: IncidentRouting | None = Field(default=None, description="R38; without it the safety officers")


@dataclass(frozen=True, slots=True)
class ClusterPool:
    """A pool with the cluster and the faculty that it belongs to."""

    faculty_id: str
    cluster: Cluster
    pool: Pool


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The catalogue as loaded. `version` is the first 12 hex digits of the SHA-256 over its files."""

    version: str
    university: University
    faculties: dict[str, Faculty]

    def programme(self, faculty_id: str, programme_id: str) -> Programme | None:
        """The faculty's programme; None when the catalogue has no such pair."""
        faculty = self.faculties.get(faculty_id)
        return faculty.programmes.get(programme_id) if faculty else None

    def approver_scopes(self, faculty_id: str, programme_id: str) -> frozenset[str]:
        """Scopes of `approver:<scope>` that may decide for a programme (R5); empty for an unknown programme."""
        programme = self.programme(faculty_id, programme_id)
        if programme is None:
            return frozenset()
        return frozenset(programme.approver_roles or self.faculties[faculty_id].approver_roles or (programme_id,))

    def coordinator_scopes(self, faculty_id: str, programme_id: str) -> frozenset[str]:
        """The approver scopes that are not the board's: who may still decide after the start of the activity (R4).

        Where the catalogue names no board, or the board approves alone, every approver.
        """
        approvers = self.approver_scopes(faculty_id, programme_id)
        return approvers - self.board_scopes(faculty_id, programme_id) or approvers

    def board_scopes(self, faculty_id: str, programme_id: str) -> frozenset[str]:
        """Scopes of `approver:<scope>` of a programme's board of examiners (R23); empty for an unknown programme."""
        programme = self.programme(faculty_id, programme_id)
        if programme is None:
            return frozenset()
        board = programme.board_of_examiners or self.faculties[faculty_id].board_of_examiners
        return frozenset(board) or self.approver_scopes(faculty_id, programme_id)

    def required_documents(self, faculty_id: str, activity_type: ActivityType) -> tuple[str, ...]:
        """R9: the kinds of documents that a faculty asks for; none for an unknown faculty."""
        faculty = self.faculties.get(faculty_id)
        return faculty.required_documents.get(activity_type, ()) if faculty else ()

    def programmes_of(self, scopes: frozenset[str]) -> frozenset[str]:
        """Programmes for which an approver with these scopes may decide."""
        return self._programmes(scopes, self.approver_scopes)

    def boards_of(self, scopes: frozenset[str]) -> frozenset[str]:
        """Programmes whose board of examiners has one of these approver scopes."""
        return self._programmes(scopes, self.board_scopes)

    def _programmes(self, scopes: frozenset[str], scopes_of: Callable[[str, str], frozenset[str]]) -> frozenset[str]:
        return frozenset(
            programme_id
            for faculty in self.faculties.values()
            for programme_id in faculty.programmes
            if scopes & scopes_of(faculty.id, programme_id)
        )

    def international_office(self, faculty_id: str) -> Contact:
        """The faculty's own International Office, or the university's."""
        faculty = self.faculties.get(faculty_id)
        return (faculty.international_office if faculty else None) or self.university.international_office

    def pools(self) -> dict[str, ClusterPool]:
        """Pool id → pool, in the order of the files (R34)."""
        return {
            pool.id: ClusterPool(faculty.id, cluster, pool)
            for faculty in self.faculties.values()
            if faculty.clerkships
            for cluster in faculty.clerkships.clusters
            for pool in cluster.pools
        }
