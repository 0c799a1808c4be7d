"""Already departed: registered all the same, routed to a person, and counted as abroad at once (R8)."""

from datetime import timedelta

from tests.journeys.registration_world import FACULTY_CONTACT, STUDENT, Portal, legs, today, voluntary


async def test_already_departed_is_routed_and_decided_by_the_contact_person(portal: Portal) -> None:
    """Rules neither approve nor refuse it; it is stored and routed to a person."""
    registration_id = await portal.register(**voluntary(), legs=legs(-3, 20))
    found = await portal.see(registration_id)
    assert (found["status"], found["clearance"]["rule"]) == ("routed", "R8")
    assert [task["rule"] for task in await portal.tasks(FACULTY_CONTACT, registration_id)] == ["R8"]
    assert (await portal.lines(registration_id))["stay_contact"] == ("todo", "R24")

    assert (await portal.decide(FACULTY_CONTACT, registration_id, "approve"))["status"] == "approved"


async def test_back_home_is_said_by_the_student(portal: Portal) -> None:
    """The student records the return; other outcomes are for staff, and a future day is refused."""
    registration_id = await portal.register(**voluntary(), legs=legs(-3, 20))
    path, day = f"/registrations/{registration_id}/return", today().isoformat()
    for wrong in (today() + timedelta(days=1), today() - timedelta(days=10)):
        problem = await portal.refused(
            400, STUDENT, "POST", path, {"on": wrong.isoformat(), "outcome": "returned"}, etag="*"
        )
        assert problem["errors"][0]["field"] == "body.on"
    problem = await portal.refused(403, STUDENT, "POST", path, {"on": day, "outcome": "stays"}, etag="*")
    assert problem["rule"] == "R20"

    await portal.done(STUDENT, "POST", path, {"on": day, "outcome": "returned", "remark": "Home."}, etag="*")

    found = await portal.see(registration_id)
    assert found["returned"]["outcome"] == "returned"
    assert found["status"] == "routed", "nothing is cancelled by it"
    assert "stay_contact" not in await portal.lines(registration_id)


async def test_return_before_the_departure_is_none(portal: Portal) -> None:
    """A return cannot be recorded before the departure."""
    registration_id = await portal.register(**voluntary(), legs=legs(30, 40))
    body = {"on": today().isoformat(), "outcome": "returned"}

    problem = await portal.refused(409, STUDENT, "POST", f"/registrations/{registration_id}/return", body, etag="*")

    assert problem["reason"] == "not_departed"
