"""Requests with dates that an earlier version took: nobody grants them by mistake, and everything else still works."""

from datetime import date

import pytest

from tests.approval_service import ApprovalService, approver

LAW = approver("example-law")


@pytest.mark.asyncio(loop_scope="session")
async def test_request_until_9999_is_refused_and_never_granted(approval_service: ApprovalService) -> None:
    """The approver reads it, is told why it cannot be granted, and refuses it."""
    student = approval_service.student()
    approval_id = (await approval_service.asks(student, "example-law", activityType="moot_court"))["approvalId"]
    until = {"endDate": date.max.isoformat()}
    await approval_service.database["requests"].update_one({"_id": approval_id}, {"$set": until})

    shown = await approval_service.look(approval_id, LAW)
    granted = await approval_service.grants(LAW, approval_id)
    listed = await approval_service.call("GET", "/approval-requests", LAW)
    refused = await approval_service.does(
        LAW, approval_id, "decisions", {"decision": "refuse", "reason": "Please ask again."}
    )

    assert shown["endDate"] == "9999-12-31"
    assert (granted.status_code, granted.json()["reason"]) == (409, "dates_not_plausible")
    assert listed.status_code == 200
    assert refused.status_code == 201
