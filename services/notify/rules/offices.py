"""Which office has a case: the mailbox of each queue, from the catalogue; and the queue that a rule asks for."""

from collections.abc import Mapping
from typing import Literal

from shared.catalogue import Catalogue, Contact
from shared.events import ActivityType

#: Queues as the events of registration and approval name them.
COORDINATOR, FACULTY_CONTACT, SAFETY_OFFICER, INTERNATIONAL_OFFICE, BOARD = (
    "coordinator", "faculty-contact", "safety-officer", "international-office", "board-of-examiners",
)  # fmt: skip

#: For a decision without a queue: whose staff the student can turn to, by the rule that decided.
_QUEUES: Mapping[str, str] = {
    "R2": COORDINATOR,
    "R10": COORDINATOR,
    "R14": SAFETY_OFFICER,
    "R16": SAFETY_OFFICER,
    "R18": SAFETY_OFFICER,
    "R19": COORDINATOR,
    "R21": COORDINATOR,
}


def queue_for(rule: str) -> str:
    """The queue whose staff explain a decision by this rule. Without a rule it is about the journey as a whole."""
    return _QUEUES.get(rule, FACULTY_CONTACT if rule else INTERNATIONAL_OFFICE)


def office_for(
    queue: str,
    faculty_id: str,
    programme_id: str,
    catalogue: Catalogue,
    activity_type: ActivityType | None = None,
    study_level: Literal["bachelor", "master"] | None = None,
) -> Contact:
    """The mailbox of a queue; the International Office's where the catalogue names no other.

    A board of examiners has no mailbox in the catalogue: its coordinator passes the case on. Type and level, where they
    are known, name the coordinator of that activity.
    """
    programme, faculty = catalogue.programme(faculty_id, programme_id), catalogue.faculties.get(faculty_id)
    if queue in (COORDINATOR, BOARD) and programme is not None:
        return catalogue.coordinator(programme_id, activity_type, study_level) or programme.coordinator
    if queue == FACULTY_CONTACT and faculty is not None:
        return faculty.contact_person
    if queue == SAFETY_OFFICER:
        return catalogue.university.safety_officers
    return catalogue.international_office(faculty_id)
