"""Departing within two weeks: rules neither approve nor refuse; the faculty's contact person decides (R6, R7)."""

from tests.journeys.registration_world import (
    APPROVER,
    FACULTY_CONTACT,
    INTERNATIONAL_OFFICE,
    SAFETY_OFFICER,
    STUDENT,
    Level,
    Person,
    Portal,
    legs,
    voluntary,
)


async def test_fourteen_days_pass_and_thirteen_are_routed(portal: Portal) -> None:
    """The boundary, through the real API: calendar days in Amsterdam."""
    in_time = await portal.register(**voluntary(), legs=legs(14, 20))
    late = await portal.register(**voluntary(), legs=legs(13, 20))

    assert (await portal.see(in_time))["status"] == "approved"
    found = await portal.see(late)
    assert (found["status"], found["clearance"]["rule"]) == ("routed", "R7")
    assert found["clearance"]["contact"]["email"] == "abroad@sciences.university.example"
    assert (await portal.lines(late))["timing"] == ("waiting", "R7")


async def test_contact_person_decides_on_the_advice_that_they_saw(portal: Portal) -> None:
    """A person approves, and the decision names the advice; on changed advice the decision is refused."""
    registration_id = await portal.register(**voluntary(), legs=legs(5, 20))
    assert [task["rule"] for task in await portal.tasks(FACULTY_CONTACT, registration_id)] == ["R7"]
    old = await portal.decision(registration_id, "approve")
    await portal.advise("ES", Level.YELLOW)
    path = f"/registrations/{registration_id}/decisions"

    problem = await portal.refused(409, FACULTY_CONTACT, "POST", path, old, etag="*")
    assert (problem["reason"], problem["errors"][0]["field"]) == ("advice_changed", "body.adviceSeen")
    unseen = await portal.refused(409, FACULTY_CONTACT, "POST", path, {**old, "adviceSeen": []}, etag="*")
    assert unseen["reason"] == "advice_changed"

    answer = await portal.decide(FACULTY_CONTACT, registration_id, "approve")
    assert answer["status"] == "approved"
    found = await portal.see(registration_id)
    (decided_on,) = found["decidedOn"]
    assert (decided_on["country"], decided_on["adviceVersion"], decided_on["level"]) == ("ES", 2, 1)
    assert found["openTasks"] == []


async def test_nobody_decides_what_is_anothers_matter(portal: Portal) -> None:
    """Others are told who decides; the student, and staff who do not see the registration, cannot decide at all."""
    registration_id = await portal.register(**voluntary(), legs=legs(5, 20))
    for who in (APPROVER, SAFETY_OFFICER, INTERNATIONAL_OFFICE):
        problem = await portal.cannot(403, who, registration_id, "approve")
        assert (problem["rule"], problem["reason"]) == ("R7", "not_yours_to_decide")
        assert problem["contact"]["function"] == "Contact person for stays abroad, Science"
    await portal.cannot(403, STUDENT, registration_id, "approve")

    own = Person("student-who-helps", ("student", "faculty-contact:example-sciences"))
    theirs = await portal.register(own, **voluntary(), legs=legs(5, 20))
    assert (await portal.cannot(403, own, theirs, "approve"))["reason"] == "own_registration"


async def test_two_people_each_decide_their_own_part(portal: Portal) -> None:
    """Short notice (R7) and an unknown country (R14): the first person agrees, the second decides, in either order."""
    for first, second in ((FACULTY_CONTACT, SAFETY_OFFICER), (SAFETY_OFFICER, FACULTY_CONTACT)):
        registration_id = await portal.register(**voluntary(), legs=legs(5, 20, "BT"))
        rules = {task["rule"] for who in (first, second) for task in await portal.tasks(who, registration_id)}
        assert rules == {"R7", "R14"}

        halfway = await portal.decide(first, registration_id, "approve")
        assert halfway["status"] == "routed"
        assert await portal.tasks(first, registration_id) == []
        assert len(await portal.tasks(second, registration_id)) == 1

        assert (await portal.decide(second, registration_id, "approve"))["status"] == "approved"


async def test_what_was_agreed_on_other_advice_is_decided_again(portal: Portal) -> None:
    """R14: approved on unknown advice, a registration is not approved on yellow but stale advice, or on red."""
    registration_id = await portal.register(**voluntary(), legs=legs(5, 20, "BT"))
    await portal.decide(SAFETY_OFFICER, registration_id, "approve")
    await portal.advise("BT", Level.RED)

    problem = await portal.cannot(409, FACULTY_CONTACT, registration_id, "approve")

    assert problem["rule"] == "R13"


async def test_refused_by_a_person_with_a_reason(portal: Portal) -> None:
    """The remark is sealed, the tasks are closed, and the student is told whom to contact."""
    registration_id = await portal.register(**voluntary(), legs=legs(5, 20))

    await portal.decide(FACULTY_CONTACT, registration_id, "refuse")

    found = await portal.see(registration_id, STUDENT)
    assert (found["status"], found["clearance"]["reason"]) == ("refused", "refused_by_person")
    assert found["clearance"]["contact"]
    assert found["openTasks"] == []
    problem = await portal.cannot(409, FACULTY_CONTACT, registration_id, "refuse")
    assert problem["reason"] == "nothing_to_decide"
