"""A trip of a study association: one of the eight activities, decided by the student's own programme (R3, R5)."""

import pytest

from tests.approval_service import ApprovalService, approver, blocked, findings

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_trip_is_returned_with_a_question_answered_and_granted(approval_service: ApprovalService) -> None:
    """The student always sees who has the request; the answer brings it back to the coordinator."""
    student, linguist = approval_service.student(), approver("example-languages")
    asked = await approval_service.asks(
        student, "example-languages", activityType="study_association_trip", country="CZ"
    )
    approval_id = asked["approvalId"]
    assert findings(asked) == set()

    question = {"decision": "return", "reason": "Who leads the trip?"}
    assert (await approval_service.does(linguist, approval_id, "decisions", question)).status_code == 201
    returned = await approval_service.look(approval_id, student)
    assert (
        await approval_service.does(student, approval_id, "answers", {"answer": "The board of ours."})
    ).status_code == 201
    answered = await approval_service.look(approval_id, linguist)
    await approval_service.granted(linguist, approval_id)

    assert (returned["status"], returned["waitsFor"], returned["explanation"]) == (
        "returned", "answer", "Who leads the trip?",
    )  # fmt: skip
    assert [(line["what"], line["queue"]) for line in returned["progress"]] == [
        ("answer", "student"), ("decision", "coordinator"),
    ]  # fmt: skip
    assert (answered["status"], answered["answer"]) == ("requested", "The board of ours.")
    assert answered["progress"][-1]["since"] > returned["requestedAt"]


async def test_nothing_asked_nothing_answered(approval_service: ApprovalService) -> None:
    """An answer without a question is refused."""
    student = approval_service.student()
    asked = await approval_service.asks(
        student, "example-languages", activityType="study_association_trip", country="CZ"
    )

    found = blocked(await approval_service.does(student, asked["approvalId"], "answers", {"answer": "Yes."}))

    assert (found.status, found.reason) == (409, "nothing_asked")
