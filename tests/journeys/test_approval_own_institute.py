"""A research project at an institute of the student's own choice: a reason, and a recorded discussion (R30)."""

import pytest

from tests.approval_service import MEDICINE, ApprovalService, blocked, findings, progress

pytestmark = pytest.mark.asyncio(loop_scope="session")

OWN = {"theme": "cardiovascular", "institute": "own_choice"}


async def test_own_choice_without_a_reason_is_told_to_write_one(approval_service: ApprovalService) -> None:
    """R30: the answer names the field, the rule and the contact; nothing is stored."""
    before = await approval_service.facts()

    found = blocked(await approval_service.tries(approval_service.student(), details=OWN))

    assert (found.status, found.rule, found.reason) == (400, "R30", "own_choice_without_reason")
    assert found.fields == ("body.instituteReason",)
    assert found.email == "intoff@lumc.nl"
    assert await approval_service.facts() == before


async def test_own_choice_with_reason_and_discussion_is_granted(approval_service: ApprovalService) -> None:
    """R30: the programme reads the reason, records the discussion with the supervisor, and grants."""
    student = approval_service.student()
    why = "Nobody else keeps these cells alive."
    asked = await approval_service.asks(student, details=OWN, instituteReason=why)
    approval_id = asked["approvalId"]
    assert findings(asked) == {("R30", "demanded")}

    too_early = blocked(await approval_service.grants(MEDICINE, approval_id))
    read = await approval_service.look(approval_id, MEDICINE)
    await approval_service.records(MEDICINE, approval_id, "supervisor_discussed", remark="The supervisor agrees.")
    await approval_service.granted(MEDICINE, approval_id)

    assert (too_early.rule, too_early.reason) == ("R30", "step_missing")
    assert read["instituteReason"] == why
    assert progress(await approval_service.look(approval_id, student)) == {
        "supervisor_discussed": "done",
        "decision": "done",
    }


async def test_own_choice_outside_the_themes_names_both_steps_together(approval_service: ApprovalService) -> None:
    """R30 and R31: the approver sees both missing steps at once."""
    asked = await approval_service.asks(
        approval_service.student(), details={"institute": "own_choice"}, instituteReason="Because."
    )

    found = blocked(await approval_service.grants(MEDICINE, asked["approvalId"]))

    assert found.fields == ("steps.supervisor_discussed", "steps.theme_approved")
