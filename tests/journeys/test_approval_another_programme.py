"""A student of another programme with a research project at LUMC: to the own programme's coordinator (R29)."""

import pytest

from tests.approval_service import BIOMEDICAL, ApprovalService, approver, blocked, findings

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_another_programmes_student_goes_to_their_own_coordinator(approval_service: ApprovalService) -> None:
    """R29: accepted and routed to the own programme with its contact; LUMC's themes are not asked."""
    student, own = approval_service.student(), approver("example-mathematics")
    asked = await approval_service.asks(student, "example-mathematics", details={"researchAt": "lumc"})
    approval_id = asked["approvalId"]
    assert findings(asked) == {("R29", "routed")}
    assert asked["findings"][0]["contact"]["email"] == "international-office@university.example"

    not_theirs = await approval_service.grants(BIOMEDICAL, approval_id)
    await approval_service.granted(own, approval_id)

    assert not_theirs.status_code == 404
    assert (await approval_service.look(approval_id, student))["status"] == "granted"


async def test_project_at_a_faculty_that_has_none_is_named(approval_service: ApprovalService) -> None:
    """Law has no research projects in the catalogue."""
    found = blocked(
        await approval_service.tries(approval_service.student(), "example-mathematics", details={"researchAt": "law"})
    )

    assert (found.status, found.fields) == (400, ("body.details.researchAt",))
