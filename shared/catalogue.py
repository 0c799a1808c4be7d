"""What the university configures: faculties, programmes, approvers, contacts, slots. One YAML file per faculty.

Every mistake names its file, line and field, all of them together; a broken catalogue is never half loaded.
What nobody has told us is marked `to be configured`: it is listed, and whom to ask instead is the next office.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import phonenumbers
from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from shared import marked_yaml
from shared.errors import PermanentError
from shared.events import ActivityType, Country, Identifier
from shared.fields import DocumentKind
from shared.marked_yaml import UNCONFIGURED, Marked, NotYaml, Place, configured, dotted, parents

UNIVERSITY = "university.yaml"


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing that is wrong in a catalogue; `line` counts from 1, 0 when the file has no such line."""

    file: str
    line: int
    field: str
    reason: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.field}: {self.reason}"


class BrokenCatalogue(PermanentError):
    """The catalogue cannot be used; `mistakes` says where and why."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        super().__init__("\n".join(str(mistake) for mistake in mistakes))
        self.mistakes = tuple(mistakes)


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
    """A part of the catalogue: frozen, and a key that is not known is a mistake."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Name(Entry):
    """A name in the two languages of the university; the English one serves where the Dutch one is not known."""

    nl: Text = ""
    en: Text

    @model_validator(mode="before")
    @classmethod
    def _english_where_there_is_no_dutch(cls, value: Any) -> Any:
        if isinstance(value, dict) and "nl" not in value and "en" in value:
            return {**value, "nl": value["en"]}
        return value

    def text(self, language: str) -> str:
        """The name in `nl` or, for anything else, in English."""
        return self.nl if language == "nl" else self.en


class Contact(Entry):
    """A function that somebody can turn to. A function, never a person's name."""

    function: Text
    email: Email
    phone: Phone


class InEurope(Entry):
    """Whose internships had better stay in Europe (R32)."""

    study_level: Literal["bachelor", "master"]
    year_of_study: int = Field(ge=1, le=8)


class Programme(Entry):
    """A programme with who coordinates it and who may approve (R5)."""

    name: Name
    coordinator: Contact
    approver_roles: tuple[Identifier, ...] = Field(
        default=(),
        min_length=1,
        description="Scopes of the role `approver:<scope>`; none given: the faculty's, or else the programme's own id",
    )
    board_of_examiners: tuple[Identifier, ...] = Field(
        default=(),
        min_length=1,
        description="Scopes of the role `approver:<scope>` that are the board's (R23), whether they approve or not; "
        "none given: the faculty's, or else whoever may approve",
    )
    recommended_in_europe: InEurope | None = Field(default=None, description="R32")


class Theme(Entry):
    """A theme of research (R30), spelled as the faculty spells it."""

    id: Identifier
    name: Text


class PartnerNetwork(Entry):
    """A network whose institutes are partners (R30)."""

    id: Identifier
    name: Text
    institutes: tuple[Text, ...] = ()


class Research(Entry):
    """Research projects of a faculty: for which of its programmes, in which themes (R29-R31)."""

    programmes: tuple[Identifier, ...] = Field(min_length=1, description="R29")
    activity_types: tuple[ActivityType, ...] = (ActivityType.RESEARCH_OR_FIELDWORK, ActivityType.INTERNSHIP)
    themes: tuple[Theme, ...] = Field(min_length=1, description="R30")
    partner_networks: tuple[PartnerNetwork, ...] = ()


class Pool(Entry):
    """The places of a cluster in one period (R34); a rotation belongs to it by its first day."""

    id: Identifier
    starts_on: date
    ends_on: date
    slots: int = Field(ge=0, le=1_000)


class Cluster(Entry):
    """Where regular rotations are done (R34). Without a pool for the period the International Office decides."""

    id: Identifier
    name: Text
    country: Country
    hospitals: tuple[Text, ...] = ()
    pools: tuple[Pool, ...] = ()

    def pool_on(self, start_date: date) -> Pool | None:
        """The pool whose period holds the first day of a rotation."""
        return next((each for each in self.pools if each.starts_on <= start_date <= each.ends_on), None)


class Clerkships(Entry):
    """Clinical rotations abroad of a faculty (R33-R35)."""

    programmes: tuple[Identifier, ...] = Field(min_length=1, description="R33: whose students go on regular rotations")
    clusters: tuple[Cluster, ...] = Field(default=(), description="R34")
    office_first_in: tuple[Country, ...] = Field(
        default=(), description="R35: electives there need the International Office first"
    )


