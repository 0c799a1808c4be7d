"""An unsafe destination: orange and red are refused (R13), and nobody can clear red (R18)."""

from pathlib import Path
from typing import Any

import pytest

from shared.clock import utc_now
from shared.events import OverrideFacts
from tests.conftest import Stack
from tests.journeys.registration_world import (
    APPROVER,
    FACULTY_CONTACT,
    SAFETY_OFFICER,
    Level,
    Portal,
    legs,
    voluntary,
)
from tests.journeys.registration_world import (
    portal as opened,
)


@pytest.mark.parametrize("level", [Level.ORANGE, Level.RED])
async def test_negative_advice_refuses_and_nobody_can_approve(portal: Portal, level: Level) -> None:
    """The block names its rule, its reason and a contact; nobody can clear it."""
    await portal.advise("FR", level)
    registration_id = await portal.register(**voluntary(), legs=legs(60, 70, "FR"))
    found = await portal.see(registration_id)
    assert (found["status"], found["clearance"]["rule"]) == ("refused", "R13")
    assert (await portal.lines(registration_id))["travel_advice"] == ("blocked", "R13")

    for who in (FACULTY_CONTACT, APPROVER, SAFETY_OFFICER):
        problem = await portal.cannot(409, who, registration_id, "approve")
        assert (problem["rule"], problem["reason"]) == ("R13", "advice_negative")
        assert problem["contact"]["phone"]


async def test_country_that_the_university_forbids_is_refused_by_the_universitys_rule(portal: Portal) -> None:
    """Green by the ministry, red by the university: R17 refuses, and every answer has the document and the reason."""
    override = OverrideFacts(
        override_id="override-1", since=utc_now(), document="Board 2026/114", reason="No insurance covers it."
    )
    await portal.advise("FR", Level.RED, override=override)
    registration_id = await portal.register(**voluntary(), legs=legs(60, 70, "FR"))
    clearance = (await portal.see(registration_id))["clearance"]
    assert clearance["rule"] == "R17"
    assert (await portal.lines(registration_id))["travel_advice"] == ("blocked", "R17")
    problem = await portal.cannot(409, APPROVER, registration_id, "approve")
    assert (problem["rule"], problem["reason"]) == ("R17", "override_negative")
    for text in (clearance["reasonText"], problem["detail"]):
        assert "Board 2026/114" in text
        assert "No insurance covers it." in text


async def test_stay_in_a_country_that_the_university_forbids_opens_a_task_with_its_reason(portal: Portal) -> None:
    """The safety officer's task does not say that the travel advice is negative: it is green."""
    override = OverrideFacts(override_id="override-1", since=utc_now(), document="Board 2026/114", reason="Closed.")
    registration_id = await portal.register(**voluntary(), legs=legs(-3, 20, "FR"))
    await portal.decide(FACULTY_CONTACT, registration_id, "approve")

    await portal.advise("FR", Level.RED, override=override)

    (task,) = await portal.tasks(SAFETY_OFFICER, registration_id)
    assert (task["rule"], task["reason"]) == ("R20", "override_negative")


async def test_place_that_cannot_be_resolved_is_for_a_safety_officer(portal: Portal) -> None:
    """Part of the country is red: routed; approved automatically when the student names a region elsewhere (R16)."""
    await portal.advise("FR", Level.GREEN, {"FR-75C": Level.RED})
    registration_id = await portal.register(**voluntary(), legs=legs(60, 70, "FR"))
    assert (await portal.see(registration_id))["clearance"]["rule"] == "R16"
    problem = await portal.cannot(403, FACULTY_CONTACT, registration_id, "approve")
    assert problem["rule"] == "R16"

    assert (await portal.decide(SAFETY_OFFICER, registration_id, "approve"))["status"] == "approved"
    await portal.advise("FR", Level.GREEN, {"FR-75C": Level.RED, "FR-13": Level.RED})
    assert (await portal.see(registration_id))["status"] == "suspended", "judged on other advice: judged again"

    elsewhere = await portal.register(**voluntary(), legs=legs(60, 70, "FR", region="FR-29"))
    there = await portal.register(**voluntary(), legs=legs(60, 70, "FR", region="FR-75C"))
    assert (await portal.see(elsewhere))["status"] == "approved"
    assert (await portal.see(there))["clearance"]["rule"] == "R13"


async def test_orange_with_a_red_part_is_refused_wherever_it_is(portal: Portal) -> None:
    """Orange or red: whichever applies, it is negative, and nobody may approve it (R13)."""
    await portal.advise("FR", Level.ORANGE, {"a border without a code": Level.RED})

    registration_id = await portal.register(**voluntary(), legs=legs(60, 70, "FR"))

    assert (await portal.see(registration_id))["clearance"]["rule"] == "R13"
    assert (await portal.cannot(409, SAFETY_OFFICER, registration_id, "approve"))["rule"] == "R13"


async def test_exceptions_are_off_by_default(portal: Portal) -> None:
    """R18: by default there is no exception."""
    registration_id, permissions = await _with_permissions(portal, Level.ORANGE)

    problem = await portal.cannot(409, SAFETY_OFFICER, registration_id, "approve", exception=permissions)

    assert (problem["rule"], problem["reason"]) == ("R18", "exceptions_are_off")


async def test_exception_at_orange_with_both_permissions_on_record(stack: Stack, tmp_path: Path) -> None:
    """R18, switched on: two documents of this registration, a safety officer, orange and no worse."""
    async with opened(stack.mongo, tmp_path, exceptions_at_orange=True) as portal:
        await portal.advise("FR", Level.GREEN)
        registration_id, permissions = await _with_permissions(portal, Level.ORANGE)
        problem = await portal.cannot(403, FACULTY_CONTACT, registration_id, "approve", exception=permissions)
        assert (problem["rule"], problem["reason"]) == ("R18", "not_yours_to_decide")
        twice = {**permissions, "hostDocumentId": permissions["boardDocumentId"]}
        for wrong in (twice, {**permissions, "hostDocumentId": "0193c1a0-0000-7000-8000-0000000000c9"}):
            problem = await portal.cannot(409, SAFETY_OFFICER, registration_id, "approve", exception=wrong)
            assert (problem["rule"], problem["reason"]) == ("R18", "permission_missing")

        answer = await portal.decide(SAFETY_OFFICER, registration_id, "approve", exception=permissions)
        assert (answer["status"], answer["clearance"]["reason"]) == ("approved", "exception_at_orange")

        await portal.advise("FR", Level.ORANGE)  # once more the same colour: it stands
        assert (await portal.see(registration_id))["status"] == "approved"
        await portal.advise("FR", Level.RED)
        assert (await portal.see(registration_id))["clearance"]["rule"] == "R19"

        red, both = await _with_permissions(portal, Level.RED)
        problem = await portal.cannot(409, SAFETY_OFFICER, red, "approve", exception=both)
        assert (problem["rule"], problem["reason"]) == ("R18", "never_at_red")


async def _with_permissions(portal: Portal, level: Level) -> tuple[str, dict[str, Any]]:
    """A refused registration with both written permissions attached."""
    registration_id = await portal.register(**voluntary(), legs=legs(60, 70, "FR"))
    await portal.advise("FR", level)
    if (await portal.see(registration_id))["status"] == "suspended":
        registration_id = await portal.register(**voluntary(), legs=legs(60, 70, "FR"))
    ids = [
        (await portal.upload(registration_id, kind)).json()["documentId"]
        for kind in ("Permission of the board of examiners", "Permission of the host")
    ]
    return registration_id, {"boardDocumentId": ids[0], "hostDocumentId": ids[1]}
