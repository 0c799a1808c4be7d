"""An elective anywhere else: free choice, and not part of the curriculum (R36)."""

import pytest

from tests.campus import MEDICINE, Campus, findings

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_elective_elsewhere_is_told_about_registration_and_granted(campus: Campus) -> None:
    """R36: nothing is demanded; the student reads that the questions of R1 decide whether they must register."""
    student = campus.student()
    details = {"rotation": "elective"}

    asked = await campus.asks(student, activityType="clinical_clerkship", country="NP", details=details)

    assert findings(asked) == {("R36", "shown")}
    assert "you must register it" in asked["findings"][0]["reasonText"]
    await campus.granted(MEDICINE, asked["approvalId"])


async def test_elective_needs_no_cluster_and_is_told_so(campus: Campus) -> None:
    """A detail that no rule asks is refused by name: nothing that a student says is ignored."""
    details = {"rotation": "elective", "cluster": "surinam-surgery"}

    response = await campus.tries(campus.student(), activityType="clinical_clerkship", country="NP", details=details)

    assert [each["field"] for each in response.json()["errors"]] == ["body.details.cluster"]
