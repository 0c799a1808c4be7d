"""A place of another programme: the login's word counts, and what a student only claims the approver confirms (R5)."""

import uuid
from dataclasses import replace

import pytest

from shared.web.local_tokens import create_keys
from tests.approval_service import (
    MEDICINE,
    OFFICE,
    ApprovalService,
    Person,
    approval_service_on,
    blocked,
    forget,
    leiden,
)
from tests.conftest import Stack

pytestmark = pytest.mark.asyncio(loop_scope="session")

#: An activity for which no rule asks anything more.
TRIP = "field_trip"

CLAIMS = {"programme_claim": "programmes", "student_number_claim": "studentNumber"}


async def test_law_student_takes_no_place_of_medicine_by_naming_another_programme(
    approval_service: ApprovalService,
) -> None:
    """The coordinator sees that the programme is only claimed, by whom, and must confirm it before a grant."""
    student = approval_service.student()
    approval_id = (await approval_service.asks(student, "lumc-medicine", activityType=TRIP))["approvalId"]

    queue = (await approval_service.call("GET", "/approval-requests", MEDICINE, sort="-requestedAt")).json()["items"]
    [asked] = [item for item in queue if item["approvalId"] == approval_id]
    assert asked["programmeSource"] == "claimed"
    assert asked["student"]["name"] == f"{student.contact['givenName']} {student.contact['surname']}"
    assert asked["student"]["studentNumber"] == student.contact["studentNumber"]
    unchecked = await approval_service.does(MEDICINE, approval_id, "decisions", {"decision": "grant"})
    refused = blocked(unchecked)
    assert (refused.status, refused.rule, refused.reason) == (409, "R5", "programme_only_claimed")
    assert refused.fields == ("body.programmeConfirmed",)
    assert refused.email == "intoff@lumc.nl"

    await approval_service.granted(MEDICINE, approval_id)

    granted = await approval_service.look(approval_id, student)
    assert (granted["status"], granted["programmeSource"]) == ("granted", "approver")


async def test_login_says_what_i_study(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Another programme than the login's is refused by name; one's own needs no confirmation, and has the number."""
    namespace, keys = f"t{uuid.uuid4().hex[:8]}-", tmp_path_factory.mktemp("keys")
    create_keys(keys)
    catalogue = leiden(tmp_path_factory.mktemp("leiden"))
    lawyer = Person("law-student", programmes=("law-bachelor",), number="s7654321")
    medic = replace(lawyer, login="medicine-student", programmes=("lumc-medicine", "law-bachelor"))
    guest = Person("guest-student")
    async with approval_service_on(stack.mongo, namespace, keys, catalogue, **CLAIMS) as service:
        refused = blocked(await service.tries(lawyer, "lumc-medicine"))
        assert (refused.status, refused.rule, refused.reason) == (409, "R5", "programme_not_of_the_login")
        assert refused.fields == ("body.programmeId",)

        approval_id = (await service.asks(medic, "lumc-medicine", activityType=TRIP))["approvalId"]
        seen = await service.look(approval_id, MEDICINE)
        assert (seen["programmeSource"], seen["student"]["studentNumber"]) == ("login", "s7654321")
        grant = await service.does(MEDICINE, approval_id, "decisions", {"decision": "grant"})
        assert grant.status_code == 201, grant.text

        claimed = (await service.asks(guest, "lumc-medicine", activityType=TRIP))["approvalId"]
        seen = await service.look(claimed, MEDICINE)
        assert seen["programmeSource"] == "claimed", "a login that says nothing vouches for nothing"
    forget(stack.mongo, namespace)


async def test_office_sees_who_has_and_who_awaits_a_place(approval_service: ApprovalService) -> None:
    """The slot board names them with number and phone for the International Office, and for nobody else."""
    students = [approval_service.student() for _ in range(2)]
    rotation = {
        "activityType": "clinical_clerkship", "country": "SR", "startDate": "2033-06-01", "endDate": "2033-07-01",
        "details": {"rotation": "regular", "cluster": "surinam-surgery"},
    }  # fmt: skip
    ids = [(await approval_service.asks(student, **rotation))["approvalId"] for student in students]

    board = (await approval_service.call("GET", "/rotation-slots", OFFICE, clusterId="surinam-surgery")).json()["items"]
    places = next(pool for pool in board if pool["slotPoolId"] == "example-surgery-2033")["places"]

    assert [student.contact["email"] for student in students] == [
        place["student"]["email"] for place in places if place["approvalId"] in ids
    ]
    assert all(place["student"]["mobile"] and place["student"]["studentNumber"] for place in places)
    for reader in (MEDICINE, students[0]):
        other = (await approval_service.call("GET", "/rotation-slots", reader, clusterId="surinam-surgery")).json()
        assert all(pool["places"] is None for pool in other["items"])
