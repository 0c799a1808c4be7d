"""Who may see and change what: the one place for object-level checks, for single objects and for lists alike.

What a caller may not see does not exist for them (404): a 403 would confirm that the id exists.
"""

from dataclasses import dataclass
from typing import Any

from services.registration.model import Registration
from services.registration.rules.clearance import Queue
from shared.catalogue import Catalogue
from shared.command import Command
from shared.web.identity import NO_FACTS, Identity, LoginFacts

#: Roles that may use this service, and those that have task queues.
READERS = ("student", "faculty-contact", "approver", "international-office", "safety-officer")
TASK_READERS = ("faculty-contact", "approver", "international-office", "safety-officer")


@dataclass(frozen=True, slots=True)
class KnownScopes:
    """The faculties and programmes of the catalogue: the International Office stands in for those that are gone."""

    faculties: frozenset[str]
    programmes: frozenset[str]


@dataclass(frozen=True, slots=True)
class Permissions:
    """What one caller may see and change.

    `programmes` are those for which the caller may approve, `boards` those of whose board of examiners the caller is
    a member, both by the catalogue. `login`: what the login says of a student.
    """

    person_id: str
    is_student: bool
    faculties: frozenset[str]
    programmes: frozenset[str]
    boards: frozenset[str]
    is_international_office: bool
    is_safety_officer: bool
    known: KnownScopes | None = None
    login: LoginFacts = NO_FACTS

    @property
    def sees_all(self) -> bool:
        """The International Office and the safety officers look after every student."""
        return self.is_international_office or self.is_safety_officer

    def owns(self, state: Registration) -> bool:
        """Whether it is the caller's own registration, to change and to cancel."""
        return self.is_student and state.person_id == self.person_id

    def looks_after(self, state: Registration) -> bool:
        """May record what happened: the student, and staff who look after them. A board of examiners only reads."""
        return (
            self.owns(state)
            or self.sees_all
            or state.faculty_id in self.faculties
            or state.programme_id in self.programmes
        )

    def sees(self, state: Registration) -> bool:
        """May read the registration, its checklist and its history."""
        return self.looks_after(state) or state.programme_id in self.boards

    def competences(self, state: Registration) -> frozenset[Queue]:
        """The queues for which this caller may decide about the registration; none for their own registration."""
        if state.person_id == self.person_id:
            return frozenset()
        by_queue = {
            Queue.FACULTY_CONTACT: self.has_task(Queue.FACULTY_CONTACT, state.faculty_id),
            Queue.COORDINATOR: self.has_task(Queue.COORDINATOR, state.programme_id),
            Queue.INTERNATIONAL_OFFICE: self.is_international_office,
            Queue.SAFETY_OFFICER: self.is_safety_officer,
        }
        return frozenset(queue for queue, is_competent in by_queue.items() if is_competent)

    def sees_contact(self, state: Registration) -> bool:
        """May read phone numbers and the emergency contact. Who only decides about the studies sees name and mail."""
        return self.owns(state) or self.sees_all or state.faculty_id in self.faculties

    def registrations_query(self) -> dict[str, Any]:
        """The same as `sees`, as a MongoDB query."""
        if self.sees_all:
            return {}
        visible: list[dict[str, Any]] = []
        if self.is_student:
            visible.append({"personId": self.person_id})
        if self.faculties:
            visible.append({"facultyId": {"$in": sorted(self.faculties)}})
        if self.programmes or self.boards:
            visible.append({"programmeId": {"$in": sorted(self.programmes | self.boards)}})
        return _any_of(visible)

    def approvals_query(self) -> dict[str, Any]:
        """The approvals of students whom the caller looks after, as a MongoDB query; not one's own."""
        if self.sees_all:
            return {}
        visible: list[dict[str, Any]] = []
        if self.faculties:
            visible.append({"facultyId": {"$in": sorted(self.faculties)}})
        if self.programmes:
            visible.append({"programmeId": {"$in": sorted(self.programmes)}})
        return _any_of(visible)

    def has_task(self, queue: str, scope: str) -> bool:
        """May see and close tasks of this queue and scope."""
        match queue:
            case Queue.FACULTY_CONTACT:
                return scope in self.faculties or self._stands_in(queue, scope)
            case Queue.COORDINATOR:
                return scope in self.programmes or self._stands_in(queue, scope)
            case Queue.BOARD_OF_EXAMINERS:
                return scope in self.boards or self._stands_in(queue, scope)
            case Queue.INTERNATIONAL_OFFICE:
                return self.is_international_office
            case Queue.SAFETY_OFFICER:
                return self.is_safety_officer
            case _:
                return False

    def _stands_in(self, queue: str, scope: str) -> bool:
        """The International Office looks after the tasks of a faculty or programme that is gone from the catalogue."""
        if not self.is_international_office or self.known is None:
            return False
        is_of_faculty = queue == Queue.FACULTY_CONTACT
        return scope not in (self.known.faculties if is_of_faculty else self.known.programmes)

    def tasks_query(self) -> dict[str, Any]:
        """The same as `has_task`, as a MongoDB query."""
        visible: list[dict[str, Any]] = []
        if self.faculties:
            visible.append({"queue": Queue.FACULTY_CONTACT.value, "scope": {"$in": sorted(self.faculties)}})
        if self.programmes:
            visible.append({"queue": Queue.COORDINATOR.value, "scope": {"$in": sorted(self.programmes)}})
        if self.boards:
            visible.append({"queue": Queue.BOARD_OF_EXAMINERS.value, "scope": {"$in": sorted(self.boards)}})
        if self.is_international_office:
            visible.append({"queue": Queue.INTERNATIONAL_OFFICE.value})
            visible.extend(tasks_without_home(self.known) if self.known is not None else [])
        if self.is_safety_officer:
            visible.append({"queue": Queue.SAFETY_OFFICER.value})
        return _any_of(visible)


