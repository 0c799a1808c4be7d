"""I am abroad and wanted to cancel: the portal asked me to record my return, and nobody lost sight of me (R20)."""

from datetime import timedelta
from typing import Any

import pytest

from deploy.local.demo.people import Refused
from deploy.local.demo.world import Plan
from tests.full_stack import COUNTRIES, OFFICER, FullStack
from tests.journeys.registration_world import (
    FACULTY_CONTACT,
    SAFETY_OFFICER,
    STUDENT,
    Level,
    Portal,
    legs,
    today,
    voluntary,
)

KEPT = ("facultyId", "programmeId", "activityType", "legs", "answers", "contact", "language", "approvalId")


async def form(portal: Portal, registration_id: str, **other: Any) -> dict[str, Any]:
    """The registration as the student sends it again, with these changes."""
    seen = await portal.see(registration_id, STUDENT)
    return {**{name: seen[name] for name in KEPT}, **other}


async def returned(portal: Portal, registration_id: str) -> None:
    """The student records that they are back today."""
    body = {"on": today().isoformat(), "outcome": "returned"}
    await portal.done(STUDENT, "POST", f"/registrations/{registration_id}/return", body, etag="*")


@pytest.mark.parametrize("start", [0, -1, -30])
async def test_during_the_stay_a_return_is_recorded_and_nothing_is_cancelled(portal: Portal, start: int) -> None:
    """From the first day on, cleared or not: 409 with rule, reason, who helps and how; the return is the way."""
    registration_id = await portal.register(**voluntary(), legs=legs(start, 20))
    path = f"/registrations/{registration_id}"

    problem = await portal.refused(409, STUDENT, "POST", f"{path}/cancellation", etag="*")
    await returned(portal, registration_id)
    afterwards = await portal.refused(409, STUDENT, "POST", f"{path}/cancellation", etag="*")

    assert (problem["rule"], problem["reason"]) == ("R20", "stay_has_begun")
    assert "/return" in problem["detail"]
    assert problem["contact"]["email"]
    assert (afterwards["rule"], afterwards["reason"]) == ("R20", "return_is_recorded")
    assert (await portal.see(registration_id))["returned"]["outcome"] == "returned", "the journey is kept"


async def test_the_day_before_departure_it_can_still_be_cancelled(portal: Portal) -> None:
    """Nobody is there yet."""
    registration_id = await portal.register(**voluntary(), legs=legs(1, 20))

    answer = await portal.done(STUDENT, "POST", f"/registrations/{registration_id}/cancellation", etag="*")

    assert answer["status"] == "cancelled"


async def test_a_stay_that_has_begun_cannot_be_moved_away_by_a_change(portal: Portal) -> None:
    """Moved to next month: refused. After a return: the itinerary stays as it was, a new phone number does not."""
    registration_id = await portal.register(**voluntary(), legs=legs(-3, 20))
    path = f"/registrations/{registration_id}"

    ahead = await form(portal, registration_id, legs=legs(30, 50))
    problem = await portal.refused(409, STUDENT, "PUT", path, ahead, etag="*")
    await returned(portal, registration_id)
    longer = await form(portal, registration_id, legs=legs(-3, 40))
    afterwards = await portal.refused(409, STUDENT, "PUT", path, longer, etag="*")
    phone = await form(portal, registration_id, contact={**STUDENT.contact, "mobile": "+34612345678"})
    await portal.done(STUDENT, "PUT", path, phone, etag="*")

    assert (problem["rule"], problem["reason"]) == ("R20", "stay_moved_ahead")
    assert afterwards["reason"] == "return_is_recorded"
    assert (await portal.see(registration_id))["returned"]["outcome"] == "returned"


