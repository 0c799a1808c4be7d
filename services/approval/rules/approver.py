"""R5: who may decide. Source: Leiden, "approved by the program coordinators". Nobody decides their own: proposal."""

from collections.abc import Set
from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """Why a person may decide or not."""

    APPROVER_OF_PROGRAMME = "approver_of_programme"
    NOT_APPROVER_OF_PROGRAMME = "not_approver_of_programme"
    OWN_REQUEST = "own_request"


@dataclass(frozen=True, slots=True)
class Approver:
    """Decision on one person and one request."""

    reason: Reason

    @property
    def may_decide(self) -> bool:
        """Whether R5 permits this person to decide."""
        return self.reason is Reason.APPROVER_OF_PROGRAMME


def approver(person_id: str, scopes: Set[str], student_id: str, programme_scopes: Set[str]) -> Approver:
    """R5: a person with an approver role for the student's own programme, and never the student.

    `scopes`: of the person's `approver:<scope>` roles. `programme_scopes`: those that decide for the programme by the
    catalogue (coordinator, board of examiners).
    """
    if person_id == student_id:
        return Approver(Reason.OWN_REQUEST)
    if scopes & programme_scopes:
        return Approver(Reason.APPROVER_OF_PROGRAMME)
    return Approver(Reason.NOT_APPROVER_OF_PROGRAMME)
