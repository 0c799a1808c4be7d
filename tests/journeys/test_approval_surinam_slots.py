"""A regular rotation in Surinam: one of three clusters, a few slots, and a waiting list in order (R34)."""

from typing import Any

import pytest

from shared.envelope import parse
from tests.approval_service import MEDICINE, OFFICE, ApprovalService, Person, blocked, findings, progress

pytestmark = pytest.mark.asyncio(loop_scope="session")


def rotation(student: Person, cluster: str = "surinam-surgery", year: int = 2034) -> dict[str, Any]:
    """Surgery has one slot in 2034 (tests/approval_service.py); other clusters have none configured."""
    return {
        "activityType": "clinical_clerkship", "country": "SR", "startDate": f"{year}-06-01", "endDate": f"{year}-07-01",
        "details": {"rotation": "regular", "cluster": cluster}, "contact": student.contact, "language": "nl",
    }  # fmt: skip


async def test_last_slot_waiting_list_and_promotion(approval_service: ApprovalService) -> None:
    """One slot and three students: the second gets it when the first withdraws, and the third moves up."""
    first, second, third = (approval_service.student() for _ in range(3))
    answers = [await approval_service.asks(student, **rotation(student)) for student in (first, second, third)]
    ids = [answer["approvalId"] for answer in answers]
    assert [(answer["slot"]["hasPlace"], answer["slot"]["position"]) for answer in answers] == [
        (True, None), (False, 1), (False, 2),
    ]  # fmt: skip

    await approval_service.records(MEDICINE, ids[1], "criteria_confirmed")
    waiting = blocked(await approval_service.grants(MEDICINE, ids[1]))
    assert (waiting.status, waiting.rule, waiting.reason) == (409, "R34", "on_waiting_list")
    assert waiting.email == "intoff@lumc.nl"
    assert (await approval_service.does(first, ids[0], "withdrawal")).status_code == 201

    seen = await approval_service.look(ids[1], second)
    assert progress(seen) == {"criteria_confirmed": "done", "place": "done", "decision": "waiting"}
    assert [entry["what"] for entry in seen["history"]][-1] == "SlotAllocated"
    assert (await approval_service.look(ids[2], third))["slot"]["position"] == 1
    await approval_service.granted(MEDICINE, ids[1])
    assert (
        await approval_service.does(MEDICINE, ids[2], "decisions", {"decision": "refuse", "reason": "No."})
    ).status_code == 201
    board = await approval_service.call("GET", "/rotation-slots", OFFICE, clusterId="surinam-surgery")
    pool = next(item for item in board.json()["items"] if item["slotPoolId"] == "example-surgery-2034")
    assert (pool["slots"], pool["allocated"], pool["waiting"]) == (1, 1, 0)
    assert [entry["approvalId"] for entry in pool["places"]] == [ids[1]]


async def test_promotion_carries_what_the_mail_needs_and_nobody_else_can_read(
    approval_service: ApprovalService,
) -> None:
    """SlotAllocated: promoted, the language, the cluster's name, and contact details sealed for this event."""
    first, second = approval_service.student(), approval_service.student()
    year = 2032
    ids = [
        (await approval_service.asks(student, **rotation(student, year=year)))["approvalId"]
        for student in (first, second)
    ]

    await approval_service.does(first, ids[0], "withdrawal")

    bodies = [
        document["body"]
        async for document in approval_service.database["events"].find({"stream": "example-surgery-to-2032"})
    ]
    fact: Any = next(parse(bytes(body)).data for body in bodies[::-1] if b'"promoted":true' in bytes(body))
    assert (fact.approval_id, fact.language, fact.cluster) == (ids[1], "nl", "Surgery")
    assert second.contact["email"] not in str(fact)
    opened = await approval_service.keyring.open(fact.contact, "/contact")
    assert opened is not None
    assert opened["email"] == second.contact["email"]
    await approval_service.does(second, ids[1], "withdrawal")


async def test_cluster_without_slots_goes_to_the_international_office(approval_service: ApprovalService) -> None:
    """R34: without a pool the office records whether there is a slot before a grant."""
    student = approval_service.student()
    asked = await approval_service.asks(student, **rotation(student, "surinam-woman-and-child"))
    approval_id = asked["approvalId"]
    assert findings(asked) == {("R33", "demanded"), ("R34", "demanded")}
    assert asked["slot"] is None

    await approval_service.records(MEDICINE, approval_id, "criteria_confirmed")
    too_early = blocked(await approval_service.grants(MEDICINE, approval_id))
    listed = await approval_service.call("GET", "/approval-requests", OFFICE, open="true", pageSize="250")
    await approval_service.records(
        OFFICE, approval_id, "international_office_contacted", remark="The hospital has a place."
    )
    await approval_service.granted(MEDICINE, approval_id)

    assert (too_early.rule, too_early.email) == ("R34", "intoff@lumc.nl")
    assert approval_id in {item["approvalId"] for item in listed.json()["items"]}


@pytest.mark.parametrize("cluster", ["surinam-radiology", None])
async def test_cluster_that_is_none_is_named(approval_service: ApprovalService, cluster: str | None) -> None:
    """R34: only one of the three clusters is accepted."""
    student = approval_service.student()
    wish = {**rotation(student), "details": {"rotation": "regular", "cluster": cluster}}

    found = blocked(await approval_service.tries(student, **wish))

    assert (found.status, found.rule, found.fields) == (400, "R34", ("body.details.cluster",))


async def test_one_student_has_one_place(approval_service: ApprovalService) -> None:
    """R34: a second request for the same slots is blocked, and so is one without a contact."""
    student = approval_service.student()
    asked = await approval_service.asks(student, **rotation(student, year=2033))

    again = blocked(await approval_service.tries(student, **rotation(student, year=2033)))
    silent = blocked(
        await approval_service.tries(approval_service.student(), **{**rotation(student, year=2033), "contact": None})
    )

    assert (again.status, again.rule, again.reason) == (409, "R34", "already_in_pool")
    assert silent.fields == ("body.contact",)
    await approval_service.does(student, asked["approvalId"], "withdrawal")


async def test_board_shows_students_no_places_of_others(approval_service: ApprovalService) -> None:
    """Everyone sees the counts; only the office sees the requests."""
    response = await approval_service.call("GET", "/rotation-slots", approval_service.student(), facultyId="lumc")

    assert response.json()["items"]
    assert all(item["places"] is None for item in response.json()["items"])