class School(Entry):
    """A summer or winter school that the faculty names, of one year (R37)."""

    id: Identifier
    name: Text
    season: Literal["summer", "winter"]
    year: int = Field(ge=2_000, le=2_100)
    country: Country | None = None


class Faculty(Entry):
    """One faculty: its contact person, its programmes, the activities it knows."""

    id: Identifier
    name: Name
    contact_person: Contact
    programmes: dict[Identifier, Programme] = Field(default_factory=dict, min_length=1)
    activity_types: tuple[ActivityType, ...] = Field(default=tuple(ActivityType), min_length=1)
    required_documents: dict[ActivityType, tuple[DocumentKind, ...]] = Field(default_factory=dict)
    approver_roles: tuple[Identifier, ...] = Field(
        default=(), min_length=1, description="Of the faculty's programmes that name none of their own"
    )
    board_of_examiners: tuple[Identifier, ...] = Field(
        default=(), min_length=1, description="Of the faculty's programmes that name none of their own"
    )
    international_office: Contact | None = Field(default=None, description="The faculty's own; none: the university's")
    research: Research | None = None
    clerkships: Clerkships | None = None
    schools: tuple[School, ...] = ()


class IncidentRouting(Entry):
    """R38: which teams take over an incident abroad; all that are named are told."""

    other_faculties: tuple[Contact, ...] = Field(
        min_length=1, description="For every faculty without a line of its own"
    )
    faculties: dict[Identifier, tuple[Contact, ...]] = Field(default_factory=dict)
    serious: Contact | None = Field(default=None, description="Besides them, when somebody needs help")


class University(Entry):
    """What holds for the whole university."""

    name: Name
    emergency_number: Phone
    emergency_email: Email
    international_office: Contact
    safety_officers: Contact
    incident_routing: IncidentRouting | None = Field(default=None, description="R38; none: the safety officers")


@dataclass(frozen=True, slots=True)
class Placed:
    """A pool with where it belongs."""

    faculty_id: str
    cluster: Cluster
    pool: Pool


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The catalogue as loaded. `version` is the SHA-256 over its files, first 12 hex."""

    version: str
    university: University
    faculties: dict[str, Faculty]

    def programme(self, faculty_id: str, programme_id: str) -> Programme | None:
        """The programme of that faculty, or None where the catalogue has no such pair."""
        faculty = self.faculties.get(faculty_id)
        return faculty.programmes.get(programme_id) if faculty else None

    def approver_scopes(self, faculty_id: str, programme_id: str) -> frozenset[str]:
        """Scopes of `approver:<scope>` that may decide for a programme (R5); empty when it is not known."""
        programme = self.programme(faculty_id, programme_id)
        if programme is None:
            return frozenset()
        return frozenset(programme.approver_roles or self.faculties[faculty_id].approver_roles or (programme_id,))

    def board_scopes(self, faculty_id: str, programme_id: str) -> frozenset[str]:
        """Scopes of `approver:<scope>` that are a programme's board of examiners (R23); empty when it is not known."""
        programme = self.programme(faculty_id, programme_id)
        if programme is None:
            return frozenset()
        configured_ = programme.board_of_examiners or self.faculties[faculty_id].board_of_examiners
        return frozenset(configured_) or self.approver_scopes(faculty_id, programme_id)

    def required_documents(self, faculty_id: str, activity_type: ActivityType) -> tuple[str, ...]:
        """R9: the kinds of documents that a faculty asks for; none where it asks for none or is not known."""
        faculty = self.faculties.get(faculty_id)
        return faculty.required_documents.get(activity_type, ()) if faculty else ()

    def programmes_of(self, scopes: frozenset[str]) -> frozenset[str]:
        """Programmes that somebody with these approver scopes may decide for."""
        return self._programmes(scopes, self.approver_scopes)

    def boards_of(self, scopes: frozenset[str]) -> frozenset[str]:
        """Programmes of whose board of examiners somebody with these approver scopes is."""
        return self._programmes(scopes, self.board_scopes)

    def _programmes(self, scopes: frozenset[str], wanted: Callable[[str, str], frozenset[str]]) -> frozenset[str]:
        return frozenset(
            programme_id
            for faculty in self.faculties.values()
            for programme_id in faculty.programmes
            if scopes & wanted(faculty.id, programme_id)
        )

    def international_office(self, faculty_id: str) -> Contact:
        """The faculty's own International Office, or the university's."""
        faculty = self.faculties.get(faculty_id)
        return (faculty.international_office if faculty else None) or self.university.international_office

    def pools(self) -> dict[str, Placed]:
        """Every pool of places by its id, in the order of the files (R34)."""
        return {
            pool.id: Placed(faculty.id, cluster, pool)
            for faculty in self.faculties.values()
            if faculty.clerkships
            for cluster in faculty.clerkships.clusters
            for pool in cluster.pools
        }


