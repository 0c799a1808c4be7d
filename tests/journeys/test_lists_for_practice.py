"""Lists for practice: who has not registered yet, finding a student, granting many at once, tables."""

import csv
import io

import pytest

from services.registration.search_index import complete_search_index
from tests.approval_service import MEDICINE, ApprovalService, day
from tests.journeys.registration_world import (
    APPROVER,
    FACULTY_CONTACT,
    INTERNATIONAL_OFFICE,
    LINGUIST,
    SAFETY_OFFICER,
    STUDENT,
    Person,
    Portal,
    another,
    today,
    voluntary,
)

pytestmark = pytest.mark.asyncio(loop_scope="session")

#: An activity for which no rule asks anything more.
TRIP = "field_trip"


async def test_who_got_approval_and_never_registered_is_on_a_list(portal: Portal) -> None:
    """The office and the coordinator see them with name and days since the grant, until they register."""
    await portal.ask("approval-of-one")
    await portal.grant("approval-of-one")

    for reader in (INTERNATIONAL_OFFICE, APPROVER):
        [waiting] = (await portal.done(reader, "GET", "/unregistered-approvals"))["items"]
        assert (waiting["approvalId"], waiting["daysSinceGrant"], waiting["daysLeft"]) == ("approval-of-one", 0, 60)
        assert waiting["student"]["studentNumber"] == STUDENT.contact["studentNumber"]
    assert (await portal.done(LINGUIST, "GET", "/unregistered-approvals"))["items"] == [], "another programme"
    before = f"/unregistered-approvals?grantedBefore={today().isoformat()}"
    assert (await portal.done(INTERNATIONAL_OFFICE, "GET", before))["items"] == [], "granted today, not before"

    registration_id = await portal.register(approvalId="approval-of-one")
    assert (await portal.done(INTERNATIONAL_OFFICE, "GET", "/unregistered-approvals"))["items"] == []
    await portal.done(STUDENT, "POST", f"/registrations/{registration_id}/cancellation", etag="*")
    assert len((await portal.done(INTERNATIONAL_OFFICE, "GET", "/unregistered-approvals"))["items"]) == 1
    await portal.withdraw("approval-of-one")
    assert (await portal.done(INTERNATIONAL_OFFICE, "GET", "/unregistered-approvals"))["items"] == []


async def found(portal: Portal, who: Person, text: str) -> list[str]:
    """The ids of the registrations that a search finds."""
    items = (await portal.done(who, "POST", "/registration-searches", {"text": text}))["registrations"]
    return [str(item["registrationId"]) for item in items]


async def test_office_finds_a_student_by_name_number_or_mail(portal: Portal) -> None:
    """Within what each may see; a new name is found at once and the old one no more; an erased student never."""
    mine = await portal.register(**voluntary())
    await portal.register(another(STUDENT, "student-elsewhere"), **voluntary())
    contact = STUDENT.contact
    for text in (contact["surname"], contact["email"].upper(), contact["studentNumber"]):
        for who in (INTERNATIONAL_OFFICE, SAFETY_OFFICER, FACULTY_CONTACT, APPROVER):
            assert await found(portal, who, text) == [mine], (text, who)
        assert await found(portal, LINGUIST, text) == []
    assert await found(portal, INTERNATIONAL_OFFICE, "nobody-of-this-name") == []
    refused = await portal.call(INTERNATIONAL_OFFICE, "POST", "/registration-searches", {"text": " , "})
    assert refused.status_code == 400

    moved = {**contact, "surname": "Verhuisd", "email": "new@students.example"}
    await portal.done(STUDENT, "PUT", f"/registrations/{mine}/stay-contact", moved, etag="*")
    assert await found(portal, INTERNATIONAL_OFFICE, "verhuisd") == [mine]
    assert await found(portal, INTERNATIONAL_OFFICE, contact["email"]) == [mine], "as registered, too"
    stored = await portal.world.mongo.database("registration")["search"].find_one({"_id": mine})
    assert stored is not None
    assert "verhuisd" not in str(stored)


