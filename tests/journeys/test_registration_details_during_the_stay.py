"""Contact details during the stay: entered on arrival, kept up to date, and used for the next alert (R24, R25)."""

import asyncio
from typing import Any

import pytest

from deploy.local.demo.received import texts
from deploy.local.demo.world import Plan
from tests.full_stack import COUNTRIES, FullStack
from tests.journeys.registration_world import (
    INTERNATIONAL_OFFICE,
    STUDENT,
    Portal,
    another,
    legs,
    voluntary,
)

NEW_NUMBER = "+34612345678"


def contact(**other: Any) -> dict[str, Any]:
    """The student's contact details, with these changes."""
    person = {"name": "Next Of-Kin", "phone": "+31201234567", "relation": "parent"}
    return {**STUDENT.contact, "mobile": NEW_NUMBER, "emergencyContact": person, **other}


async def test_details_abroad_are_entered_and_confirmed(portal: Portal) -> None:
    """The checklist asks from the first day; new details replace the old ones; the same details again confirm them."""
    registration_id = await portal.register(**voluntary(), legs=legs(-1, 20))
    assert (await portal.lines(registration_id))["stay_contact"] == ("todo", "R24")
    path = f"/registrations/{registration_id}/stay-contact"
    response = await portal.call(STUDENT, "GET", f"/registrations/{registration_id}")

    await portal.done(STUDENT, "PUT", path, contact(), etag=response.headers["etag"])
    entered = await portal.see(registration_id)
    await portal.done(STUDENT, "PUT", path, contact(), etag="*")
    confirmed = await portal.see(registration_id)

    assert (await portal.lines(registration_id))["stay_contact"] == ("done", "R24")
    assert entered["stayContact"]["mobile"] == confirmed["stayContact"]["mobile"] == NEW_NUMBER
    assert entered["stayContact"]["emergencyContact"]["phone"] == "+31201234567"
    assert entered["contact"]["mobile"] == STUDENT.contact["mobile"], "what was registered stands beside it"
    assert entered["contactConfirmedAt"] < confirmed["contactConfirmedAt"]
    assert [step["what"] for step in confirmed["history"]].count("StayContactUpdated") == 2, "history is kept"
    assert confirmed["status"] == entered["status"] == "routed", "a new number changes no decision"


async def test_office_enters_them_for_who_has_lost_the_phone(portal: Portal) -> None:
    """Changed by the International Office: stored, but not confirmed by the student."""
    registration_id = await portal.register(**voluntary(), legs=legs(-1, 20))

    path = f"/registrations/{registration_id}/stay-contact"
    await portal.done(INTERNATIONAL_OFFICE, "PUT", path, contact(), etag="*")

    found = await portal.see(registration_id)
    assert found["stayContact"]["mobile"] == NEW_NUMBER
    assert found["stayContactAt"] is not None
    assert found["contactConfirmedAt"] is None


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"mobile": "0612345678"}, "body.mobile"),
        ({"mobile": "+311"}, "body.mobile"),
        ({"mobile": "call me"}, "body.mobile"),
        ({"email": "nobody"}, "body.email"),
        ({"email": "a@b@c.example"}, "body.email"),
        ({"email": "x@example.org\r\nBcc: all@example.org"}, "body.email"),
        ({"surname": "Line\r\nBreak"}, "body.surname"),
        ({"surname": "right\u202eto left"}, "body.surname"),
        ({"surname": ""}, "body.surname"),
        ({"emergencyContact": {"name": "X", "phone": "12"}}, "body.emergencyContact.phone"),
        ({"personId": "somebody"}, "body.personId"),
    ],
)
async def test_details_that_reach_nobody_are_refused_by_name(portal: Portal, wrong: dict[str, Any], field: str) -> None:
    """E.164 by phonenumbers, addresses by email-validator; nothing is stored, and the value is not repeated."""
    registration_id = await portal.register(**voluntary(), legs=legs(-1, 20))

    path = f"/registrations/{registration_id}/stay-contact"
    problem = await portal.refused(400, STUDENT, "PUT", path, contact(**wrong), etag="*")

    assert [error["field"] for error in problem["errors"]] == [field]
    assert str(next(iter(wrong.values()))) not in str(problem) or wrong.get("surname") == ""


async def test_details_on_an_old_version_or_a_cancelled_registration(portal: Portal) -> None:
    """Without If-Match 428, on an outdated version 412, on a cancelled registration 409."""
    registration_id = await portal.register(**voluntary())
    path = f"/registrations/{registration_id}"
    await portal.refused(428, STUDENT, "PUT", f"{path}/stay-contact", contact())
    await portal.refused(412, STUDENT, "PUT", f"{path}/stay-contact", contact(), etag='"1"')
    await portal.refused(404, another(STUDENT, "student-nine"), "PUT", f"{path}/stay-contact", contact(), etag="*")
    await portal.done(STUDENT, "POST", f"{path}/cancellation", etag="*")

    problem = await portal.refused(409, STUDENT, "PUT", f"{path}/stay-contact", contact(), etag="*")

    assert problem["reason"] == "cancelled"


async def test_changed_number_gets_the_next_alert(full_stack: FullStack) -> None:
    """Changed, then alerted: the SMS goes to the new number, and none to the old one."""
    country = next(COUNTRIES)
    student = full_stack.student(country, Plan.VOLUNTARY)
    registration_id = await full_stack.register(student)
    new = student.mobile[:-4] + "9999"
    body = {"givenName": "Student", "surname": "Abroad", "email": student.email, "mobile": new}
    path = f"/v1/registrations/{registration_id}/stay-contact"
    who = {"who": student.subject, "roles": ("student",)}
    headers = {"If-Match": "*", "Idempotency-Key": f"contact-{registration_id}"}
    await full_stack.retry(lambda people: people.call("PUT", "registration", path, body=body, **who, headers=headers))
    await full_stack.wait_until_idle()

    await full_stack.raise_to_red(country)

    async def arrived() -> bool:
        got = {text.to for text in await asyncio.to_thread(texts, full_stack.services.sms_log)}
        return f"00{new[1:]}" in got

    await full_stack.wait_until(arrived, "an SMS to the new number")
    await full_stack.wait_until_idle()
    old = f"00{student.mobile[1:]}"
    assert all(text.to != old for text in await asyncio.to_thread(texts, full_stack.services.sms_log))
    await full_stack.check()