@dataclass(frozen=True, slots=True)
class Gap:
    """Something that nobody has told us yet. `is_needed`: without it no service starts."""

    file: str
    line: int
    field: str
    is_needed: bool

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.field}"


@dataclass(frozen=True, slots=True)
class Reading:
    """A folder as read: the catalogue, or what is wrong; and what is still to be configured."""

    catalogue: Catalogue | None
    mistakes: tuple[Mistake, ...]
    gaps: tuple[Gap, ...]


def load(directory: Path) -> Catalogue:
    """Read `university.yaml` and every faculty's `*.yaml` beside it. Raises BrokenCatalogue with every mistake."""
    reading = read(directory)
    needed = [
        Mistake(gap.file, gap.line, gap.field, "has to be configured before a service starts")
        for gap in reading.gaps
        if gap.is_needed
    ]
    if reading.catalogue is None or needed:
        raise BrokenCatalogue([*reading.mistakes, *needed])
    return reading.catalogue


def fingerprint(directory: Path) -> tuple[tuple[str, int, int], ...]:
    """Name, time and size of every file: another one when somebody has edited the catalogue."""
    return tuple((file.name, file.stat().st_mtime_ns, file.stat().st_size) for file in sorted(directory.glob("*.yaml")))


def read(directory: Path) -> Reading:
    """Everything there is to say about a folder: for `passage catalogue check`, and for `load`."""
    contents = {file.name: file.read_bytes() for file in sorted(directory.glob("*.yaml"))}
    if UNIVERSITY not in contents:
        return Reading(None, (Mistake(UNIVERSITY, 0, "-", f"is not in {directory.name}/"),), ())
    found = _Found()
    university = _entry(found, UNIVERSITY, contents[UNIVERSITY], University, None)
    office = university.international_office.model_dump() if university else None
    faculties: dict[str, Faculty] = {}
    for file, content in contents.items():
        if file != UNIVERSITY:
            faculty = _entry(found, file, content, Faculty, office)
            if faculty is not None:
                found.mistakes.extend(_taken(file, faculty, found))
                faculties[faculty.id] = faculty
    if len(contents) == 1:
        found.mistakes.append(Mistake(UNIVERSITY, 0, "-", "no faculty's file beside it"))
    if found.mistakes or university is None or any(gap.is_needed for gap in found.gaps):
        return Reading(None, tuple(found.mistakes), tuple(found.gaps))
    return Reading(Catalogue(_version(contents), university, faculties), (), tuple(found.gaps))


def _version(contents: Mapping[str, bytes]) -> str:
    checksum = hashlib.sha256()
    for name, content in contents.items():
        checksum.update(b"%b\0%d\0%b" % (name.encode(), len(content), content))
    return checksum.hexdigest()[:12]


E = TypeVar("E", bound=Entry)


@dataclass(slots=True)
class _Found:
    """What was found while reading; `origin` says which file an id stands in, `files` where its fields are."""

    mistakes: list[Mistake] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    origin: dict[str, str] = field(default_factory=dict)
    files: dict[str, Marked] = field(default_factory=dict)


def _entry(found: _Found, file: str, content: bytes, model: type[E], office: Mapping[str, Any] | None) -> E | None:
    """The validated content of one file, or None with its mistakes and gaps noted."""
    try:
        marked = marked_yaml.read(content)
    except NotYaml as error:
        found.mistakes.append(Mistake(file, error.line, "-", error.reason))
        return None
    found.files[file] = marked
    known = len(found.mistakes)
    found.mistakes.extend(Mistake(file, line, dotted(place), "stands twice") for place, line in marked.twice)
    value = marked.value
    if model is Faculty and isinstance(value, dict):
        value = _reachable(value, office or _NOBODY_YET)
    entry: E | None = None
    needed: set[Place] = set()
    try:
        entry = model.model_validate(configured(value))
    except ValidationError as error:
        for problem in error.errors(include_url=False, include_input=False):
            place = tuple(part for part in problem["loc"] if part != "[key]")
            gap = next((each for each in parents(place) if each in marked.gaps), None)
            if problem["type"] == "missing" and gap is not None:
                needed.add(gap)  # in the list of what is to be configured, not wrong
            else:
                found.mistakes.append(Mistake(file, marked.line(place), dotted(place), problem["msg"]))
    for place in marked.gaps:
        found.gaps.append(Gap(file, marked.line(place), dotted(place), place in needed))
    if isinstance(entry, Faculty):
        found.mistakes.extend(_inconsistent(file, entry, marked))
    return entry if len(found.mistakes) == known else None