async def test_lost_search_index_is_made_again_from_the_registrations(portal: Portal) -> None:
    """After a restore without it, the sweep completes it."""
    mine = await portal.register(**voluntary())
    store = portal.deps.evaluation.store
    await store.search.collection.delete_many({})
    assert await found(portal, INTERNATIONAL_OFFICE, STUDENT.contact["email"]) == []

    assert await complete_search_index(store, portal.world.keyring) == 1

    assert await found(portal, INTERNATIONAL_OFFICE, STUDENT.contact["email"]) == [mine]
    assert await complete_search_index(store, portal.world.keyring) == 0


async def test_queue_opens_as_a_table(portal: Portal) -> None:
    """With Accept: text/csv; a cell that begins like a formula is not run; an empty list has its header."""
    dangerous = {**STUDENT.contact, "surname": "=HYPERLINK(1)"}
    registration_id = await portal.register(**voluntary(), contact=dangerous)

    answer = await portal.call(
        INTERNATIONAL_OFFICE, "GET", "/registrations", headers={"Accept": "text/csv, application/json;q=0.5"}
    )

    assert answer.headers["content-type"].startswith("text/csv")
    [row] = list(csv.DictReader(io.StringIO(answer.text)))
    assert (row["registrationId"], row["countries"]) == (registration_id, "ES")
    assert row["student.mobile"] == f"'{STUDENT.contact['mobile']}"
    assert "=HYPERLINK" in row["student.name"]
    assert not row["student.name"].startswith("=")
    empty = await portal.call(INTERNATIONAL_OFFICE, "GET", "/tasks", headers={"Accept": "text/csv"})
    assert empty.text.startswith("taskId,")
    assert len(empty.text.splitlines()) == 1


async def test_coordinator_grants_thirteen_at_once_and_each_by_the_rules(approval_service: ApprovalService) -> None:
    """One reason for all; a request only claimed, changed since or of another programme is refused for itself alone."""
    students = [approval_service.student() for _ in range(4)]
    ids = [(await approval_service.asks(student, activityType=TRIP))["approvalId"] for student in students]
    other = (await approval_service.asks(approval_service.student(), "example-law", activityType=TRIP))["approvalId"]
    items = [
        {"approvalId": ids[0], "version": 1, "programmeConfirmed": True},
        {"approvalId": ids[1], "version": 1},
        {"approvalId": ids[2], "version": 7, "programmeConfirmed": True},
        {"approvalId": ids[3], "version": 1, "programmeConfirmed": True},
        {"approvalId": other, "version": 1, "programmeConfirmed": True},
    ]
    body = {"decision": "grant", "items": items}
    key = {"Idempotency-Key": f"bulk-{ids[0]}"}

    first = await approval_service.call("POST", "/approval-decisions", MEDICINE, body, headers=key)

    assert first.status_code == 200, first.text
    told = first.json()
    assert (told["granted"], told["refused"]) == (2, 3)
    assert [result["httpStatus"] for result in told["results"]] == [201, 409, 412, 201, 404]
    assert told["results"][1]["problem"]["reason"] == "programme_only_claimed"
    again = await approval_service.call("POST", "/approval-decisions", MEDICINE, body, headers=key)
    assert again.json() == told, "a repeat grants none twice"
    twice = {"decision": "grant", "items": [items[0], items[0]]}
    assert (await approval_service.call("POST", "/approval-decisions", MEDICINE, twice)).status_code == 400
    assert (await approval_service.call("POST", "/approval-decisions", students[0], body)).status_code == 403


async def test_queue_says_which_version_a_decision_is_for(approval_service: ApprovalService) -> None:
    """So a coordinator who grants many needs one look at the list, and no look at each request."""
    student = approval_service.student()
    approval_id = (await approval_service.asks(student, startDate=day(50), activityType=TRIP))["approvalId"]
    queue = (await approval_service.call("GET", "/approval-requests", student)).json()["items"]

    assert [(item["approvalId"], item["version"]) for item in queue] == [(approval_id, 1)]
