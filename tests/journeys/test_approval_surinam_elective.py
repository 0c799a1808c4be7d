"""An elective in Surinam: contact the LUMC International Office first (R35)."""

import pytest

from tests.campus import MEDICINE, OFFICE, Campus, blocked, findings, progress

pytestmark = pytest.mark.asyncio(loop_scope="session")

ELECTIVE = {"activityType": "clinical_clerkship", "country": "SR", "details": {"rotation": "elective"}}


async def test_elective_in_surinam_waits_for_the_international_office(campus: Campus) -> None:
    """R35: no grant before the office has recorded the contact; the coordinator cannot record it for them."""
    student = campus.student()
    asked = await campus.asks(student, **ELECTIVE)
    approval_id = asked["approvalId"]
    assert findings(asked) == {("R35", "demanded")}
    assert asked["findings"][0]["contact"]["email"] == "intoff@lumc.nl"

    too_early = blocked(await campus.grants(MEDICINE, approval_id))
    step = {"step": "international_office_contacted", "positive": True}
    not_theirs = blocked(await campus.does(MEDICINE, approval_id, "steps", step))
    await campus.records(OFFICE, approval_id, "international_office_contacted", remark="Called on Monday.")
    await campus.granted(MEDICINE, approval_id)

    assert (too_early.status, too_early.rule, too_early.email) == (409, "R35", "intoff@lumc.nl")
    assert (not_theirs.status, not_theirs.rule, not_theirs.reason) == (403, "R35", "wrong_role")
    assert not_theirs.email == "intoff@lumc.nl"
    seen = await campus.look(approval_id, student)
    assert progress(seen) == {"international_office_contacted": "done", "decision": "done"}
    assert seen["progress"][0]["by"] == await campus.person_id(OFFICE)


async def test_office_sees_the_step_and_not_the_words(campus: Campus) -> None:
    """What student and programme write to each other is theirs."""
    asked = await campus.asks(campus.student(), **ELECTIVE, description="Words for my programme.")

    seen = await campus.look(asked["approvalId"], OFFICE)

    assert (seen["description"], seen["waitsFor"]) == (None, "international_office_contacted")
