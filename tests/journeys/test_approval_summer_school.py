"""A summer or winter school: with credits the course coordinator is asked first, and the fees are one's own (R37)."""

import pytest

from tests.campus import Campus, approver, blocked, findings

pytestmark = pytest.mark.asyncio(loop_scope="session")

LAWYER = approver("example-law")
SCHOOL = {"activityType": "summer_or_winter_school", "country": "IT"}


async def test_school_with_credits_waits_for_the_course_coordinators_answer(campus: Campus) -> None:
    """R37: the answer is recorded first, a no stands in the way; that the student pays is shown."""
    asked = await campus.asks(campus.student(), "example-law", **SCHOOL, details={"credits": True})
    approval_id = asked["approvalId"]
    assert findings(asked) == {("R37", "demanded"), ("R37", "shown")}

    too_early = blocked(await campus.grants(LAWYER, approval_id))
    await campus.records(LAWYER, approval_id, "credits_asked", positive=False, remark="It does not count.")
    refused = blocked(await campus.grants(LAWYER, approval_id))
    await campus.records(LAWYER, approval_id, "credits_asked", remark="It counts for five credits after all.")
    await campus.granted(LAWYER, approval_id)

    assert (too_early.rule, too_early.reason) == ("R37", "step_missing")
    assert (refused.rule, refused.reason) == ("R37", "step_answered_no")


async def test_school_without_credits_shows_the_fees_and_asks_nothing(campus: Campus) -> None:
    """R37 demands nothing without credits."""
    asked = await campus.asks(campus.student(), "example-law", **SCHOOL, details={"credits": False})

    assert findings(asked) == {("R37", "shown")}
    assert "fees" in asked["findings"][0]["reasonText"]
    await campus.granted(LAWYER, asked["approvalId"])


async def test_school_that_does_not_say_is_asked(campus: Campus) -> None:
    """R37 cannot judge silence."""
    found = blocked(await campus.tries(campus.student(), "example-law", **SCHOOL))

    assert (found.status, found.rule, found.fields) == (400, "R37", ("body.details.credits",))
