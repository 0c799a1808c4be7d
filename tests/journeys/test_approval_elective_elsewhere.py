"""An elective anywhere else: free choice, and not part of the curriculum (R36)."""

import pytest

from tests.approval_service import MEDICINE, ApprovalService, findings

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_elective_elsewhere_is_told_about_registration_and_granted(approval_service: ApprovalService) -> None:
    """R36: no step is demanded; the student reads that R1 decides whether to register."""
    student = approval_service.student()
    details = {"rotation": "elective"}

    asked = await approval_service.asks(student, activityType="clinical_clerkship", country="NP", details=details)

    assert findings(asked) == {("R36", "shown")}
    assert "you must register it" in asked["findings"][0]["reasonText"]
    await approval_service.granted(MEDICINE, asked["approvalId"])


async def test_elective_needs_no_cluster_and_is_told_so(approval_service: ApprovalService) -> None:
    """A detail that no rule asks for is refused by name, so that none is ignored."""
    details = {"rotation": "elective", "cluster": "surinam-surgery"}

    response = await approval_service.tries(
        approval_service.student(), activityType="clinical_clerkship", country="NP", details=details
    )

    assert [error["field"] for error in response.json()["errors"]] == ["body.details.cluster"]
