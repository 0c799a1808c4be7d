"""R5: who may decide. Source: Leiden, "approved by the program coordinators"; nobody their own: proposal."""

from collections.abc import Set
from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """Why somebody may decide or not."""

    APPROVER_OF_PROGRAMME = "approver_of_programme"
    NOT_APPROVER_OF_PROGRAMME = "not_approver_of_programme"
    OWN_REQUEST = "own_request"


@dataclass(frozen=True, slots=True)
class Approver:
    """The decision."""

    reason: Reason

    @property
    def may_decide(self) -> bool:
        """R5 permits this person to decide."""
        return self.reason is Reason.APPROVER_OF_PROGRAMME


def approver(person_id: str, scopes: Set[str], student_id: str, programme_scopes: Set[str]) -> Approver:
    """R5: somebody with an approver role for the student's own programme, and never the student.

    `scopes` are those of the person's `approver:<scope>` roles, `programme_scopes` those that the catalogue
    lets decide for the programme (coordinator, board of examiners).
    """
    if person_id == student_id:
        return Approver(Reason.OWN_REQUEST)
    if scopes & programme_scopes:
        return Approver(Reason.APPROVER_OF_PROGRAMME)
    return Approver(Reason.NOT_APPROVER_OF_PROGRAMME)
