"""Registered before or after the approval, and the approval withdrawn: the order does not matter (R2)."""

from tests.journeys.registration_world import APPROVER, STUDENT, Portal, legs


async def test_registered_first_is_held_and_approved_when_the_approval_arrives(portal: Portal) -> None:
    """Held, never dropped, and evaluated again when the approval arrives."""
    registration_id = await portal.register(approvalId="approval-1")
    assert (await portal.see(registration_id))["status"] == "held"

    await portal.grant("approval-1")

    found = await portal.see(registration_id)
    assert found["status"] == "approved"
    assert [step["what"] for step in found["history"]] == [
        "RegistrationSubmitted", "RegistrationHeld", "RegistrationApproved"
    ]  # fmt: skip


async def test_approval_linked_later_by_the_student(portal: Portal) -> None:
    """The student names the approval later."""
    registration_id = await portal.register()
    await portal.grant("approval-1")
    assert (await portal.see(registration_id))["status"] == "held"
    response = await portal.call(STUDENT, "GET", f"/registrations/{registration_id}")
    seen = response.json()
    known = ("facultyId", "programmeId", "activityType", "legs", "answers", "contact", "language")

    answer = await portal.done(
        STUDENT, "PUT", f"/registrations/{registration_id}",
        {**{name: seen[name] for name in known}, "approvalId": "approval-1"}, etag=response.headers["etag"],
    )  # fmt: skip

    assert answer["status"] == "approved"


async def test_approval_withdrawn_after_the_clearance_takes_it_away(portal: Portal) -> None:
    """The clearance is suspended, the coordinator gets a task, and a new approval alone restores nothing (R2, R21)."""
    await portal.grant("approval-1")
    registration_id = await portal.register(approvalId="approval-1")

    await portal.withdraw("approval-1")

    found = await portal.see(registration_id)
    assert (found["status"], found["clearance"]["rule"]) == ("suspended", "R2")
    assert found["clearance"]["reason"] == "approval_withdrawn"
    assert found["history"][-2]["what"] == "ClearanceSuspended"
    assert [task["rule"] for task in await portal.tasks(APPROVER, registration_id)] == ["R2"]
    problem = await portal.cannot(409, APPROVER, registration_id, "restore")
    assert (problem["rule"], problem["reason"]) == ("R2", "approval_withdrawn")

    await portal.grant("approval-2")
    body = {"approvalId": "approval-2"}
    await _change(portal, registration_id, body)
    found = await portal.see(registration_id)
    assert (found["status"], found["clearance"]["rule"]) == ("routed", "R21")
    assert (await portal.decide(APPROVER, registration_id, "approve"))["status"] == "approved"


async def test_dates_beyond_what_was_approved_are_routed(portal: Portal) -> None:
    """A stay that is a week longer than the approval is routed."""
    await portal.grant("approval-1")

    registration_id = await portal.register(approvalId="approval-1", legs=legs(60, 127))

    assert (await portal.see(registration_id))["clearance"]["reason"] == "approval_for_other_dates"


async def _change(portal: Portal, registration_id: str, other: dict[str, object]) -> None:
    response = await portal.call(STUDENT, "GET", f"/registrations/{registration_id}")
    seen = response.json()
    known = ("facultyId", "programmeId", "activityType", "legs", "answers", "contact", "language", "approvalId")
    body = {**{name: seen[name] for name in known}, **other}
    await portal.done(STUDENT, "PUT", f"/registrations/{registration_id}", body, etag=response.headers["etag"])
