"""Who sees and changes what: the one place for object-level checks, for single objects and for lists alike.

What somebody may not see does not exist for them (404): a 403 would confirm that the id is somebody's.
"""

from dataclasses import dataclass
from typing import Any

from services.registration.model import Registration
from services.registration.rules.clearance import Queue
from shared.catalogue import Catalogue
from shared.web.identity import Identity

#: Roles that may use this service at all.
READERS = ("student", "faculty-contact", "approver", "international-office", "safety-officer")
TASK_READERS = ("faculty-contact", "approver", "international-office", "safety-officer")


@dataclass(frozen=True, slots=True)
class Permissions:
    """What one caller reaches. `programmes` are those that their approver scopes stand for in the catalogue, `boards`
    those of whose board of examiners they are.
    """

    person_id: str
    is_student: bool
    faculties: frozenset[str]
    programmes: frozenset[str]
    boards: frozenset[str]
    is_international_office: bool
    is_safety_officer: bool

    @property
    def sees_all(self) -> bool:
        """The International Office and the safety officers look after everybody."""
        return self.is_international_office or self.is_safety_officer

    def owns(self, state: Registration) -> bool:
        """The student's own: to change and to cancel."""
        return self.is_student and state.person_id == self.person_id

    def looks_after(self, state: Registration) -> bool:
        """May say what happened: the student, and whoever looks after them. A board of examiners only knows of it."""
        return (
            self.owns(state)
            or self.sees_all
            or state.faculty_id in self.faculties
            or state.programme_id in self.programmes
        )

    def sees(self, state: Registration) -> bool:
        """May read it, its checklist and its history."""
        return self.looks_after(state) or state.programme_id in self.boards

    def competences(self, state: Registration) -> frozenset[Queue]:
        """The queues whose matters this caller may decide for the registration; never for one's own."""
        if state.person_id == self.person_id:
            return frozenset()
        held = {
            Queue.FACULTY_CONTACT: state.faculty_id in self.faculties,
            Queue.COORDINATOR: state.programme_id in self.programmes,
            Queue.INTERNATIONAL_OFFICE: self.is_international_office,
            Queue.SAFETY_OFFICER: self.is_safety_officer,
        }
        return frozenset(queue for queue, holds in held.items() if holds)

    def sees_contact(self, state: Registration) -> bool:
        """May read names and numbers; a coordinator does not need them."""
        return self.owns(state) or self.sees_all or state.faculty_id in self.faculties

    def registrations(self) -> dict[str, Any]:
        """The same as `sees`, as a query."""
        if self.sees_all:
            return {}
        reached: list[dict[str, Any]] = []
        if self.is_student:
            reached.append({"personId": self.person_id})
        if self.faculties:
            reached.append({"facultyId": {"$in": sorted(self.faculties)}})
        if self.programmes or self.boards:
            reached.append({"programmeId": {"$in": sorted(self.programmes | self.boards)}})
        return _any_of(reached)

    def has_task(self, queue: str, scope: str) -> bool:
        """May see and close a task of this queue and scope."""
        match queue:
            case Queue.FACULTY_CONTACT:
                return scope in self.faculties
            case Queue.COORDINATOR:
                return scope in self.programmes
            case Queue.BOARD_OF_EXAMINERS:
                return scope in self.boards
            case Queue.INTERNATIONAL_OFFICE:
                return self.is_international_office
            case Queue.SAFETY_OFFICER:
                return self.is_safety_officer
            case _:
                return False

    def tasks(self) -> dict[str, Any]:
        """The same as `has_task`, as a query."""
        reached: list[dict[str, Any]] = []
        if self.faculties:
            reached.append({"queue": Queue.FACULTY_CONTACT.value, "scope": {"$in": sorted(self.faculties)}})
        if self.programmes:
            reached.append({"queue": Queue.COORDINATOR.value, "scope": {"$in": sorted(self.programmes)}})
        if self.boards:
            reached.append({"queue": Queue.BOARD_OF_EXAMINERS.value, "scope": {"$in": sorted(self.boards)}})
        if self.is_international_office:
            reached.append({"queue": Queue.INTERNATIONAL_OFFICE.value})
        if self.is_safety_officer:
            reached.append({"queue": Queue.SAFETY_OFFICER.value})
        return _any_of(reached)


def permissions_of(caller: Identity, catalogue: Catalogue) -> Permissions:
    """What a verified caller reaches; the catalogue says for which programmes their approver scopes stand."""
    scopes = caller.scopes("approver")
    return Permissions(
        person_id=caller.person_id,
        is_student=caller.has("student"),
        faculties=caller.scopes("faculty-contact"),
        programmes=catalogue.programmes_of(scopes),
        boards=catalogue.boards_of(scopes),
        is_international_office=caller.has("international-office"),
        is_safety_officer=caller.has("safety-officer"),
    )


def _any_of(reached: list[dict[str, Any]]) -> dict[str, Any]:
    """Nothing reached is a query that finds nothing."""
    if not reached:
        return {"_id": {"$in": []}}
    return reached[0] if len(reached) == 1 else {"$or": reached}
