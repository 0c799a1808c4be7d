"""A study association's trip without credits: voluntary, and alerted like every other."""

from tests.journeys.registration_world import SAFETY_OFFICER, STUDENT, Level, Portal, legs, voluntary


async def test_voluntary_trip_needs_no_approval(portal: Portal) -> None:
    """No to all three questions: no approval is needed, and the advice still counts (R11)."""
    body = {**voluntary(), "activityType": "study_association_trip"}

    registration_id = await portal.register(**body)
    negative = await portal.register(**body, legs=legs(60, 70, "FR"))
    assert (await portal.see(registration_id))["status"] == "approved"
    assert (await portal.lines(registration_id))["study_related"] == ("done", "R11")

    await portal.advise("FR", Level.ORANGE)
    assert (await portal.see(negative))["status"] == "suspended"


async def test_voluntary_trip_to_an_unknown_country_is_for_a_safety_officer(portal: Portal) -> None:
    """Unknown is never safe (R14): a person sees the advice and decides; orange would be refused (R13)."""
    registration_id = await portal.register(**voluntary(), legs=legs(60, 70, "BT"))
    assert (await portal.see(registration_id))["clearance"]["rule"] == "R14"

    assert (await portal.decide(SAFETY_OFFICER, registration_id, "approve"))["status"] == "approved"
    assert (await portal.see(registration_id))["clearance"]["reason"] == "approved_by_person"

    await portal.advise("BT", Level.RED)
    assert (await portal.see(registration_id))["status"] == "suspended"
    problem = await portal.cannot(409, SAFETY_OFFICER, registration_id, "restore")
    assert (problem["rule"], problem["reason"]) == ("R13", "advice_negative")


async def test_voluntary_trip_is_the_students_own(portal: Portal) -> None:
    """The student's list contains it, with its countries."""
    registration_id = await portal.register(**voluntary())

    found = await portal.done(STUDENT, "GET", "/registrations", params={"country": "ES", "status": "approved"})

    assert [item["registrationId"] for item in found["items"]] == [registration_id]
    assert found["items"][0]["countries"] == ["ES"]
