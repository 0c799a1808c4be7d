"""A field trip of a group: each student asks for approval, and the coordinator finds the requests together."""

import pytest

from tests.approval_service import ApprovalService, approver

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_group_is_found_together_and_decided_one_by_one(approval_service: ApprovalService) -> None:
    """Five students, one trip: one filter shows the group, each has a decision of their own."""
    digger = approver("example-archaeology")
    students = [approval_service.student() for _ in range(5)]
    wish = {"activityType": "field_trip", "country": "GR", "details": {"groupId": "dig-2030"}}
    ids = [(await approval_service.asks(student, "example-archaeology", **wish))["approvalId"] for student in students]
    await approval_service.asks(
        approval_service.student(), "example-archaeology", activityType="field_trip", country="GR"
    )

    queue = await approval_service.call("GET", "/approval-requests", digger, groupId="dig-2030", open="true")
    for approval_id in ids[:4]:
        await approval_service.granted(digger, approval_id)
    left = await approval_service.call("GET", "/approval-requests", digger, groupId="dig-2030", open="true")

    assert {item["approvalId"] for item in queue.json()["items"]} == set(ids)
    assert all(item["groupId"] == "dig-2030" for item in queue.json()["items"])
    assert [item["approvalId"] for item in left.json()["items"]] == ids[4:]
    assert (await approval_service.look(ids[0], students[0]))["status"] == "granted"
    own = await approval_service.call("GET", "/approval-requests", students[0])
    assert [item["approvalId"] for item in own.json()["items"]] == ids[:1]