#: Stands in while the university's own file is broken or unfinished: then nothing is loaded at all.
_NOBODY_YET = {"function": "International Office", "email": "office@university.example", "phone": "+31710000000"}


def _reachable(faculty: dict[str, Any], office: Mapping[str, Any]) -> dict[str, Any]:
    """Whom to ask where that is to be configured: coordinator, contact person, International Office, in this order.

    A contact without an address is the next one as a whole; one without a number has the number of the next one.
    """
    own_office = _or_else(faculty.get("international_office", UNCONFIGURED), office)
    changed = dict(faculty)
    if faculty.get("international_office") is not None:
        changed["international_office"] = own_office
    if "contact_person" in faculty:
        changed["contact_person"] = _or_else(faculty["contact_person"], own_office)
    if isinstance(faculty.get("programmes"), dict):
        next_one = changed.get("contact_person", own_office)
        changed["programmes"] = {
            name: {**each, "coordinator": _or_else(each["coordinator"], next_one)}
            if isinstance(each, dict) and "coordinator" in each
            else each
            for name, each in faculty["programmes"].items()
        }
    return changed


def _or_else(contact: Any, otherwise: Any) -> Any:
    if contact is UNCONFIGURED:
        return otherwise
    if not isinstance(contact, dict) or not isinstance(otherwise, Mapping):
        return contact
    if contact.get("email") is UNCONFIGURED:
        return otherwise
    if contact.get("phone") is UNCONFIGURED:
        return {**contact, "phone": otherwise["phone"]}
    return contact


def _taken(file: str, faculty: Faculty, found: _Found) -> Iterator[Mistake]:
    """Ids are unique over the whole university: a role names a programme, an event a pool, without the faculty."""
    names: list[tuple[Place, str]] = [(("id",), faculty.id)]
    names += [(("programmes", name), name) for name in faculty.programmes]
    for c, cluster in enumerate(faculty.clerkships.clusters if faculty.clerkships else ()):
        names += [(("clerkships", "clusters", c, "pools", p, "id"), pool.id) for p, pool in enumerate(cluster.pools)]
    for place, identity in names:
        if identity in found.origin:
            reason = f"{identity} is already in {found.origin[identity]}"
            yield Mistake(file, found.files[file].line(place), dotted(place), reason)
        found.origin.setdefault(identity, file)


def _inconsistent(file: str, faculty: Faculty, marked: Marked) -> Iterator[Mistake]:
    """What each field alone does not show."""

    def mistake(reason: str, *place: str | int) -> Mistake:
        return Mistake(file, marked.line(place), dotted(place), reason)

    if not faculty.programmes and ("programmes",) not in marked.gaps:
        yield mistake("Field required", "programmes")
    for part in ("research", "clerkships"):
        names = getattr(faculty, part).programmes if getattr(faculty, part) else ()
        for n, name in enumerate(names):
            if name not in faculty.programmes:
                yield mistake(f"{name} is not a programme of this faculty", part, "programmes", n)
    for place, entries in _lists(faculty):
        seen: set[str] = set()
        for n, each in enumerate(entries):
            if each.id in seen:
                yield mistake(f"{each.id} stands twice", *place, n, "id")
            seen.add(each.id)
    for c, cluster in enumerate(faculty.clerkships.clusters if faculty.clerkships else ()):
        for p, pool in enumerate(cluster.pools):
            where = ("clerkships", "clusters", c, "pools", p)
            if pool.ends_on < pool.starts_on:
                yield mistake("lies before the start", *where, "ends_on")
            if any(pool.starts_on <= other.ends_on and other.starts_on <= pool.ends_on for other in cluster.pools[:p]):
                yield mistake("overlaps with another pool of the cluster", *where, "starts_on")


def _lists(faculty: Faculty) -> Iterator[tuple[Place, Sequence[Any]]]:
    """Every list of things with an id."""
    if faculty.research:
        yield ("research", "themes"), faculty.research.themes
        yield ("research", "partner_networks"), faculty.research.partner_networks
    if faculty.clerkships:
        yield ("clerkships", "clusters"), faculty.clerkships.clusters
    yield ("schools",), faculty.schools
