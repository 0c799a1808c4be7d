"""A regular clinical rotation abroad: Medicine students only, and the coordinator confirms the criteria (R33)."""

import pytest

from tests.campus import MEDICINE, OFFICE, Campus, approver, blocked, findings

pytestmark = pytest.mark.asyncio(loop_scope="session")

ROTATION = {"activityType": "clinical_clerkship", "country": "BE", "details": {"rotation": "regular"}}


async def test_rotation_is_granted_once_the_criteria_are_confirmed(campus: Campus) -> None:
    """R33: "meets all criteria of a regular internship" is recorded by the coordinator, with what they said."""
    student = campus.student()
    asked = await campus.asks(student, **ROTATION)
    assert findings(asked) == {("R33", "demanded")}

    too_early = blocked(await campus.grants(MEDICINE, asked["approvalId"]))
    await campus.records(MEDICINE, asked["approvalId"], "criteria_confirmed", remark="It meets all criteria.")
    await campus.granted(MEDICINE, asked["approvalId"])

    assert (too_early.rule, too_early.reason, too_early.fields) == (
        "R33",
        "step_missing",
        ("steps.criteria_confirmed",),
    )


async def test_rotation_of_another_programmes_student_is_blocked(campus: Campus) -> None:
    """R33: rule, reason and contact, and nothing is stored."""
    before = await campus.facts()

    found = blocked(await campus.tries(campus.student(), "lumc-pharmacy", **ROTATION))

    assert (found.status, found.rule, found.reason) == (409, "R33", "not_a_medicine_student")
    assert found.email == "intoff@lumc.nl"
    assert await campus.facts() == before


async def test_criteria_are_not_for_others_to_confirm(campus: Campus) -> None:
    """R33: neither the student, nor a coordinator of another programme, nor the International Office."""
    student = campus.student()
    asked = await campus.asks(student, **ROTATION)
    body = {"step": "criteria_confirmed", "positive": True}

    for person in (student, approver("lumc-pharmacy"), OFFICE):
        response = await campus.does(person, asked["approvalId"], "steps", body)
        assert response.status_code in (403, 404)

    assert blocked(await campus.grants(MEDICINE, asked["approvalId"])).rule == "R33"
