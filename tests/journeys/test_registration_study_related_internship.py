"""A study-related internship: approval first, then registration; both are obligatory before departure."""

from tests.journeys.registration_world import APPROVER, STUDENT, Level, Portal, legs


async def test_internship_with_credits_is_approved_and_may_depart(portal: Portal) -> None:
    """With credits, approved by the programme, registered in time, to a green country: approved (R1, R2, R10)."""
    await portal.grant("approval-1")

    registration_id = await portal.register(approvalId="approval-1")

    found = await portal.see(registration_id)
    assert (found["status"], found["studyRelated"]) == ("approved", True)
    assert [(seen["country"], seen["adviceVersion"], seen["level"]) for seen in found["decidedOn"]] == [("ES", 1, 0)]
    checklist = await portal.checklist(registration_id)
    assert checklist["mayDepart"] is True
    # All done but the health and safety session, which is in nobody's way.
    states = {line["rule"]: line["state"] for line in checklist["lines"]}
    assert states == {"R1": "done", "R2": "done", "R6": "done", "R12": "done", "R39": "todo", "R10": "done"}
    assert list(dict.fromkeys(line["rule"] for line in checklist["lines"])) == list(states)


async def test_internship_without_approval_says_what_is_missing_in_both_languages(portal: Portal) -> None:
    """One request answers what, why, until when and from whom; the same in Dutch and English."""
    registration_id = await portal.register()

    english = await portal.checklist(registration_id, language="en")
    dutch = await portal.checklist(registration_id, language="nl")

    assert english["mayDepart"] is dutch["mayDepart"] is False
    words = ("title", "reasonText")
    for one, other in zip(english["lines"], dutch["lines"], strict=True):
        assert {k: v for k, v in one.items() if k not in words} == {k: v for k, v in other.items() if k not in words}
        assert one["reasonText"] != other["reasonText"]
    line = next(line for line in english["lines"] if line["item"] == "approval")
    assert (line["state"], line["rule"], line["reason"]) == ("todo", "R2", "approval_missing")
    assert line["until"] is not None
    assert line["contact"]["email"] == "biology@sciences.university.example"


async def test_approval_for_another_country_goes_to_the_coordinator(portal: Portal) -> None:
    """Never guessed: a country or dates that differ from the approval are routed, and a person decides (R2)."""
    await portal.grant("approval-1", country="FR")
    registration_id = await portal.register(approvalId="approval-1")
    assert (await portal.see(registration_id))["clearance"]["reason"] == "approval_for_another_country"
    assert [task["rule"] for task in await portal.tasks(APPROVER, registration_id)] == ["R2"]

    answer = await portal.decide(APPROVER, registration_id, "approve")

    assert answer["status"] == "approved"
    assert await portal.tasks(APPROVER, registration_id) == []
    step = (await portal.see(registration_id))["history"][-2]
    assert (step["what"], step["by"]) == ("RegistrationApproved", await portal.world.person_id(APPROVER))
    assert [(seen["country"], seen["adviceVersion"], seen["level"]) for seen in step["advice"]] == [("ES", 1, 0)]


async def test_every_place_travelled_through_counts(portal: Portal) -> None:
    """A stop on the way in a red country is refused (R15)."""
    await portal.grant("approval-1")
    await portal.advise("ML", Level.RED)
    journey = [*legs(59, 60, "ML", kind="through"), *legs(60, 120)]

    registration_id = await portal.register(approvalId="approval-1", legs=journey)

    found = await portal.see(registration_id)
    assert (found["status"], found["clearance"]["rule"]) == ("refused", "R13")
    assert found["clearance"]["contact"]["function"] == "Contact person for stays abroad, Science"
    assert (await portal.see(registration_id, STUDENT))["clearance"]["reasonText"]
