"""After the start the programme's coordinator alone decides, with a reason (R4); a grant can be taken back (R5)."""

from datetime import timedelta
from typing import Any

import pytest

from shared.clock import amsterdam_date, utc_now
from tests.approval_service import MEDICINE, OFFICE, ApprovalService, Person, approver, blocked, day, findings

pytestmark = pytest.mark.asyncio(loop_scope="session")

OWN = approver("example-languages")
TRIP = {"activityType": "study_association_trip", "country": "CZ"}
STARTED = {**TRIP, "startDate": day(-3), "endDate": day(20)}
LATE = {
    "decision": "grant", "programmeConfirmed": True, "reason": "The host changed the dates at the last moment.",
}  # fmt: skip


async def queue(service: ApprovalService, person: Person) -> dict[str, Any]:
    """The open requests whose first day has come, as this person sees them."""
    response = await service.call("GET", "/approval-requests", person, open="true", overdue="true", pageSize="100")
    found: dict[str, Any] = response.json()
    return found


async def begin(service: ApprovalService, approval_id: str) -> None:
    """The first day comes before anybody has decided."""
    yesterday = amsterdam_date(utc_now()) - timedelta(days=1)
    await service.database["requests"].update_one({"_id": approval_id}, {"$set": {"startDate": yesterday.isoformat()}})


async def test_i_left_without_approval_and_my_coordinator_can_still_make_it_right(
    approval_service: ApprovalService,
) -> None:
    """The request is kept, shows as late, is granted by the coordinator with a reason, and the student reads it."""
    student = approval_service.student()

    asked = await approval_service.asks(student, "example-languages", **STARTED)

    approval_id = asked["approvalId"]
    assert ("R4", "routed") in findings(asked)
    late = next(item for item in (await queue(approval_service, OWN))["items"] if item["approvalId"] == approval_id)
    assert (late["blocked"]["rule"], late["daysLeft"], late["waitsFor"]) == ("R4", -3, "decision")
    assert late["blocked"]["contact"]["email"] == asked["contact"]["email"]
    without = blocked(await approval_service.grants(OWN, approval_id))
    assert (without.status, without.rule, without.fields) == (400, "R4", ("body.reason",))

    granted = await approval_service.does(OWN, approval_id, "decisions", LATE)

    assert (granted.status_code, granted.json()["status"]) == (201, "granted")
    seen = await approval_service.look(approval_id, student)
    assert (seen["explanation"], seen["decidedBy"]) == (LATE["reason"], await approval_service.person_id(OWN))
    assert seen["history"][-1]["remark"] == LATE["reason"]
    assert all(item["approvalId"] != approval_id for item in (await queue(approval_service, OWN))["items"])


async def test_a_request_in_time_that_nobody_decided_is_not_lost_when_the_day_comes(
    approval_service: ApprovalService,
) -> None:
    """It shows first in the queue; the coordinator asks, the student answers, and the coordinator refuses: it ends."""
    student = approval_service.student()
    approval_id = (await approval_service.asks(student, "example-languages", **TRIP))["approvalId"]
    await begin(approval_service, approval_id)
    waiting = await approval_service.look(approval_id, student)
    assert [(line["what"], line["state"], line["rule"]) for line in waiting["progress"]] == [
        ("decision", "waiting", "R4")
    ]

    asked = {"decision": "return", "reason": "When did you leave?"}
    assert (await approval_service.does(OWN, approval_id, "decisions", asked)).status_code == 201
    assert (await approval_service.does(student, approval_id, "answers", {"answer": "Yesterday."})).status_code == 201
    refusal = {"decision": "refuse", "reason": "It is not part of your programme."}
    assert (await approval_service.does(OWN, approval_id, "decisions", refusal)).json()["status"] == "refused"

    seen = await approval_service.look(approval_id, student)
    assert [entry["remark"] for entry in seen["history"]] == [None, asked["reason"], "Yesterday.", refusal["reason"]]


