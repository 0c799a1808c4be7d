"""A trip of a study association: one of the eight activities, decided by the student's own programme (R3, R5)."""

import pytest

from tests.campus import Campus, approver, blocked, findings

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_trip_is_returned_with_a_question_answered_and_granted(campus: Campus) -> None:
    """The student sees who has it at every moment; the answer brings it back to the coordinator."""
    student, linguist = campus.student(), approver("example-languages")
    asked = await campus.asks(student, "example-languages", activityType="study_association_trip", country="CZ")
    approval_id = asked["approvalId"]
    assert findings(asked) == set()

    question = {"decision": "return", "reason": "Who leads the trip?"}
    assert (await campus.does(linguist, approval_id, "decisions", question)).status_code == 201
    returned = await campus.look(approval_id, student)
    assert (await campus.does(student, approval_id, "answers", {"answer": "The board of ours."})).status_code == 201
    answered = await campus.look(approval_id, linguist)
    await campus.granted(linguist, approval_id)

    assert (returned["status"], returned["waitsFor"], returned["explanation"]) == (
        "returned", "answer", "Who leads the trip?",
    )  # fmt: skip
    assert [(each["what"], each["queue"]) for each in returned["progress"]] == [
        ("answer", "student"), ("decision", "coordinator"),
    ]  # fmt: skip
    assert (answered["status"], answered["answer"]) == ("requested", "The board of ours.")
    assert answered["progress"][-1]["since"] > returned["requestedAt"]


async def test_nothing_asked_nothing_answered(campus: Campus) -> None:
    """An answer to no question changes nothing."""
    student = campus.student()
    asked = await campus.asks(student, "example-languages", activityType="study_association_trip", country="CZ")

    found = blocked(await campus.does(student, asked["approvalId"], "answers", {"answer": "Yes."}))

    assert (found.status, found.reason) == (409, "nothing_asked")
