"""A research project abroad at LUMC: in one of the ten themes (R30), or outside them (R31)."""

import pytest

from tests.approval_service import BIOMEDICAL, ApprovalService, blocked, findings, progress

pytestmark = pytest.mark.asyncio(loop_scope="session")

PROGRAMME = "lumc-biomedical-sciences"


async def test_project_in_a_theme_needs_nothing_but_the_programmes_yes(approval_service: ApprovalService) -> None:
    """Oncology at a listed institute: the coordinator decides at once, and the student sees who has the request."""
    student = approval_service.student()

    asked = await approval_service.asks(student, PROGRAMME, details={"theme": "oncology", "institute": "listed"})

    seen = await approval_service.look(asked["approvalId"], student)
    assert findings(seen) == set()
    assert progress(seen) == {"decision": "waiting"}
    assert seen["progress"][0]["contact"]["email"] == "intoff@lumc.nl"
    await approval_service.granted(BIOMEDICAL, asked["approvalId"])
    after = await approval_service.look(asked["approvalId"], student)
    assert [entry["what"] for entry in after["history"]] == ["ApprovalRequested", "ApprovalGranted"]
    assert after["history"][1]["by"] == await approval_service.person_id(BIOMEDICAL)


@pytest.mark.parametrize(
    "theme",
    [
        "academic-pharma", "neuroscience", "oncology", "auto-immunology", "cell-tissue-and-organ", "cardiovascular",
        "genetics", "infection", "lifecourse", "prevention-and-lifestyle",
    ],
)  # fmt: skip
async def test_each_of_the_ten_themes_is_one(approval_service: ApprovalService, theme: str) -> None:
    """R30: all ten themes of the page."""
    asked = await approval_service.asks(
        approval_service.student(), PROGRAMME, details={"theme": theme, "institute": "listed"}
    )

    assert asked["findings"] == []


async def test_project_outside_the_themes_needs_the_theme_approved_first(approval_service: ApprovalService) -> None:
    """R31: no grant before the theme is approved. A negative result blocks until a positive one replaces it."""
    student = approval_service.student()
    asked = await approval_service.asks(student, PROGRAMME, details={"institute": "listed"})
    approval_id = asked["approvalId"]
    assert findings(asked) == {("R31", "demanded")}

    too_early = blocked(await approval_service.grants(BIOMEDICAL, approval_id))
    await approval_service.records(
        BIOMEDICAL, approval_id, "theme_approved", positive=False, remark="Too far from medicine."
    )
    refused = blocked(await approval_service.grants(BIOMEDICAL, approval_id))
    waiting = await approval_service.look(approval_id, student)
    await approval_service.records(BIOMEDICAL, approval_id, "theme_approved", remark="The new plan is close enough.")
    await approval_service.granted(BIOMEDICAL, approval_id)

    assert (too_early.status, too_early.rule, too_early.reason) == (409, "R31", "step_missing")
    assert too_early.email == "intoff@lumc.nl"
    assert too_early.fields == ("steps.theme_approved",)
    assert (refused.rule, refused.reason) == ("R31", "step_answered_no")
    assert waiting["progress"][0]["state"] == "no"
    assert waiting["progress"][0]["remark"] == "Too far from medicine."
    seen = await approval_service.look(approval_id, student)
    assert progress(seen) == {"theme_approved": "done", "decision": "done"}
    assert seen["progress"][0]["by"] == await approval_service.person_id(BIOMEDICAL)
    assert seen["progress"][0]["remark"] == "The new plan is close enough."
    steps = [(entry["step"], entry["positive"]) for entry in seen["history"] if entry["step"]]
    assert steps == [("theme_approved", False), ("theme_approved", True)]