async def test_who_wants_to_leave_the_list_in_a_negative_area_is_asked_by_a_safety_officer(portal: Portal) -> None:
    """A recorded outcome had closed the task; trying to cancel opens one, and the recorded return closes it."""
    registration_id = await portal.register(**voluntary(), legs=legs(-3, 20))
    await portal.advise("ES", Level.RED)
    stays = {"on": today().isoformat(), "outcome": "stays", "remark": "Waits for a flight."}
    await portal.done(SAFETY_OFFICER, "POST", f"/registrations/{registration_id}/return", stays, etag="*")
    assert await portal.tasks(SAFETY_OFFICER, registration_id) == []

    for _ in range(2):  # the second click opens no second task
        await portal.call(STUDENT, "POST", f"/registrations/{registration_id}/cancellation", etag="*")
    asked = await portal.tasks(SAFETY_OFFICER, registration_id)
    await returned(portal, registration_id)

    assert [(task["rule"], task["reason"]) for task in asked] == [("R20", "asked_to_cancel")]
    assert await portal.tasks(SAFETY_OFFICER, registration_id) == []


@pytest.mark.parametrize("itinerary", [legs(-9, 20, "FR"), [*legs(-9, -2), *legs(-2, 20, "FR")]])
async def test_who_says_to_have_moved_out_of_a_negative_area_is_not_forgotten(
    portal: Portal, itinerary: list[dict[str, Any]]
) -> None:
    """The change counts at once, and the task stays with the safety officer until an outcome is recorded."""
    registration_id = await portal.register(**voluntary(), legs=legs(-9, 20))
    await portal.advise("ES", Level.RED)
    moved = await form(portal, registration_id, legs=itinerary)

    await portal.done(STUDENT, "PUT", f"/registrations/{registration_id}", moved, etag="*")
    await portal.advise("FR", Level.YELLOW)

    tasks = await portal.tasks(SAFETY_OFFICER, registration_id)
    assert [(task["rule"], task["reason"]) for task in tasks] == [("R20", "left_negative_area")]
    safe = {"on": today().isoformat(), "outcome": "elsewhere", "remark": "In France, called."}
    await portal.done(SAFETY_OFFICER, "POST", f"/registrations/{registration_id}/return", safe, etag="*")
    assert await portal.tasks(SAFETY_OFFICER, registration_id) == []


async def test_a_return_ends_what_waits_for_a_decision(portal: Portal) -> None:
    """Nobody decides about a journey that is over; the task of the contact person is closed."""
    registration_id = await portal.register(**voluntary(), legs=legs(-3, 20))
    await returned(portal, registration_id)

    assert await portal.tasks(FACULTY_CONTACT, registration_id) == []
    problem = await portal.cannot(409, FACULTY_CONTACT, registration_id, "approve")
    assert problem["reason"] == "nothing_to_decide"


async def test_who_tried_to_cancel_is_still_where_the_officer_looks(full_stack: FullStack) -> None:
    """Who-is-where shows the student after the refused cancellation, and no more after the recorded return."""
    country = next(COUNTRIES)
    student = full_stack.student(country, Plan.VOLUNTARY)
    registration_id = await full_stack.register(student)
    path, who = f"/v1/registrations/{registration_id}", {"who": student.subject, "roles": ("student",)}

    async def are_there() -> list[str]:
        where = f"/v1/whereabouts?country={country}"
        answer = await full_stack.retry(lambda people: people.call("GET", "notify", where, **OFFICER))
        return [entry["registrationId"] for entry in answer.body["items"]]

    async def post(what: str, body: Any = None) -> None:
        headers = {"If-Match": "*", "Idempotency-Key": f"{what}-{registration_id}"}
        await full_stack.retry(
            lambda people: people.call("POST", "registration", f"{path}/{what}", body=body, headers=headers, **who)
        )

    with pytest.raises(Refused, match="409"):
        await post("cancellation")
    await full_stack.wait_until_idle()
    assert await are_there() == [registration_id]

    await post("return", {"on": (today() - timedelta(days=1)).isoformat(), "outcome": "returned"})
    await full_stack.wait_until_idle()
    assert await are_there() == []
    await full_stack.check()
