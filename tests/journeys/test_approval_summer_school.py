"""A summer or winter school: with credits the course coordinator is asked first; the student pays the fees (R37)."""

import pytest

from tests.approval_service import ApprovalService, approver, blocked, findings

pytestmark = pytest.mark.asyncio(loop_scope="session")

LAWYER = approver("example-law")
LASTS = {"startDate": "2033-02-01", "endDate": "2033-02-20"}
SCHOOL = {"activityType": "summer_or_winter_school", "country": "AT", **LASTS}
NAMED = {"school": "example-winter-school-2033"}


async def test_school_with_credits_waits_for_the_course_coordinators_answer(approval_service: ApprovalService) -> None:
    """R37: the coordinator's answer is recorded first; a negative one blocks; the fees are shown."""
    details = {**NAMED, "credits": True}
    asked = await approval_service.asks(approval_service.student(), "example-law", **SCHOOL, details=details)
    approval_id = asked["approvalId"]
    assert findings(asked) == {("R37", "demanded"), ("R37", "shown")}

    too_early = blocked(await approval_service.grants(LAWYER, approval_id))
    await approval_service.records(LAWYER, approval_id, "credits_asked", positive=False, remark="It does not count.")
    refused = blocked(await approval_service.grants(LAWYER, approval_id))
    await approval_service.records(LAWYER, approval_id, "credits_asked", remark="It counts for five credits after all.")
    await approval_service.granted(LAWYER, approval_id)

    assert (too_early.rule, too_early.reason) == ("R37", "step_missing")
    assert (refused.rule, refused.reason) == ("R37", "step_answered_no")


async def test_school_without_credits_shows_the_fees_and_asks_nothing(approval_service: ApprovalService) -> None:
    """R37 demands no step without credits."""
    details = {**NAMED, "credits": False}
    asked = await approval_service.asks(approval_service.student(), "example-law", **SCHOOL, details=details)

    assert findings(asked) == {("R37", "shown")}
    assert "fees" in asked["findings"][0]["reasonText"]
    await approval_service.granted(LAWYER, asked["approvalId"])


async def test_school_that_does_not_say_is_asked(approval_service: ApprovalService) -> None:
    """R37: a request without `credits` is incomplete."""
    found = blocked(await approval_service.tries(approval_service.student(), "example-law", **SCHOOL, details=NAMED))

    assert (found.status, found.rule, found.fields) == (400, "R37", ("body.details.credits",))
