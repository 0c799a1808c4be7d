"""Mistakes that show only when entries of the catalogue are compared: ids that stand twice, names of nothing."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from shared.catalogue_entries import Faculty, University
from shared.marked_yaml import FieldPath, MarkedFile, dotted

UNIVERSITY_FILE = "university.yaml"


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake in a file; `line` counts from 1, or is 0 when the mistake has no line."""

    file: str
    line: int
    field: str
    reason: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.field}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Gap:
    """A field that is marked `to be configured`. `is_needed`: no service starts without it."""

    file: str
    line: int
    field: str
    is_needed: bool

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.field}"


@dataclass(slots=True)
class Findings:
    """Collected while reading. `file_of_id`: the file that defines an id; `files`: each file with its lines."""

    mistakes: list[Mistake] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    file_of_id: dict[str, str] = field(default_factory=dict)
    university_kinds: set[str] = field(default_factory=set)
    files: dict[str, MarkedFile] = field(default_factory=dict)


def ids_used_before(file: str, faculty: Faculty, findings: Findings) -> Iterator[Mistake]:
    """Ids are unique in the whole university: roles name a programme, events a pool or school, without the faculty."""
    ids: list[tuple[FieldPath, str]] = [(("id",), faculty.id)]
    ids += [(("programmes", programme_id), programme_id) for programme_id in faculty.programmes]
    for c, cluster in enumerate(faculty.clerkships.clusters if faculty.clerkships else ()):
        ids += [(("clerkships", "clusters", c, "pools", p, "id"), pool.id) for p, pool in enumerate(cluster.pools)]
    ids += [(("schools", s, "id"), school.id) for s, school in enumerate(faculty.schools)]
    yield from _taken(file, ids, findings)
    for code in faculty.document_kinds:
        if code in findings.university_kinds:
            yield Mistake(
                file,
                findings.files[file].line(("document_kinds", code)),
                dotted(("document_kinds", code)),
                f"{code} is already in {UNIVERSITY_FILE}",
            )


def ids_of_university(university: University, findings: Findings) -> Iterator[Mistake]:
    """As `ids_used_before`, for the university's own file, which comes first."""
    findings.university_kinds.update(university.document_kinds)
    schools: list[tuple[FieldPath, str]] = [
        (("schools", s, "id"), school.id) for s, school in enumerate(university.schools)
    ]
    return _taken(UNIVERSITY_FILE, schools, findings)


def _taken(file: str, ids: Sequence[tuple[FieldPath, str]], findings: Findings) -> Iterator[Mistake]:
    for path, entry_id in ids:
        if entry_id in findings.file_of_id:
            reason = f"{entry_id} is already in {findings.file_of_id[entry_id]}"
            yield Mistake(file, findings.files[file].line(path), dotted(path), reason)
        findings.file_of_id.setdefault(entry_id, file)


def unknown_documents(
    file: str, faculty: Faculty, university: University | None, findings: Findings
) -> Iterator[Mistake]:
    """R9: a faculty asks for kinds of documents that have a name. Not checked while the university's file is broken."""
    if university is None:
        return
    known = {**university.document_kinds, **faculty.document_kinds}
    for part in ("required_documents", "voluntary_documents"):
        for activity_type, kinds in getattr(faculty, part).items():
            for n, kind in enumerate(kinds):
                if kind not in known:
                    path = (part, activity_type.value, n)
                    reason = f"{kind} is not one of document_kinds"
                    yield Mistake(file, findings.files[file].line(path), dotted(path), reason)


def inconsistent_faculty(file: str, faculty: Faculty, marked: MarkedFile) -> Iterator[Mistake]:
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
    yield from _repeated_ids(file, _lists_with_ids(faculty), marked)
    for c, cluster in enumerate(faculty.clerkships.clusters if faculty.clerkships else ()):
        for p, pool in enumerate(cluster.pools):
            pool_path = ("clerkships", "clusters", c, "pools", p)
            if pool.ends_on < pool.starts_on:
                yield mistake("lies before the start", *pool_path, "ends_on")
            if any(
                pool.starts_on <= before.ends_on and before.starts_on <= pool.ends_on for before in cluster.pools[:p]
            ):
                yield mistake("overlaps with another pool of the cluster", *pool_path, "starts_on")


def inconsistent_university(file: str, university: University, marked: MarkedFile) -> Iterator[Mistake]:
    """As `inconsistent_faculty`, for the university's own file."""
    return _repeated_ids(file, iter(((("acknowledged",), university.acknowledged),)), marked)


def _repeated_ids(file: str, lists: Iterator[tuple[FieldPath, Sequence[Any]]], marked: MarkedFile) -> Iterator[Mistake]:
    for path, entries in lists:
        seen_ids: set[str] = set()
        for n, entry in enumerate(entries):
            if entry.id in seen_ids:
                yield Mistake(file, marked.line((*path, n, "id")), dotted((*path, n, "id")), f"{entry.id} stands twice")
            seen_ids.add(entry.id)


def _lists_with_ids(faculty: Faculty) -> Iterator[tuple[FieldPath, Sequence[Any]]]:
    """Path → list, for every list whose entries have an id."""
    if faculty.research:
        yield ("research", "themes"), faculty.research.themes
        yield ("research", "partner_networks"), faculty.research.partner_networks
        yield ("research", "partner_institutes"), faculty.research.partner_institutes
        for n, network in enumerate(faculty.research.partner_networks):
            yield ("research", "partner_networks", n, "institutes"), network.institutes
    if faculty.clerkships:
        yield ("clerkships", "clusters"), faculty.clerkships.clusters
        for c, cluster in enumerate(faculty.clerkships.clusters):
            yield ("clerkships", "clusters", c, "hospitals"), cluster.hospitals
