"""I stay longer, or move on, and the portal takes it calmly: staff look only at the new part (R8)."""

from typing import Any

import pytest

from tests.journeys.registration_world import (
    APPROVER,
    FACULTY_CONTACT,
    SAFETY_OFFICER,
    STUDENT,
    Level,
    Portal,
    legs,
    voluntary,
)

KEPT = ("facultyId", "programmeId", "activityType", "legs", "answers", "contact", "language", "approvalId")


async def abroad(portal: Portal) -> str:
    """A student who is abroad and cleared."""
    registration_id = await portal.register(**voluntary(), legs=legs(-3, 20))
    await portal.decide(FACULTY_CONTACT, registration_id, "approve")
    return registration_id


async def change(portal: Portal, registration_id: str, itinerary: list[dict[str, Any]]) -> dict[str, Any]:
    """The student changes the itinerary."""
    seen = await portal.see(registration_id, STUDENT)
    body = {**{name: seen[name] for name in KEPT}, "legs": itinerary}
    answer: dict[str, Any] = await portal.done(
        STUDENT, "PUT", f"/registrations/{registration_id}", body, etag="*", headers={"Accept-Language": "en"}
    )
    return answer


@pytest.mark.parametrize("itinerary", [legs(-3, 40), [*legs(-3, 10), *legs(10, 30, "FR")]])
async def test_staying_longer_or_moving_on_is_accepted_and_only_what_is_new_is_routed(
    portal: Portal, itinerary: list[dict[str, Any]]
) -> None:
    """The answer does not say "you have already left"; the contact person decides, and all is well again."""
    registration_id = await abroad(portal)

    answer = await change(portal, registration_id, itinerary)
    lines = (await portal.checklist(registration_id, language="en"))["lines"]
    (task,) = await portal.tasks(FACULTY_CONTACT, registration_id)
    approved = await portal.decide(FACULTY_CONTACT, registration_id, "approve")

    assert (answer["status"], answer["clearance"]["reason"]) == ("routed", "extended_during_stay")
    assert (task["rule"], task["reason"]) == ("R8", "extended_during_stay")
    assert not [line for line in lines if "already left" in line["reasonText"]]
    assert approved["status"] == "approved"
    assert {state for state, _ in (await portal.lines(registration_id)).values()} <= {"done", "todo"}


async def test_coming_home_earlier_needs_nobody(portal: Portal) -> None:
    """Nothing is new: the clearance stands, and nobody gets a task."""
    registration_id = await abroad(portal)

    answer = await change(portal, registration_id, legs(-3, 5))

    assert (answer["status"], answer["clearance"]["reason"]) == ("approved", "approved_by_person")
    assert await portal.tasks(FACULTY_CONTACT, registration_id) == []


async def test_moving_on_from_a_country_that_turned_red_is_decided_on_the_new_place(portal: Portal) -> None:
    """The red place that was cleared, and the days that are over, stand in nobody's way."""
    registration_id = await abroad(portal)
    await portal.advise("ES", Level.RED)

    answer = await change(portal, registration_id, [*legs(-3, 0), *legs(0, 20, "FR")])

    assert answer["clearance"]["reason"] == "extended_during_stay"
    assert (await portal.decide(FACULTY_CONTACT, registration_id, "approve"))["status"] == "approved"


async def test_moving_on_into_a_red_country_is_cleared_by_nobody(portal: Portal) -> None:
    """It counts at once, and the contact person cannot clear it (R13)."""
    await portal.advise("FR", Level.RED)
    registration_id = await abroad(portal)

    answer = await change(portal, registration_id, [*legs(-3, 10), *legs(10, 30, "FR")])

    assert answer["clearance"]["reason"] == "extended_during_stay"
    assert (await portal.cannot(409, FACULTY_CONTACT, registration_id, "approve"))["rule"] == "R13"
    assert (await portal.see(registration_id))["legs"][1]["country"] == "FR"


async def test_longer_than_the_approval_is_for_the_coordinator_as_well(portal: Portal) -> None:
    """R2 asks the programme about the days that it has not approved; both decide, and the student is cleared."""
    await portal.grant("approval-1", days=(-3, 20))
    registration_id = await portal.register(approvalId="approval-1", legs=legs(-3, 20))
    await portal.decide(FACULTY_CONTACT, registration_id, "approve")

    await change(portal, registration_id, legs(-3, 30))
    tasks = [*await portal.tasks(FACULTY_CONTACT, registration_id), *await portal.tasks(APPROVER, registration_id)]
    await portal.decide(FACULTY_CONTACT, registration_id, "approve")
    approved = await portal.decide(APPROVER, registration_id, "approve")

    assert sorted((task["rule"], task["reason"]) for task in tasks) == [
        ("R2", "approval_for_other_dates"),
        ("R8", "extended_during_stay"),
    ]
    assert approved["status"] == "approved"
    assert await portal.tasks(SAFETY_OFFICER, registration_id) == []
