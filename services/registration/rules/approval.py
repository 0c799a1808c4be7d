"""R2: does the approval that the student named cover this journey? Source: Leiden, "After gaining approval"."""

from dataclasses import dataclass
from enum import StrEnum

from services.registration.model import Registration
from services.registration.read_models import Approval, ApprovalStatus
from shared.clock import days_later
from shared.events import LegKind

#: Proposal: before and after the approved period the student may travel through other places for this long.
TRAVEL_DAYS = 3


class Reason(StrEnum):
    """Whether the approval covers the journey, and if not, why."""

    NOT_NEEDED = "approval_not_needed"
    GRANTED = "approval_granted"
    MISSING = "approval_missing"
    PENDING = "approval_pending"
    REFUSED = "approval_refused"
    WITHDRAWN = "approval_withdrawn"
    REVOKED = "approval_revoked"
    OTHER_ACTIVITY = "approval_for_another_activity"
    OTHER_COUNTRY = "approval_for_another_country"
    OTHER_DATES = "approval_for_other_dates"


@dataclass(frozen=True, slots=True)
class Standing:
    """The decision."""

    reason: Reason

    @property
    def permits(self) -> bool:
        """R2 is satisfied, or R11 asks for no approval."""
        return self.reason in (Reason.GRANTED, Reason.NOT_NEEDED)


def approval_standing(registration: Registration, approval: Approval | None) -> Standing:
    """R2, R11: granted, to the same person, for the same activity, country and days; never guessed.

    An approval of another person is MISSING, as one that does not exist: a different answer would tell whoever tries
    ids which ones exist. Every stay is in the approved country and within the approved days; places travelled through
    may be up to TRAVEL_DAYS before and after.
    """
    if not registration.study_related:
        return Standing(Reason.NOT_NEEDED)
    named, owner = registration.approval_id, registration.person_id
    if approval is None or (approval.approval_id, approval.person_id) != (named, owner):
        return Standing(Reason.MISSING)
    if approval.status is not ApprovalStatus.GRANTED:
        return Standing(_NOT_GRANTED[approval.status])
    activity = (registration.faculty_id, registration.programme_id, registration.activity_type)
    if activity != (approval.faculty_id, approval.programme_id, approval.activity_type):
        return Standing(Reason.OTHER_ACTIVITY)
    if {leg.country for leg in registration.legs if leg.kind is LegKind.STAY} != {approval.country}:
        return Standing(Reason.OTHER_COUNTRY)
    return Standing(Reason.GRANTED if _within(registration, approval) else Reason.OTHER_DATES)


_NOT_GRANTED = {
    ApprovalStatus.PENDING: Reason.PENDING,
    ApprovalStatus.REFUSED: Reason.REFUSED,
    ApprovalStatus.WITHDRAWN: Reason.WITHDRAWN,
    ApprovalStatus.REVOKED: Reason.REVOKED,
}


def _within(registration: Registration, approval: Approval) -> bool:
    if approval.start_date is None or approval.end_date is None:
        return False
    for leg in registration.legs:
        margin = TRAVEL_DAYS if leg.kind is LegKind.THROUGH else 0
        if leg.start_date < days_later(approval.start_date, -margin):
            return False
        if leg.end_date > days_later(approval.end_date, margin):
            return False
    return True
