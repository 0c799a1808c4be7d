"""Plans change: other dates, another destination, an earlier or later return, a cancellation. Each is evaluated."""

from datetime import timedelta
from typing import Any

import pytest

from tests.journeys.registration_world import (
    FACULTY_CONTACT,
    STUDENT,
    Level,
    Portal,
    legs,
    today,
    voluntary,
)


async def changed(portal: Portal, registration_id: str, status: int = 200, **other: Any) -> dict[str, Any]:
    """The student replaces the registration, with these changes."""
    response = await portal.call(STUDENT, "GET", f"/registrations/{registration_id}")
    seen = response.json()
    known = ("facultyId", "programmeId", "activityType", "legs", "answers", "contact", "language", "approvalId")
    body = {**{name: seen[name] for name in known}, **other}
    path = f"/registrations/{registration_id}"
    if status >= 400:
        return await portal.refused(status, STUDENT, "PUT", path, body, etag=response.headers["etag"])
    found: dict[str, Any] = await portal.done(STUDENT, "PUT", path, body, etag=response.headers["etag"])
    return found


async def test_change_of_destination_is_judged_anew(portal: Portal) -> None:
    """To an orange country: refused; back to a green one: approved again, because nothing was suspended."""
    await portal.advise("FR", Level.ORANGE)
    registration_id = await portal.register(**voluntary())

    negative = await changed(portal, registration_id, legs=legs(60, 120, "FR"))
    positive = await changed(portal, registration_id, legs=legs(60, 120, "PT"))

    assert (negative["status"], negative["clearance"]["rule"]) == ("refused", "R13")
    assert positive["status"] == "approved"


async def test_change_of_dates_counts_as_handed_in_now(portal: Portal) -> None:
    """Leaving earlier, within two weeks: routed (R7); the task is closed when the plan is changed back."""
    registration_id = await portal.register(**voluntary())

    sooner = await changed(portal, registration_id, legs=legs(5, 120))
    assert (sooner["status"], sooner["clearance"]["rule"]) == ("routed", "R7")
    assert await portal.tasks(FACULTY_CONTACT, registration_id)
    assert (await portal.tasks(FACULTY_CONTACT, registration_id))[0]["departureDate"] == (
        today() + timedelta(days=5)
    ).isoformat()

    later = await changed(portal, registration_id, legs=legs(40, 120))
    assert later["status"] == "approved"
    assert await portal.tasks(FACULTY_CONTACT, registration_id) == [], "its cause has ended"


async def test_change_of_a_phone_number_changes_no_decision(portal: Portal) -> None:
    """A person's decision stays when nothing on which it rests has changed."""
    registration_id = await portal.register(**voluntary(), legs=legs(5, 20))
    await portal.decide(FACULTY_CONTACT, registration_id, "approve")

    answer = await changed(portal, registration_id, contact={**STUDENT.contact, "mobile": "+34612345678"})

    assert (answer["status"], answer["clearance"]["reason"]) == ("approved", "approved_by_person")


async def test_cancelled_registration_is_left_alone(portal: Portal) -> None:
    """Its tasks are closed, and every later command about it is refused."""
    registration_id = await portal.register(**voluntary(), legs=legs(5, 20))
    path = f"/registrations/{registration_id}"
    (task,) = await portal.tasks(FACULTY_CONTACT, registration_id)
    await portal.done(STUDENT, "POST", f"{path}/cancellation", etag="*")

    assert await portal.tasks(FACULTY_CONTACT, registration_id) == []
    assert (await portal.cannot(409, FACULTY_CONTACT, registration_id, "approve"))["reason"] == "nothing_to_decide"
    assert (await portal.cannot(409, FACULTY_CONTACT, registration_id, "refuse"))["reason"] == "nothing_to_decide"
    assert (await changed(portal, registration_id, 409))["reason"] == "cancelled"
    problem = await portal.refused(
        409, FACULTY_CONTACT, "POST", f"/tasks/{task['taskId']}/comments", {"remark": "Too late."}
    )
    assert problem["reason"] == "closed"
    assert (await portal.upload(registration_id)).json()["reason"] == "cancelled"
    await portal.advise("ES", Level.RED)
    assert (await portal.see(registration_id))["status"] == "cancelled"


