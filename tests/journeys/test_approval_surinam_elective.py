"""An elective in Surinam: contact the LUMC International Office first (R35)."""

import pytest

from tests.approval_service import MEDICINE, OFFICE, ApprovalService, blocked, findings, progress

pytestmark = pytest.mark.asyncio(loop_scope="session")

ELECTIVE = {"activityType": "clinical_clerkship", "country": "SR", "details": {"rotation": "elective"}}


async def test_elective_in_surinam_waits_for_the_international_office(approval_service: ApprovalService) -> None:
    """R35: no grant before the office recorded the contact; the coordinator cannot record it."""
    student = approval_service.student()
    asked = await approval_service.asks(student, **ELECTIVE)
    approval_id = asked["approvalId"]
    assert findings(asked) == {("R35", "demanded")}
    assert asked["findings"][0]["contact"]["email"] == "intoff@lumc.nl"

    too_early = blocked(await approval_service.grants(MEDICINE, approval_id))
    step = {"step": "international_office_contacted", "positive": True}
    not_theirs = blocked(await approval_service.does(MEDICINE, approval_id, "steps", step))
    await approval_service.records(OFFICE, approval_id, "international_office_contacted", remark="Called on Monday.")
    await approval_service.granted(MEDICINE, approval_id)

    assert (too_early.status, too_early.rule, too_early.email) == (409, "R35", "intoff@lumc.nl")
    assert (not_theirs.status, not_theirs.rule, not_theirs.reason) == (403, "R35", "wrong_role")
    assert not_theirs.email == "intoff@lumc.nl"
    seen = await approval_service.look(approval_id, student)
    assert progress(seen) == {"international_office_contacted": "done", "decision": "done"}
    assert seen["progress"][0]["by"] == await approval_service.person_id(OFFICE)


async def test_office_sees_the_step_and_not_the_words(approval_service: ApprovalService) -> None:
    """The office may not read what student and programme write to each other."""
    asked = await approval_service.asks(approval_service.student(), **ELECTIVE, description="Words for my programme.")

    seen = await approval_service.look(asked["approvalId"], OFFICE)

    assert (seen["description"], seen["waitsFor"]) == (None, "international_office_contacted")
