"""An internship in year 3 of the bachelor Biomedical Sciences: better in Europe, never blocked (R32)."""

from typing import Any

import pytest

from tests.approval_service import BIOMEDICAL, ApprovalService, findings

pytestmark = pytest.mark.asyncio(loop_scope="session")

INTERNSHIP = {"theme": "infection", "institute": "listed", "studyLevel": "bachelor", "yearOfStudy": 3}


async def test_outside_europe_is_warned_and_granted_all_the_same(approval_service: ApprovalService) -> None:
    """R32: the student reads the reason in their language, and the coordinator may grant at once."""
    asked = await approval_service.asks(
        approval_service.student(),
        "lumc-biomedical-sciences",
        activityType="internship",
        country="AU",
        details=INTERNSHIP,
        language="nl",
    )

    assert findings(asked) == {("R32", "warned")}
    assert "in Europa te blijven" in asked["findings"][0]["reasonText"]
    await approval_service.granted(BIOMEDICAL, asked["approvalId"])


@pytest.mark.parametrize(
    ("country", "details"),
    [
        ("SE", INTERNSHIP),
        ("AU", {**INTERNSHIP, "studyLevel": "master"}),
        ("AU", {**INTERNSHIP, "yearOfStudy": 2}),
    ],
)
async def test_in_europe_or_in_another_year_is_not_warned(
    approval_service: ApprovalService, country: str, details: dict[str, Any]
) -> None:
    """R32 is only for year 3 of the bachelor outside Europe."""
    asked = await approval_service.asks(
        approval_service.student(),
        "lumc-biomedical-sciences",
        activityType="internship",
        country=country,
        details=details,
    )

    assert findings(asked) == set()