async def test_stale_change_and_reused_key(portal: Portal) -> None:
    """Two browser windows: the second change is a 412. A key that was used for another body: 422."""
    registration_id = await portal.register(**voluntary())
    path = f"/registrations/{registration_id}"
    response = await portal.call(STUDENT, "GET", path)
    await changed(portal, registration_id, language="nl")
    known = ("facultyId", "programmeId", "activityType", "legs", "answers", "contact", "language", "approvalId")
    body = {name: response.json()[name] for name in known}
    stale = await portal.refused(412, STUDENT, "PUT", path, body, etag=response.headers["etag"])
    assert stale["status"] == 412

    key = {"Idempotency-Key": "the-same-key"}
    first = await portal.call(STUDENT, "PUT", path, body, etag="*", headers=key)
    assert first.status_code == 200
    other = {**body, "legs": legs(61, 120)}
    problem = await portal.refused(422, STUDENT, "PUT", path, other, etag="*", headers=key)
    assert problem["type"].endswith("idempotency-key-reused")


NOT_AN_ITINERARY = [
    (legs(20, 10), "body.legs.0.endDate"),
    ([*legs(20, 30), *legs(25, 40, "FR")], "body.legs.1.startDate"),
    ([*legs(20, 30), *legs(35, 40, "FR")], "body.legs.1.startDate"),
    ([*legs(20, 30), *legs(10, 15, "FR")], "body.legs.1.startDate"),
    (legs(-20, -10), "body.legs.0.endDate"),
    (legs(3_000, 3_010), "body.legs.0.startDate"),
    (legs(20, 30, kind="through"), "body.legs.0.endDate"),
    (legs(20, 22, kind="through"), "body.legs"),
    (legs(20, 30, "XX"), "body.legs.0.country"),
    (legs(20, 30, "es"), "body.legs.0.country"),
    (legs(20, 30, "ES", region="FR-29"), "body.legs.0"),
    (legs(20, 30, place="<script>\u202e"), "body.legs.0.place"),
    (legs(20, 30, place="Town\r\nBcc: all"), "body.legs.0.place"),
    (legs(20, 30) * 200, "body.legs"),
    ([], "body.legs"),
]


@pytest.mark.parametrize(("wrong", "field"), NOT_AN_ITINERARY, ids=lambda value: str(value)[:24])
async def test_what_is_no_itinerary_is_refused_by_name(portal: Portal, wrong: Any, field: str) -> None:
    """Each mistake names its field and nothing is stored, for a submission and for a change."""
    body = {**(await _body(portal)), "legs": wrong}
    problem = await portal.refused(400, STUDENT, "POST", "/registrations", body)
    assert field in {error["field"] for error in problem["errors"]}

    registration_id = await portal.register(**voluntary())
    problem = await changed(portal, registration_id, 400, legs=wrong)
    assert field in {error["field"] for error in problem["errors"]}


async def test_date_line_and_html_are_what_they_are(portal: Portal) -> None:
    """Across the date line a day is lost or repeated; HTML in a place is returned as text."""
    west = [*legs(20, 25, "FJ"), *legs(24, 30, "US", place="<b>Bold & Town</b>")]

    registration_id = await portal.register(**voluntary(), legs=west)

    assert (await portal.see(registration_id))["legs"][1]["place"] == "<b>Bold & Town</b>"


async def _body(portal: Portal) -> dict[str, Any]:
    registration_id = await portal.register(**voluntary())
    seen = await portal.see(registration_id, STUDENT)
    known = ("facultyId", "programmeId", "activityType", "legs", "answers", "contact", "language", "approvalId")
    return {name: seen[name] for name in known}
