"""Reads the catalogue from its files: `university.yaml`, and one YAML file for each faculty beside it.

Every mistake is reported with its file, line and field, all mistakes together; a broken catalogue is never half loaded.
A value that the university still has to supply is marked `to be configured`: it is listed, and the next office answers
in the place of a contact that is marked (coordinator → contact person → International Office).
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from shared import marked_yaml
from shared.catalogue import Catalogue, Entry, Faculty, University
from shared.catalogue_mistakes import (
    UNIVERSITY_FILE,
    Findings,
    Gap,
    Mistake,
    ids_of_university,
    ids_used_before,
    inconsistent_faculty,
    inconsistent_university,
    unknown_documents,
)
from shared.errors import PermanentError
from shared.marked_yaml import UNCONFIGURED, FieldPath, NotYaml, dotted, parents, without_unconfigured

E = TypeVar("E", bound=Entry)


class BrokenCatalogue(PermanentError):
    """The catalogue cannot be used. Its text and `mistakes` name every mistake."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        super().__init__("\n".join(str(mistake) for mistake in mistakes))
        self.mistakes = tuple(mistakes)


@dataclass(frozen=True, slots=True)
class CatalogueReport:
    """The result of reading a folder. `catalogue` is None when there are mistakes, or gaps that are needed."""

    catalogue: Catalogue | None
    mistakes: tuple[Mistake, ...]
    gaps: tuple[Gap, ...]
    #: Faculty id → its file and the line of its programmes.
    places: Mapping[str, tuple[str, int]] = field(default_factory=dict)


def load(directory: Path) -> Catalogue:
    """The catalogue in a folder. Raises BrokenCatalogue, which names every mistake and every gap that is needed."""
    report = examine(directory)
    needed = [
        Mistake(gap.file, gap.line, gap.field, "must be configured before a service can start")
        for gap in report.gaps
        if gap.is_needed
    ]
    if report.catalogue is None or needed:
        raise BrokenCatalogue([*report.mistakes, *needed])
    return report.catalogue


def fingerprint(directory: Path) -> tuple[tuple[str, int, int], ...]:
    """Name, time and size of every file: it changes when the catalogue is edited."""
    return tuple((file.name, file.stat().st_mtime_ns, file.stat().st_size) for file in sorted(directory.glob("*.yaml")))


def examine(directory: Path) -> CatalogueReport:
    """Read a folder and report every mistake and gap, for `passage catalogue check` and for `load`."""
    contents = {file.name: file.read_bytes() for file in sorted(directory.glob("*.yaml"))}
    if UNIVERSITY_FILE not in contents:
        return CatalogueReport(None, (Mistake(UNIVERSITY_FILE, 0, "-", f"is not in {directory.name}/"),), ())
    findings = Findings()
    university = _validated(findings, UNIVERSITY_FILE, contents[UNIVERSITY_FILE], University, None)
    office = university.international_office.model_dump() if university else None
    if university is not None:
        findings.mistakes.extend(ids_of_university(university, findings))
    faculties: dict[str, Faculty] = {}
    for file, content in contents.items():
        if file != UNIVERSITY_FILE:
            faculty = _validated(findings, file, content, Faculty, office)
            if faculty is not None:
                findings.mistakes.extend(ids_used_before(file, faculty, findings))
                findings.mistakes.extend(unknown_documents(file, faculty, university, findings))
                faculties[faculty.id] = faculty
    if len(contents) == 1:
        findings.mistakes.append(Mistake(UNIVERSITY_FILE, 0, "-", "has no faculty's file beside it"))
    if findings.mistakes or university is None or any(gap.is_needed for gap in findings.gaps):
        return CatalogueReport(None, tuple(findings.mistakes), tuple(findings.gaps))
    file_of = {faculty_id: findings.file_of_id[faculty_id] for faculty_id in faculties}
    places = {name: (file, findings.files[file].line(("programmes",))) for name, file in file_of.items()}
    return CatalogueReport(Catalogue(_version(contents), university, faculties), (), tuple(findings.gaps), places)


def _version(contents: Mapping[str, bytes]) -> str:
    checksum = hashlib.sha256()
    for name, content in contents.items():
        checksum.update(b"%b\0%d\0%b" % (name.encode(), len(content), content))
    return checksum.hexdigest()[:12]


