"""Who may read, record and decide what: the one place for checks on single requests and on lists.

For a request that the caller may not read the answer is 404, because a 403 would confirm that the id is used.
"""

from dataclasses import dataclass
from typing import Any

from services.approval.model import ApprovalRequest
from shared.catalogue import Catalogue
from shared.web.identity import Identity

READERS = ("student", "approver", "international-office")
DECIDERS = ("student", "approver")
RECORDERS = ("approver", "international-office")
OFFICE = "international-office"


@dataclass(frozen=True, slots=True)
class Permissions:
    """What one caller may do. `scopes`: their approver scopes; `programmes`: the programmes those stand for (R5)."""

    person_id: str
    is_student: bool
    scopes: frozenset[str]
    programmes: frozenset[str]
    is_office: bool = False
    #: The programmes of the catalogue: the International Office sees the requests of those that are gone.
    known_programmes: frozenset[str] | None = None

    def owns(self, state: ApprovalRequest) -> bool:
        """Whether the request is the student's own, which they may answer and withdraw."""
        return self.is_student and state.person_id == self.person_id

    def may_read(self, state: ApprovalRequest) -> bool:
        """Whether they may read it and its history.

        The International Office: if a rule gives it a part (R34, R35), or the programme is gone from the catalogue.
        """
        if self.may_read_texts(state):
            return True
        is_gone = self.known_programmes is not None and state.programme_id not in self.known_programmes
        return self.is_office and (is_gone or any(finding.queue == OFFICE for finding in state.findings))

    def may_read_texts(self, state: ApprovalRequest) -> bool:
        """Whether they may read what the student and the approver wrote to each other."""
        return self.owns(state) or state.programme_id in self.programmes

    def query(self) -> dict[str, Any]:
        """`may_read` as a MongoDB query. With no permission at all it finds nothing."""
        readable: list[dict[str, Any]] = []
        if self.is_student:
            readable.append({"personId": self.person_id})
        if self.programmes:
            readable.append({"programmeId": {"$in": sorted(self.programmes)}})
        if self.is_office:
            readable.append({"findings.queue": OFFICE})
            if self.known_programmes is not None:
                readable.append({"programmeId": {"$nin": sorted(self.known_programmes)}})
        if not readable:
            return {"_id": {"$in": []}}
        return readable[0] if len(readable) == 1 else {"$or": readable}


def permissions_of(caller: Identity, catalogue: Catalogue) -> Permissions:
    """The permissions of a verified caller. The catalogue says which programmes an approver scope stands for."""
    is_office = caller.has("international-office")
    return Permissions(
        caller.person_id,
        caller.has("student"),
        caller.scopes("approver"),
        catalogue.programmes_of(caller.scopes("approver")),
        is_office,
        catalogue.programme_ids if is_office else None,
    )
