"""What the university configures: faculties, programmes, approvers, contact persons. One YAML file per faculty.

Every mistake names its file, line and field, all of them together; a broken catalogue is never half loaded.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

import phonenumbers
import yaml
from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from shared.errors import PermanentError
from shared.events import ActivityType, Identifier

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
    """A name in the two languages of the university."""

    nl: Text
    en: Text

    def text(self, language: str) -> str:
        """The name in `nl` or, for anything else, in English."""
        return self.nl if language == "nl" else self.en


class Contact(Entry):
    """A function that somebody can turn to. A function, never a person's name."""

    function: Text
    email: Email
    phone: Phone


class Programme(Entry):
    """A programme with who coordinates it and who may approve (R5)."""

    name: Name
    coordinator: Contact
    approver_roles: tuple[Identifier, ...] = Field(
        default=(), description="Scopes of the role `approver:<scope>`; none given: the programme's own id"
    )


class Faculty(Entry):
    """One faculty: its contact person, its programmes, the activities it knows."""

    id: Identifier
    name: Name
    contact_person: Contact
    programmes: dict[Identifier, Programme] = Field(min_length=1)
    activity_types: tuple[ActivityType, ...] = Field(default=tuple(ActivityType), min_length=1)
    required_documents: dict[ActivityType, tuple[Text, ...]] = Field(default_factory=dict)


class University(Entry):
    """What holds for the whole university."""

    name: Name
    emergency_number: Phone
    emergency_email: Email
    international_office: Contact
    safety_officers: Contact


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
        return frozenset(programme.approver_roles) or frozenset({programme_id})

    def programmes_of(self, scopes: frozenset[str]) -> frozenset[str]:
        """Programmes that somebody with these approver scopes may decide for."""
        return frozenset(
            programme_id
            for faculty in self.faculties.values()
            for programme_id in faculty.programmes
            if scopes & self.approver_scopes(faculty.id, programme_id)
        )


def load(directory: Path) -> Catalogue:
    """Read `university.yaml` and every faculty's `*.yaml` beside it. Raises BrokenCatalogue with every mistake."""
    files = sorted(directory.glob("*.yaml"))
    if not (directory / UNIVERSITY).is_file():
        raise BrokenCatalogue([Mistake(UNIVERSITY, 0, "-", f"is not in {directory.name}/")])
    mistakes: list[Mistake] = []
    university: University | None = None
    faculties: dict[str, Faculty] = {}
    origin: dict[str, str] = {}
    checksum = hashlib.sha256()
    for file in files:
        content = file.read_bytes()
        checksum.update(b"%b\0%d\0%b" % (file.name.encode(), len(content), content))
        try:
            if file.name == UNIVERSITY:
                university = _read(file.name, content, University)
            else:
                faculty = _read(file.name, content, Faculty)
                mistakes.extend(_taken(file.name, faculty, origin))
                faculties[faculty.id] = faculty
        except BrokenCatalogue as broken:
            mistakes.extend(broken.mistakes)
    if len(files) == 1:
        mistakes.append(Mistake(UNIVERSITY, 0, "-", "no faculty's file beside it"))
    if mistakes or university is None:
        raise BrokenCatalogue(mistakes)
    return Catalogue(checksum.hexdigest()[:12], university, faculties)


def _taken(file: str, faculty: Faculty, origin: dict[str, str]) -> Iterator[Mistake]:
    """Ids are unique over the whole university: a role names a programme without its faculty."""
    for field, name in [("id", faculty.id), *((f"programmes.{name}", name) for name in faculty.programmes)]:
        if name in origin:
            yield Mistake(file, 0, field, f"{name} is already in {origin[name]}")
        origin.setdefault(name, file)


E = TypeVar("E", bound=Entry)
#: Where a value stands: the keys and indices that lead to it.
Place = tuple[str | int, ...]


def _read(file: str, content: bytes, model: type[E]) -> E:
    """The validated content of one file. Raises BrokenCatalogue."""
    lines: dict[Place, int] = {}
    mistakes: list[Mistake] = []
    try:
        root = yaml.compose(content.decode("utf-8"), Loader=yaml.SafeLoader)
        value = _value(root, (), lines, mistakes, file) if root is not None else None
    except UnicodeDecodeError:
        raise BrokenCatalogue([Mistake(file, 0, "-", "is not UTF-8")]) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or "cannot be read"
        raise BrokenCatalogue([Mistake(file, mark.line + 1 if mark else 0, "-", f"is not YAML: {problem}")]) from None
    try:
        entry = model.model_validate(value)
    except ValidationError as error:
        for problem in error.errors(include_url=False, include_input=False):
            place = tuple(part for part in problem["loc"] if part != "[key]")
            mistakes.append(Mistake(file, _line(place, lines), ".".join(map(str, place)) or "-", problem["msg"]))
        raise BrokenCatalogue(mistakes) from None
    if mistakes:
        raise BrokenCatalogue(mistakes)
    return entry


def _value(node: yaml.Node, place: Place, lines: dict[Place, int], mistakes: list[Mistake], file: str) -> Any:
    """The plain value of a node; notes the line of every field and refuses a key that stands twice."""
    lines[place] = node.start_mark.line + 1
    if isinstance(node, yaml.SequenceNode):
        return [_value(child, (*place, n), lines, mistakes, file) for n, child in enumerate(node.value)]
    if not isinstance(node, yaml.MappingNode):
        return node.value if node.tag in _TEXT_TAGS else yaml.safe_load(yaml.serialize(node))
    values: dict[str, Any] = {}
    for key_node, child in node.value:
        key = str(key_node.value)
        field = (*place, key)
        if key in values:
            line = key_node.start_mark.line + 1
            mistakes.append(Mistake(file, line, ".".join(map(str, field)), "stands twice"))
        values[key] = _value(child, field, lines, mistakes, file)
        lines[field] = key_node.start_mark.line + 1
    return values


#: Kept as written: an unquoted `+31...`, a version or a date is text here.
_TEXT_TAGS = {f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "timestamp")}


def _line(place: Place, lines: dict[Place, int]) -> int:
    """The line of a field, or of the nearest thing around it that is there."""
    while place and place not in lines:
        place = place[:-1]
    return lines.get(place, 0)