def _validated(
    findings: Findings, file: str, content: bytes, model: type[E], office: Mapping[str, Any] | None
) -> E | None:
    """The content of one file; None when it has mistakes or needed gaps, which are added to `findings`."""
    try:
        marked = marked_yaml.read(content)
    except NotYaml as error:
        findings.mistakes.append(Mistake(file, error.line, "-", error.reason))
        return None
    findings.files[file] = marked
    mistakes_before = len(findings.mistakes)
    findings.mistakes.extend(Mistake(file, line, dotted(path), "stands twice") for path, line in marked.duplicates)
    value = marked.value
    if model is Faculty and isinstance(value, dict):
        value = _with_next_offices(value, office or _PLACEHOLDER_OFFICE)
    entry: E | None = None
    needed: set[FieldPath] = set()
    try:
        entry = model.model_validate(without_unconfigured(value))
    except ValidationError as error:
        for problem in error.errors(include_url=False, include_input=False):
            path = tuple(part for part in problem["loc"] if part != "[key]")
            gap = next((parent for parent in parents(path) if parent in marked.gaps), None)
            if problem["type"] == "missing" and gap is not None:
                needed.add(gap)  # not a mistake: it is missing because it is marked
            else:
                findings.mistakes.append(Mistake(file, marked.line(path), dotted(path), problem["msg"]))
    for path in marked.gaps:
        findings.gaps.append(Gap(file, marked.line(path), dotted(path), path in needed))
    if isinstance(entry, Faculty):
        findings.mistakes.extend(inconsistent_faculty(file, entry, marked))
    if isinstance(entry, University):
        findings.mistakes.extend(inconsistent_university(file, entry, marked))
    return entry if len(findings.mistakes) == mistakes_before else None


#: Lets faculties be checked while the university's own file is broken; then nothing is loaded.
_PLACEHOLDER_OFFICE = {
    "function": "International Office",
    "email": "office@university.example",
    "phone": "+31710000000",
}


def _with_next_offices(faculty: dict[str, Any], office: Mapping[str, Any]) -> dict[str, Any]:
    """The faculty with unconfigured contacts replaced by the next one: coordinator, contact person, Int'l Office.

    A contact without an address is replaced as a whole; one without a phone number gets the number of the next one.
    """
    own_office = _or_next(faculty.get("international_office", UNCONFIGURED), office)
    changed = dict(faculty)
    if faculty.get("international_office") is not None:
        changed["international_office"] = own_office
    next_contact = _contact_alone(own_office)
    if "contact_person" in faculty:
        next_contact = changed["contact_person"] = _or_next(faculty["contact_person"], next_contact)
    if isinstance(faculty.get("programmes"), dict):
        changed["programmes"] = {
            name: _with_coordinators(programme, next_contact) for name, programme in faculty["programmes"].items()
        }
    return changed


def _contact_alone(office: Any) -> Any:
    """An office as the contact of something else: without its address and its page for meetings."""
    if not isinstance(office, Mapping):
        return office
    return {key: value for key, value in office.items() if key not in ("address", "meeting")}


def _with_coordinators(programme: Any, next_contact: Any) -> Any:
    """The programme with its unconfigured coordinators replaced: the others by its own, its own by the next contact."""
    if not isinstance(programme, dict) or "coordinator" not in programme:
        return programme
    coordinator = _or_next(programme["coordinator"], next_contact)
    changed = {**programme, "coordinator": coordinator}
    if isinstance(programme.get("other_coordinators"), list):
        changed["other_coordinators"] = [
            {**entry, "contact": _or_next(entry["contact"], coordinator)}
            if isinstance(entry, dict) and "contact" in entry
            else entry
            for entry in programme["other_coordinators"]
        ]
    return changed


def _or_next(contact: Any, next_contact: Any) -> Any:
    if contact is UNCONFIGURED:
        return next_contact
    if not isinstance(contact, dict) or not isinstance(next_contact, Mapping):
        return contact
    if contact.get("email") is UNCONFIGURED:
        return next_contact
    if contact.get("phone") is UNCONFIGURED:
        return {**contact, "phone": next_contact["phone"]}
    return contact
