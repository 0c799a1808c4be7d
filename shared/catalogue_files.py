"""Reads the catalogue from its files: `university.yaml`, and one YAML file for each faculty beside it.

Every mistake is reported with its file, line and field, all mistakes together; a broken catalogue is never half loaded.
A value that the university still has to supply is marked `to be configured`: it is listed, and the next office answers
in the place of a contact that is marked (coordinator → contact person → International Office).
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from shared import marked_yaml
from shared.catalogue import Catalogue, Entry, Faculty, University
from shared.errors import PermanentError
from shared.marked_yaml import UNCONFIGURED, FieldPath, MarkedFile, NotYaml, dotted, parents, without_unconfigured

UNIVERSITY_FILE = "university.yaml"
E = TypeVar("E", bound=Entry)


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake in a file; `line` counts from 1, or is 0 when the mistake has no line."""

    file: str
    line: int
    field: str
    reason: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.field}: {self.reason}"


class BrokenCatalogue(PermanentError):
    """The catalogue cannot be used. Its text and `mistakes` name every mistake."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        super().__init__("\n".join(str(mistake) for mistake in mistakes))
        self.mistakes = tuple(mistakes)


@dataclass(frozen=True, slots=True)
class Gap:
    """A field that is marked `to be configured`. `is_needed`: no service starts without it."""

    file: str
    line: int
    field: str
    is_needed: bool

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.field}"


@dataclass(frozen=True, slots=True)
class CatalogueReport:
    """The result of reading a folder. `catalogue` is None when there are mistakes, or gaps that are needed."""

    catalogue: Catalogue | None
    mistakes: tuple[Mistake, ...]
    gaps: tuple[Gap, ...]


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
    findings = _Findings()
    university = _validated(findings, UNIVERSITY_FILE, contents[UNIVERSITY_FILE], University, None)
    office = university.international_office.model_dump() if university else None
    faculties: dict[str, Faculty] = {}
    for file, content in contents.items():
        if file != UNIVERSITY_FILE:
            faculty = _validated(findings, file, content, Faculty, office)
            if faculty is not None:
                findings.mistakes.extend(_ids_used_before(file, faculty, findings))
                faculties[faculty.id] = faculty
    if len(contents) == 1:
        findings.mistakes.append(Mistake(UNIVERSITY_FILE, 0, "-", "has no faculty's file beside it"))
    if findings.mistakes or university is None or any(gap.is_needed for gap in findings.gaps):
        return CatalogueReport(None, tuple(findings.mistakes), tuple(findings.gaps))
    return CatalogueReport(Catalogue(_version(contents), university, faculties), (), tuple(findings.gaps))


def _version(contents: Mapping[str, bytes]) -> str:
    checksum = hashlib.sha256()
    for name, content in contents.items():
        checksum.update(b"%b\0%d\0%b" % (name.encode(), len(content), content))
    return checksum.hexdigest()[:12]


@dataclass(slots=True)
class _Findings:
    """Collected while reading. `file_of_id`: the file that defines an id; `files`: each file with its lines."""

    mistakes: list[Mistake] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    file_of_id: dict[str, str] = field(default_factory=dict)
    files: dict[str, MarkedFile] = field(default_factory=dict)


def _validated(
    findings: _Findings, file: str, content: bytes, model: type[E], office: Mapping[str, Any] | None
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
        findings.mistakes.extend(_inconsistent(file, entry, marked))
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
    if "contact_person" in faculty:
        changed["contact_person"] = _or_next(faculty["contact_person"], own_office)
    if isinstance(faculty.get("programmes"), dict):
        next_contact = changed.get("contact_person", own_office)
        changed["programmes"] = {
            name: {**programme, "coordinator": _or_next(programme["coordinator"], next_contact)}
            if isinstance(programme, dict) and "coordinator" in programme
            else programme
            for name, programme in faculty["programmes"].items()
        }
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


def _ids_used_before(file: str, faculty: Faculty, findings: _Findings) -> Iterator[Mistake]:
    """Ids are unique in the whole university: roles name a programme, events a pool, without the faculty."""
    ids: list[tuple[FieldPath, str]] = [(("id",), faculty.id)]
    ids += [(("programmes", programme_id), programme_id) for programme_id in faculty.programmes]
    for c, cluster in enumerate(faculty.clerkships.clusters if faculty.clerkships else ()):
        ids += [(("clerkships", "clusters", c, "pools", p, "id"), pool.id) for p, pool in enumerate(cluster.pools)]
    for path, entry_id in ids:
        if entry_id in findings.file_of_id:
            reason = f"{entry_id} is already in {findings.file_of_id[entry_id]}"
            yield Mistake(file, findings.files[file].line(path), dotted(path), reason)
        findings.file_of_id.setdefault(entry_id, file)


def _inconsistent(file: str, faculty: Faculty, marked: MarkedFile) -> Iterator[Mistake]:
    """Mistakes that show only when fields are compared."""

    def mistake(reason: str, *path: str | int) -> Mistake:
        return Mistake(file, marked.line(path), dotted(path), reason)

    if not faculty.programmes and ("programmes",) not in marked.gaps:
        yield mistake("Field required", "programmes")
    for part in ("research", "clerkships"):
        names = getattr(faculty, part).programmes if getattr(faculty, part) else ()
        for n, name in enumerate(names):
            if name not in faculty.programmes:
                yield mistake(f"{name} is not a programme of this faculty", part, "programmes", n)
    for path, entries in _lists_with_ids(faculty):
        seen_ids: set[str] = set()
        for n, entry in enumerate(entries):
            if entry.id in seen_ids:
                yield mistake(f"{entry.id} stands twice", *path, n, "id")
            seen_ids.add(entry.id)
    for c, cluster in enumerate(faculty.clerkships.clusters if faculty.clerkships else ()):
        for p, pool in enumerate(cluster.pools):
            pool_path = ("clerkships", "clusters", c, "pools", p)
            if pool.ends_on < pool.starts_on:
                yield mistake("lies before the start", *pool_path, "ends_on")
            if any(
                pool.starts_on <= before.ends_on and before.starts_on <= pool.ends_on for before in cluster.pools[:p]
            ):
                yield mistake("overlaps with another pool of the cluster", *pool_path, "starts_on")


def _lists_with_ids(faculty: Faculty) -> Iterator[tuple[FieldPath, Sequence[Any]]]:
    """Path → list, for every list whose entries have an id."""
    if faculty.research:
        yield ("research", "themes"), faculty.research.themes
        yield ("research", "partner_networks"), faculty.research.partner_networks
    if faculty.clerkships:
        yield ("clerkships", "clusters"), faculty.clerkships.clusters
    yield ("schools",), faculty.schools
