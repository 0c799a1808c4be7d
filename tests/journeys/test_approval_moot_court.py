"""A moot court: one of the eight activities, decided by the student's own programme before it starts (R3, R4, R5)."""

import pytest

from tests.approval_service import ApprovalService, Person, approver, blocked, findings, progress

pytestmark = pytest.mark.asyncio(loop_scope="session")

LAWYER = approver("example-law")
MOOT_COURT = {"activityType": "moot_court", "country": "AT"}


async def test_moot_court_is_granted_by_the_own_programme(approval_service: ApprovalService) -> None:
    """No other rule applies to it."""
    student = approval_service.student()

    asked = await approval_service.asks(student, "example-law", **MOOT_COURT)
    await approval_service.granted(LAWYER, asked["approvalId"])

    assert findings(asked) == set()
    assert progress(await approval_service.look(asked["approvalId"], student)) == {"decision": "done"}


async def test_moot_court_is_refused_with_a_reason_that_the_student_reads(approval_service: ApprovalService) -> None:
    """A refusal has its reason, and is final."""
    student = approval_service.student()
    asked = await approval_service.asks(student, "example-law", **MOOT_COURT)

    refusal = {"decision": "refuse", "reason": "The team is full."}
    assert (await approval_service.does(LAWYER, asked["approvalId"], "decisions", refusal)).status_code == 201
    again = blocked(await approval_service.grants(LAWYER, asked["approvalId"]))

    seen = await approval_service.look(asked["approvalId"], student)
    assert (seen["status"], seen["explanation"]) == ("refused", "The team is full.")
    assert (again.status, again.reason) == (409, "already_decided")


async def test_moot_court_is_not_decided_by_oneself(approval_service: ApprovalService) -> None:
    """R5: an approver's own request needs another approver."""
    both = Person("student-and-approver", ("student", "approver:example-law"))
    asked = await approval_service.asks(both, "example-law", **MOOT_COURT)

    found = blocked(await approval_service.grants(both, asked["approvalId"]))

    assert (found.status, found.rule, found.reason) == (403, "R5", "own_request")
    await approval_service.granted(LAWYER, asked["approvalId"])