async def test_a_step_that_the_grant_needs_can_be_recorded_after_the_start(approval_service: ApprovalService) -> None:
    """R31: otherwise the coordinator could never grant a research project outside the themes."""
    student = approval_service.student()
    wish = {"details": {"institute": "listed"}, "startDate": day(-1), "endDate": day(30)}
    approval_id = (await approval_service.asks(student, **wish))["approvalId"]
    assert blocked(await approval_service.does(MEDICINE, approval_id, "decisions", LATE)).rule == "R31"

    await approval_service.records(MEDICINE, approval_id, "theme_approved")

    assert (await approval_service.does(MEDICINE, approval_id, "decisions", LATE)).status_code == 201


async def test_the_board_of_examiners_does_not_decide_after_the_start(approval_service: ApprovalService) -> None:
    """R4: it approves like the coordinator before the start; afterwards it is told who decides."""
    coordinator, board = approver("example-archaeology"), approver("example-board")
    student = approval_service.student()
    in_time = (await approval_service.asks(student, "example-archaeology", **TRIP))["approvalId"]
    late = (await approval_service.asks(student, "example-archaeology", **STARTED))["approvalId"]
    await approval_service.granted(board, in_time)
    before = await approval_service.facts()

    for decision in ("grant", "refuse", "return"):
        found = blocked(await approval_service.does(board, late, "decisions", {**LATE, "decision": decision}))
        assert (found.status, found.rule, found.reason) == (403, "R4", "already_started")
        assert found.email

    assert await approval_service.facts() == before
    assert (await approval_service.does(coordinator, late, "decisions", LATE)).status_code == 201


async def test_my_programme_takes_its_approval_back_and_says_why(approval_service: ApprovalService) -> None:
    """R5: with a reason, once, by an approver of the programme; the slot goes to the next student in line (R34)."""
    first, second = approval_service.student(), approval_service.student()
    wish = {
        "activityType": "clinical_clerkship",
        "country": "SR",
        "startDate": "2035-02-01",
        "endDate": "2035-03-01",
        "details": {"rotation": "regular", "cluster": "surinam-surgery"},
    }
    approval_id = (await approval_service.asks(first, contact=first.contact, **wish))["approvalId"]
    waiting = await approval_service.asks(second, contact=second.contact, **wish)
    assert waiting["slot"]["position"] == 1
    await approval_service.records(MEDICINE, approval_id, "criteria_confirmed")
    early = blocked(await revoke(approval_service, MEDICINE, approval_id))
    assert (early.status, early.reason) == (409, "not_granted")
    await approval_service.granted(MEDICINE, approval_id)
    without = blocked(await approval_service.does(MEDICINE, approval_id, "decisions", {"decision": "revoke"}))
    assert (without.status, without.fields) == (400, ("body.reason",))
    for nobody in (OWN, OFFICE, first):
        assert (await revoke(approval_service, nobody, approval_id)).status_code in (403, 404)

    taken_back = await revoke(approval_service, MEDICINE, approval_id)

    assert (taken_back.status_code, taken_back.json()["status"]) == (201, "revoked")
    seen = await approval_service.look(approval_id, first)
    assert (seen["status"], seen["explanation"], seen["slot"]["hasPlace"]) == ("revoked", WHY, False)
    assert seen["history"][-2]["what"] == "ApprovalRevoked"
    assert seen["history"][-2]["remark"] == WHY
    assert (await approval_service.look(waiting["approvalId"], second))["slot"]["hasPlace"]
    before = await approval_service.facts()
    again = blocked(await revoke(approval_service, MEDICINE, approval_id))
    withdrawn = blocked(await approval_service.does(first, approval_id, "withdrawal"))
    assert (again.status, again.reason) == (409, "already_revoked")
    assert (withdrawn.status, withdrawn.reason) == (409, "already_revoked")
    assert await approval_service.facts() == before


WHY = "The hospital has closed the department."


async def revoke(service: ApprovalService, person: Person, approval_id: str) -> Any:
    """Take the grant back, with a reason."""
    return await service.does(person, approval_id, "decisions", {"decision": "revoke", "reason": WHY})
