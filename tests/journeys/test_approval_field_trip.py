"""A field trip of a whole group: everybody asks for themselves, and the coordinator finds them together."""

import pytest

from tests.campus import Campus, approver

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_group_is_found_together_and_decided_one_by_one(campus: Campus) -> None:
    """Five students, one trip: one filter shows the group, each has a decision of their own."""
    digger = approver("example-archaeology")
    students = [campus.student() for _ in range(5)]
    wish = {"activityType": "field_trip", "country": "GR", "details": {"groupId": "dig-2030"}}
    ids = [(await campus.asks(each, "example-archaeology", **wish))["approvalId"] for each in students]
    await campus.asks(campus.student(), "example-archaeology", activityType="field_trip", country="GR")

    queue = await campus.call("GET", "/approval-requests", digger, groupId="dig-2030", open="true")
    for approval_id in ids[:4]:
        await campus.granted(digger, approval_id)
    left = await campus.call("GET", "/approval-requests", digger, groupId="dig-2030", open="true")

    assert {each["approvalId"] for each in queue.json()["items"]} == set(ids)
    assert all(each["groupId"] == "dig-2030" for each in queue.json()["items"])
    assert [each["approvalId"] for each in left.json()["items"]] == ids[4:]
    assert (await campus.look(ids[0], students[0]))["status"] == "granted"
    own = await campus.call("GET", "/approval-requests", students[0])
    assert [each["approvalId"] for each in own.json()["items"]] == ids[:1]
