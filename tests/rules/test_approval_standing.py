"""R2: registered before or after, the approval is the one that the student named, and it covers the journey."""

from datetime import UTC, date, datetime, timedelta

import pytest

from services.registration.model import Registration
from services.registration.read_models import Approval, ApprovalStatus, evolve_approval
from services.registration.rules.approval import Reason, approval_standing
from shared.events import (
    ActivityType,
    ApprovalGranted,
    ApprovalRefused,
    ApprovalRequested,
    ApprovalReturned,
    ApprovalRevoked,
    ApprovalWithdrawn,
    LegKind,
)
from tests.rules.registration_world import DEPARTURE, RETURN, STUDENT, approval, leg, registration

DAY = timedelta(days=1)
NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
FLIGHT = leg("PT", DEPARTURE - 2 * DAY, DEPARTURE - DAY, LegKind.THROUGH)


@pytest.mark.parametrize(
    ("asked", "known", "reason"),
    [
        (registration(), approval(), Reason.GRANTED),
        (registration(study=False, approval_id=None), None, Reason.NOT_NEEDED),
        (registration(), None, Reason.MISSING),
        (registration(approval_id=None), approval(), Reason.MISSING),
        (registration(approval_id="approval-2"), approval(), Reason.MISSING),
        (registration(), approval(ApprovalStatus.PENDING), Reason.PENDING),
        (registration(), approval(ApprovalStatus.REFUSED), Reason.REFUSED),
        (registration(), approval(ApprovalStatus.WITHDRAWN), Reason.WITHDRAWN),
        (registration(), approval(person_id="student-0002"), Reason.MISSING),
        (registration(), approval(activity_type=ActivityType.MOOT_COURT), Reason.OTHER_ACTIVITY),
        (registration(), approval(programme_id="example-physics"), Reason.OTHER_ACTIVITY),
        (registration(), approval(country="FR"), Reason.OTHER_COUNTRY),
        (registration(), approval(start_date=DEPARTURE + DAY), Reason.OTHER_DATES),
        (registration(), approval(end_date=RETURN - DAY), Reason.OTHER_DATES),
        (registration(), approval(start_date=None), Reason.OTHER_DATES),
        (registration(), approval(start_date=DEPARTURE - 9 * DAY), Reason.GRANTED),
        (registration(leg(), leg("FR", RETURN, RETURN + DAY)), approval(), Reason.OTHER_COUNTRY),
        (registration(FLIGHT, leg()), approval(), Reason.GRANTED),
        (registration(FLIGHT, leg()), approval(start_date=DEPARTURE + DAY), Reason.OTHER_DATES),
        (registration(FLIGHT, leg()), approval(end_date=RETURN), Reason.GRANTED),
        (registration(leg(kind=LegKind.THROUGH)), approval(), Reason.OTHER_COUNTRY),
    ],
)
def test_approval_standing_table(asked: Registration, known: Approval | None, reason: Reason) -> None:
    """Only a granted approval of the same person, activity, country and days permits."""
    found = approval_standing(asked, known)

    assert found.reason is reason
    assert found.permits == (reason in (Reason.GRANTED, Reason.NOT_NEEDED))


def test_approval_travelled_through_too_early_differs() -> None:
    """Travelling through is allowed three days around the approved period, not for weeks."""
    early = leg("PT", DEPARTURE - 4 * DAY, DEPARTURE - DAY, LegKind.THROUGH)

    assert approval_standing(registration(early, leg()), approval()).reason is Reason.OTHER_DATES


def test_approval_folds_its_events() -> None:
    """Requested, granted, withdrawn: the newest fact is what counts."""
    facts = {
        "person_id": STUDENT, "approval_id": "a", "faculty_id": "f", "programme_id": "p", "country": "ES",
        "activity_type": ActivityType.INTERNSHIP, "start_date": date(2026, 5, 1), "end_date": date(2026, 6, 1),
        "catalogue_version": "0" * 12,
    }  # fmt: skip
    requested = evolve_approval(None, ApprovalRequested.model_validate({**facts, "contact": "sealed:v1:a:b:c"}), NOW)
    granted = evolve_approval(requested, ApprovalGranted.model_validate({**facts, "decided_by": "officer"}), NOW)
    withdrawn = evolve_approval(
        granted, ApprovalWithdrawn(approval_id="a", person_id=STUDENT, withdrawn_by=STUDENT), NOW
    )

    assert [state.status.value for state in (requested, granted, withdrawn)] == ["pending", "granted", "withdrawn"]
    assert (granted.country, granted.granted_at) == ("ES", NOW)
    decided = {"approval_id": "a", "person_id": STUDENT, "decided_by": "officer", "catalogue_version": "0"}
    revoked = evolve_approval(granted, ApprovalRevoked(**decided, reason="sealed:v1:x"), NOW)
    returned = evolve_approval(granted, ApprovalReturned(**decided, question="sealed:v1:x"), NOW)
    assert [state.status.value for state in (revoked, returned)] == ["revoked", "pending"], "neither holds any more"
    assert granted.contact == "sealed:v1:a:b:c", "who it is, for who reminds them to register"


def test_approval_refusal_without_a_former_fact_grants_nothing() -> None:
    """A stream that is seen from its middle on never turns into a yes."""
    refusal = ApprovalRefused(
        approval_id="a", person_id=STUDENT, decided_by="x", reason="sealed:v1:x", catalogue_version="0"
    )

    assert evolve_approval(None, refusal, NOW).status is ApprovalStatus.REFUSED
