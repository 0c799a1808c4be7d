"""I changed my dates, and you still reach me at the number that I gave you here (R24)."""

from typing import Any

import pytest

from deploy.local.demo.world import Plan, Student
from tests.full_stack import COUNTRIES, OFFICER, FullStack
from tests.journeys.registration_world import INTERNATIONAL_OFFICE, STUDENT, Level, Portal, legs, today, voluntary

NEW_NUMBER, HOME_NUMBER = "+351912345678", str(STUDENT.contact["mobile"])
PARENT = {"name": "Next Of-Kin", "phone": "+31201234567", "relation": "parent"}
KEPT = ("facultyId", "programmeId", "activityType", "legs", "answers", "contact", "language", "approvalId")


async def change(portal: Portal, registration_id: str, *, leaves_out: str = "", **other: Any) -> None:
    """The student sends the form with what the portal shows, and these changes."""
    seen = await portal.see(registration_id, STUDENT)
    body = {**{name: seen[name] for name in KEPT if name != leaves_out}, **other}
    await portal.done(STUDENT, "PUT", f"/registrations/{registration_id}", body, etag="*")


async def shown(portal: Portal, registration_id: str) -> tuple[str, str, Any]:
    """The number as registered, the number of the stay, and the emergency contact of the stay."""
    found = await portal.see(registration_id)
    stay = found["stayContact"]
    return found["contact"]["mobile"], stay["mobile"], stay["emergencyContact"]


@pytest.mark.parametrize("leaves_out", ["", "contact"])
async def test_changed_dates_leave_the_details_of_the_stay_alone(portal: Portal, leaves_out: str) -> None:
    """Whether the form sends the first contact details again or none: number and emergency contact stay."""
    registration_id = await portal.register(**voluntary(), legs=legs(-1, 20))
    path = f"/registrations/{registration_id}/stay-contact"
    await portal.done(STUDENT, "PUT", path, {"mobile": NEW_NUMBER, "emergencyContact": PARENT}, etag="*")

    await change(portal, registration_id, leaves_out=leaves_out, legs=legs(-1, 30))

    assert await shown(portal, registration_id) == (HOME_NUMBER, NEW_NUMBER, PARENT)
    assert (await portal.lines(registration_id))["stay_contact"] == ("done", "R24")


async def test_office_enters_a_number_for_a_lost_phone_and_nothing_else_changes(portal: Portal) -> None:
    """Only a number is given: the emergency contact of before stays, and a new home address counts from now on."""
    registration_id = await portal.register(**voluntary(), legs=legs(-1, 20))
    path = f"/registrations/{registration_id}/stay-contact"
    await portal.done(STUDENT, "PUT", path, {"emergencyContact": PARENT}, etag="*")
    await portal.done(INTERNATIONAL_OFFICE, "PUT", path, {"mobile": NEW_NUMBER}, etag="*")

    new_address = "moved@students.example"
    await change(portal, registration_id, contact={**STUDENT.contact, "email": new_address})
    await portal.advise("ES", Level.YELLOW)

    assert await shown(portal, registration_id) == (HOME_NUMBER, NEW_NUMBER, PARENT)
    assert (await portal.see(registration_id))["stayContact"]["email"] == new_address


@pytest.mark.parametrize(
    "body", [{}, {"mobile": None}, {"email": None}, {"telephone": "+31612345678"}, {"mobile": "06"}, [], {"mobile": 6}]
)
async def test_details_of_the_stay_that_say_nothing_are_refused(portal: Portal, body: Any) -> None:
    """Nothing, a removed number, an unknown field, no number at all: 400 with its fields, and nothing is stored."""
    registration_id = await portal.register(**voluntary(), legs=legs(-1, 20))

    path = f"/registrations/{registration_id}/stay-contact"
    problem = await portal.refused(400, STUDENT, "PUT", path, body, etag="*")

    assert problem["errors"]


async def test_who_is_where_shows_the_number_of_the_stay_after_a_change_of_dates(full_stack: FullStack) -> None:
    """The safety officer reads the number that was given there, and beside it the one that was registered."""
    country = next(COUNTRIES)
    student = full_stack.student(country, Plan.VOLUNTARY)
    registration_id = await full_stack.register(student)
    path = f"/v1/registrations/{registration_id}"
    new_number = student.mobile[:-4] + "9999"
    await _put(full_stack, student, f"{path}/stay-contact", {"mobile": new_number, "emergencyContact": PARENT})

    seen = await full_stack.registration(registration_id)
    leg = {**seen["legs"][0], "endDate": f"{today().replace(year=today().year + 1)}"}
    await _put(full_stack, student, path, {**{name: seen[name] for name in KEPT}, "legs": [leg]})
    await full_stack.wait_until_idle()

    where = f"/v1/whereabouts?country={country}"
    answer = await full_stack.retry(lambda people: people.call("GET", "notify", where, **OFFICER))
    (entry,) = [entry for entry in answer.body["items"] if entry["registrationId"] == registration_id]
    assert (entry["contact"]["mobile"], entry["contact"]["emergencyContact"]) == (new_number, PARENT)
    assert entry["registeredContact"]["mobile"] == student.mobile
    assert entry["endDate"] == leg["endDate"]
    await full_stack.check()


async def _put(full_stack: FullStack, student: Student, path: str, body: dict[str, Any]) -> None:
    headers = {"If-Match": "*", "Idempotency-Key": f"put-{path[-60:]}"}
    who: dict[str, Any] = {"who": student.subject, "roles": ("student",)}
    await full_stack.retry(lambda people: people.call("PUT", "registration", path, body=body, headers=headers, **who))
