"""Who sees, records and decides what: the one place for object-level checks, for single requests and for lists alike.

What somebody may not see does not exist for them (404): a 403 would confirm that the id is somebody's.
"""

from dataclasses import dataclass
from typing import Any

from services.approval.model import ApprovalRequest
from shared.web.identity import Identity

READERS = ("student", "approver", "international-office")
DECIDERS = ("student", "approver")
RECORDERS = ("approver", "international-office")
OFFICE = "international-office"


@dataclass(frozen=True, slots=True)
class Permissions:
    """What one caller reaches. `scopes` are the approver scopes, `programmes` what they stand for (R5)."""

    person_id: str
    is_student: bool
    scopes: frozenset[str]
    programmes: frozenset[str]
    is_office: bool = False

    def owns(self, state: ApprovalRequest) -> bool:
        """The student's own: to answer and to withdraw."""
        return self.is_student and state.person_id == self.person_id

    def may_read(self, state: ApprovalRequest) -> bool:
        """May read it and its history. The International Office: what a rule gives to it (R34, R35)."""
        return self.may_read_texts(state) or (
            self.is_office and any(finding.queue == OFFICE for finding in state.findings)
        )

    def may_read_texts(self, state: ApprovalRequest) -> bool:
        """May read what the student and the approver wrote to each other."""
        return self.owns(state) or state.programme_id in self.programmes

    def requests(self) -> dict[str, Any]:
        """The same as `may_read`, as a query; nothing reached is a query that finds nothing."""
        reached: list[dict[str, Any]] = []
        if self.is_student:
            reached.append({"personId": self.person_id})
        if self.programmes:
            reached.append({"programmeId": {"$in": sorted(self.programmes)}})
        if self.is_office:
            reached.append({"findings.queue": OFFICE})
        if not reached:
            return {"_id": {"$in": []}}
        return reached[0] if len(reached) == 1 else {"$or": reached}


def reach(caller: Identity, programmes: frozenset[str]) -> Permissions:
    """What a verified caller reaches; `programmes` from the catalogue for the caller's approver scopes."""
    return Permissions(
        caller.person_id,
        caller.has("student"),
        caller.scopes("approver"),
        programmes,
        caller.has("international-office"),
    )
