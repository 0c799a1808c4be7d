"""A regular clinical rotation abroad: Medicine students only, and the coordinator confirms the criteria (R33)."""

import pytest

from tests.approval_service import MEDICINE, OFFICE, ApprovalService, approver, blocked, findings

pytestmark = pytest.mark.asyncio(loop_scope="session")

ROTATION = {"activityType": "clinical_clerkship", "country": "BE", "details": {"rotation": "regular"}}


async def test_rotation_is_granted_once_the_criteria_are_confirmed(approval_service: ApprovalService) -> None:
    """R33: the coordinator confirms that it meets all criteria of a regular internship, with a remark."""
    student = approval_service.student()
    asked = await approval_service.asks(student, **ROTATION)
    assert findings(asked) == {("R33", "demanded")}

    too_early = blocked(await approval_service.grants(MEDICINE, asked["approvalId"]))
    await approval_service.records(MEDICINE, asked["approvalId"], "criteria_confirmed", remark="It meets all criteria.")
    await approval_service.granted(MEDICINE, asked["approvalId"])

    assert (too_early.rule, too_early.reason, too_early.fields) == (
        "R33",
        "step_missing",
        ("steps.criteria_confirmed",),
    )


async def test_rotation_of_another_programmes_student_is_blocked(approval_service: ApprovalService) -> None:
    """R33: the answer names rule, reason and contact; nothing is stored."""
    before = await approval_service.facts()

    found = blocked(await approval_service.tries(approval_service.student(), "lumc-pharmacy", **ROTATION))

    assert (found.status, found.rule, found.reason) == (409, "R33", "not_a_medicine_student")
    assert found.email == "intoff@lumc.nl"
    assert await approval_service.facts() == before


async def test_criteria_are_not_for_others_to_confirm(approval_service: ApprovalService) -> None:
    """R33: not the student, not another programme's coordinator, not the International Office."""
    student = approval_service.student()
    asked = await approval_service.asks(student, **ROTATION)
    body = {"step": "criteria_confirmed", "positive": True}

    for person in (student, approver("lumc-pharmacy"), OFFICE):
        response = await approval_service.does(person, asked["approvalId"], "steps", body)
        assert response.status_code in (403, 404)

    assert blocked(await approval_service.grants(MEDICINE, asked["approvalId"])).rule == "R33"