def permissions_of(caller: Identity, catalogue: Catalogue) -> Permissions:
    """The permissions of a verified caller. The catalogue says which programmes an approver scope stands for."""
    scopes = caller.scopes("approver")
    return Permissions(
        person_id=caller.person_id,
        is_student=caller.has("student"),
        faculties=caller.scopes("faculty-contact"),
        # A student has no such scopes: without them no request walks through the catalogue.
        programmes=catalogue.programmes_of(scopes) if scopes else frozenset(),
        boards=catalogue.boards_of(scopes) if scopes else frozenset(),
        is_international_office=caller.has("international-office"),
        is_safety_officer=caller.has("safety-officer"),
        known=known_scopes(catalogue),
        login=caller.login,
    )


def known_scopes(catalogue: Catalogue) -> KnownScopes:
    """The faculties and programmes that the catalogue has today."""
    return KnownScopes(frozenset(catalogue.faculties), catalogue.programme_ids)


def tasks_without_home(known: KnownScopes) -> list[dict[str, Any]]:
    """Queries for the tasks of faculties and programmes that are gone from the catalogue."""
    by_queue = {
        Queue.FACULTY_CONTACT: known.faculties,
        Queue.COORDINATOR: known.programmes,
        Queue.BOARD_OF_EXAMINERS: known.programmes,
    }
    return [{"queue": queue.value, "scope": {"$nin": sorted(scopes)}} for queue, scopes in by_queue.items()]


def with_permissions(command: Command[Identity], catalogue: Catalogue) -> Command[Permissions]:
    """The same command, by the caller's permissions."""
    return command.by(permissions_of(command.caller, catalogue))


def _any_of(queries: list[dict[str, Any]]) -> dict[str, Any]:
    """A query for any of these; without any, one that finds nothing."""
    if not queries:
        return {"_id": {"$in": []}}
    return queries[0] if len(queries) == 1 else {"$or": queries}
