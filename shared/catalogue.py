"""The catalogue: what the university configures, and the questions that the services ask of it.

`shared.catalogue_files` reads it from one YAML file for the university and one for each faculty;
`shared.catalogue_entries` holds the models of their entries. Rule ids refer to docs/rules.md.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from shared.catalogue_entries import (
    Activity,
    Clerkships,
    Cluster,
    Contact,
    DocumentType,
    Entry,
    Faculty,
    Hospital,
    IncidentRouting,
    Institute,
    Name,
    Office,
    Pool,
    Programme,
    Research,
    School,
    University,
)
from shared.events import ActivityType

__all__ = [
    "Catalogue", "Clerkships", "ClusterPool", "Contact", "Entry", "Faculty", "Hospital", "IncidentRouting",
    "Institute", "Name", "Office", "Programme", "Research", "School", "University",
]  # fmt: skip

#: R3, as a sentence needs them when the files give no name of their own.
ACTIVITY_NAMES = {
    ActivityType.INTERNSHIP: Name(nl="Stage", en="Internship"),
    ActivityType.RESEARCH_OR_FIELDWORK: Name(nl="Onderzoek of veldwerk", en="Research or fieldwork"),
    ActivityType.FIELD_TRIP: Name(nl="Excursie", en="Field trip or excursion"),
    ActivityType.SUMMER_OR_WINTER_SCHOOL: Name(nl="Zomer- of winterschool", en="Summer or winter school"),
    ActivityType.MANDATORY_STUDY_ABROAD: Name(nl="Verplichte studie in het buitenland", en="Mandatory study abroad"),
    ActivityType.CLINICAL_CLERKSHIP: Name(nl="Coschap", en="Clinical clerkship"),
    ActivityType.MOOT_COURT: Name(nl="Pleitwedstrijd (moot court)", en="Moot court"),
    ActivityType.STUDY_ASSOCIATION_TRIP: Name(nl="Reis van een studievereniging", en="Study association trip"),
}


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

    def home_of(self, programme_id: str) -> Faculty | None:
        """The faculty that has the programme today: ids are unique, and a stored document may name a former faculty."""
        return next((faculty for faculty in self.faculties.values() if programme_id in faculty.programmes), None)

    def programme_today(self, programme_id: str) -> Programme | None:
        """The programme of something that is stored, wherever it is today; None when it is gone."""
        faculty = self.home_of(programme_id)
        return faculty.programmes[programme_id] if faculty else None

    @property
    def programme_ids(self) -> frozenset[str]:
        """Every programme of the university."""
        return frozenset(name for faculty in self.faculties.values() for name in faculty.programmes)

    def approver_scopes(self, programme_id: str) -> frozenset[str]:
        """Scopes of `approver:<scope>` that may decide for a programme (R5); empty for an unknown programme."""
        faculty = self.home_of(programme_id)
        if faculty is None:
            return frozenset()
        return frozenset(faculty.programmes[programme_id].approver_roles or faculty.approver_roles or (programme_id,))

    def coordinator_scopes(self, programme_id: str) -> frozenset[str]:
        """The approver scopes that are not the board's: who may still decide after the start of the activity (R4).

        Where the catalogue names no board, or the board approves alone, every approver.
        """
        approvers = self.approver_scopes(programme_id)
        return approvers - self.board_scopes(programme_id) or approvers

    def board_scopes(self, programme_id: str) -> frozenset[str]:
        """Scopes of `approver:<scope>` of a programme's board of examiners (R23); empty for an unknown programme."""
        faculty = self.home_of(programme_id)
        if faculty is None:
            return frozenset()
        board = faculty.programmes[programme_id].board_of_examiners or faculty.board_of_examiners
        return frozenset(board) or self.approver_scopes(programme_id)

    def programmes_of(self, scopes: frozenset[str]) -> frozenset[str]:
        """Programmes for which an approver with these scopes may decide."""
        return self._programmes(scopes, self.approver_scopes)

    def boards_of(self, scopes: frozenset[str]) -> frozenset[str]:
        """Programmes whose board of examiners has one of these approver scopes."""
        return self._programmes(scopes, self.board_scopes)

    def _programmes(self, scopes: frozenset[str], scopes_of: Callable[[str], frozenset[str]]) -> frozenset[str]:
        return frozenset(programme_id for programme_id in self.programme_ids if scopes & scopes_of(programme_id))

    def coordinator(
        self,
        programme_id: str,
        activity_type: ActivityType | None = None,
        study_level: Literal["bachelor", "master"] | None = None,
    ) -> Contact | None:
        """Who coordinates this activity at this level of study: another coordinator that fits, or the programme's own.

        None for a programme that is gone.
        """
        programme = self.programme_today(programme_id)
        if programme is None:
            return None
        for coordinator in programme.other_coordinators:
            is_for_type = not coordinator.activity_types or activity_type in coordinator.activity_types
            if is_for_type and coordinator.study_level in (None, study_level):
                return coordinator.contact
        return programme.coordinator

    def international_office(self, faculty_id: str) -> Office:
        """The faculty's own International Office, or the university's."""
        faculty = self.faculties.get(faculty_id)
        return (faculty.international_office if faculty else None) or self.university.international_office

    def activity_types(self, faculty_id: str, programme_id: str) -> tuple[ActivityType, ...]:
        """R3: the types that the programme offers, by itself or by its faculty."""
        programme = self.programme(faculty_id, programme_id)
        if programme is None:
            return ()
        return programme.activity_types or self.faculties[faculty_id].activity_types

    def activity(self, faculty_id: str, programme_id: str, activity_type: ActivityType) -> Activity:
        """What a student of the programme reads about a type of activity. Its name is always there.

        The narrowest name and explanation hold; links and criteria of programme, faculty and university add up.
        """
        programme, faculty = self.programme(faculty_id, programme_id), self.faculties.get(faculty_id)
        places = (programme, faculty, self.university)
        told = [place.activities[activity_type] for place in places if place and activity_type in place.activities]
        return Activity(
            name=next((activity.name for activity in told if activity.name), ACTIVITY_NAMES[activity_type]),
            explanation=next((activity.explanation for activity in told if activity.explanation), None),
            links=tuple(link for activity in told for link in activity.links),
            criteria=tuple(criterion for activity in told for criterion in activity.criteria),
        )

    def document_kinds(self, faculty_id: str) -> dict[str, DocumentType]:
        """R9: code → kind of document, of the university and of the faculty. Empty: documents have any name."""
        faculty = self.faculties.get(faculty_id)
        return {**self.university.document_kinds, **(faculty.document_kinds if faculty else {})}

    def required_documents(
        self, faculty_id: str, activity_type: ActivityType, *, study_related: bool
    ) -> tuple[str, ...]:
        """R9, R11: the kinds of documents that a faculty asks for; none for an unknown faculty."""
        faculty = self.faculties.get(faculty_id)
        if faculty is None:
            return ()
        required = faculty.required_documents if study_related else faculty.voluntary_documents
        return required.get(activity_type, ())

    def schools(self, faculty_id: str) -> tuple[School, ...]:
        """R37: the summer and winter schools that a student can name: the faculty's, and those for every faculty."""
        faculty = self.faculties.get(faculty_id)
        return (*(faculty.schools if faculty else ()), *self.university.schools)

    def pools(self) -> dict[str, ClusterPool]:
        """Pool id → pool, in the order of the files (R34)."""
        return {
            pool.id: ClusterPool(faculty.id, cluster, pool)
            for faculty in self.faculties.values()
            if faculty.clerkships
            for cluster in faculty.clerkships.clusters
            for pool in cluster.pools
        }
