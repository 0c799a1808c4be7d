"""Wrong requests: each is a clear problem that names the field, and nothing is stored."""

import asyncio
import uuid
from typing import Any

import pytest

from tests.approval_service import MEDICINE, OFFICE, ApprovalService, Person, blocked, day

pytestmark = pytest.mark.asyncio(loop_scope="session")

GOOD: dict[str, Any] = {"details": {"theme": "oncology", "institute": "listed"}}

#: Request → status, rule, and the field in the answer.
WRONG: list[tuple[dict[str, Any], int, str | None, str | None]] = [
    ({"facultyId": "astrology"}, 400, None, "body.facultyId"),
    ({"programmeId": "lumc-astrology"}, 400, None, "body.programmeId"),
    ({"facultyId": "law"}, 400, None, "body.programmeId"),
    ({"facultyId": "not an id!"}, 400, None, "body.facultyId"),
    ({"activityType": "holiday"}, 400, None, "body.activityType"),
    ({"country": "XX"}, 400, None, "body.country"),
    ({"country": "se"}, 400, None, "body.country"),
    ({"startDate": day(90), "endDate": day(80)}, 400, None, "body.endDate"),
    ({"startDate": day(-9), "endDate": day(-1)}, 409, "R4", "body.endDate"),
    ({"startDate": "2030-02-30"}, 400, None, "body.startDate"),
    ({"details": {"theme": "astrology", "institute": "listed"}}, 400, "R30", "body.details.theme"),
    ({"details": {"theme": "oncology"}}, 400, "R30", "body.details.institute"),
    ({"details": {"theme": "oncology", "institute": "listed", "credits": True}}, 400, None, "body.details.credits"),
    ({"details": {**GOOD["details"], "yearOfStudy": 9}}, 400, None, "body.details.yearOfStudy"),
    ({"details": {"theme": "oncology", "institute": "listed", "status": "granted"}}, 400, None, "body.details.status"),
    ({"activityType": "moot_court"}, 400, None, "body.details.theme"),
    ({"activityType": "clinical_clerkship", "details": {}}, 400, "R33", "body.details.rotation"),
    ({"description": "turned \u202e around"}, 400, None, "body.description"),
    ({"description": "a bell \u0007"}, 400, None, "body.description"),
    ({"description": "x" * 4_001}, 400, None, "body.description"),
    ({"instituteReason": "  "}, 400, None, "body.instituteReason"),
    ({"contact": {"givenName": "A", "surname": "B", "email": "nobody", "mobile": "+31612345678"}}, 400, None,
     "body.contact.email"),
    ({"language": "fr"}, 400, None, "body.language"),
    ({"description": "x" * 1_000_000}, 413, None, None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("wrong", "status", "rule", "field"), WRONG, ids=lambda value: str(value)[:40].replace("\n", " ")
)
async def test_wrong_request_is_named_and_not_stored(
    approval_service: ApprovalService, wrong: dict[str, Any], status: int, rule: str | None, field: str | None
) -> None:
    """Every kind of mistake; the corrected request is accepted."""
    student, before = approval_service.student(), await approval_service.facts()

    found = blocked(await approval_service.tries(student, **{**GOOD, **wrong}))

    assert (found.status, found.rule) == (status, rule)
    assert field is None or field in found.fields
    assert await approval_service.facts() == before
    await approval_service.asks(student, **GOOD)


async def test_every_mistake_is_named_together(approval_service: ApprovalService) -> None:
    """All mistakes of a request are reported in one answer."""
    wrong = {"details": {"theme": "astrology", "institute": "own_choice", "credits": True}}

    found = blocked(await approval_service.tries(approval_service.student(), **wrong))

    assert set(found.fields) == {"body.instituteReason", "body.details.theme", "body.details.credits"}


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("<script>alert(1)</script> & <b>", "<script>alert(1)</script> & <b>"),
        ("first line\r\nsecond line", "first line\nsecond line"),
    ],
)
async def test_html_and_lines_are_text_and_nothing_of_them_is_lost(
    approval_service: ApprovalService, sent: str, kept: str
) -> None:
    """Text comes back as it was written, as JSON that no browser renders; CRLF becomes a line break."""
    student = approval_service.student()
    asked = await approval_service.asks(student, **GOOD, description=sent)

    response = await approval_service.call("GET", f"/approval-requests/{asked['approvalId']}", MEDICINE)

    assert response.json()["description"] == kept
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-content-type-options"] == "nosniff"


async def test_same_idempotency_key_repeats_and_refuses_another_body(approval_service: ApprovalService) -> None:
    """A repeat gets the first answer; another body under the same key is refused and stores nothing."""
    student, key = approval_service.student(), uuid.uuid4().hex
    first = await approval_service.tries(student, key=key, **GOOD)
    before = await approval_service.facts()

    again = await approval_service.tries(student, key=key, **GOOD)
    other = await approval_service.tries(student, key=key, **GOOD, country="NO")

    assert (again.status_code, again.json()) == (201, first.json())
    assert other.status_code == 422
    assert await approval_service.facts() == before


async def test_withdrawn_request_is_not_decided(approval_service: ApprovalService) -> None:
    """A withdrawn request takes no decision, no step and no second withdrawal."""
    student = approval_service.student()
    asked = await approval_service.asks(student, details={"institute": "listed"})
    approval_id = asked["approvalId"]
    await approval_service.does(student, approval_id, "withdrawal")
    before = await approval_service.facts()

    decided = blocked(await approval_service.grants(MEDICINE, approval_id))
    step = {"step": "theme_approved", "positive": True}
    stepped = blocked(await approval_service.does(MEDICINE, approval_id, "steps", step))
    again = blocked(await approval_service.does(student, approval_id, "withdrawal"))

    assert (decided.status, decided.reason) == (409, "withdrawn")
    assert (stepped.status, stepped.reason) == (409, "withdrawn")
    assert (again.status, again.reason) == (409, "already_withdrawn")
    assert await approval_service.facts() == before


async def test_decided_twice_or_without_words(approval_service: ApprovalService) -> None:
    """A second decision is a conflict; a refusal or a question needs its text."""
    asked = await approval_service.asks(approval_service.student(), **GOOD)
    for decision in ("refuse", "return"):
        found = blocked(await approval_service.does(MEDICINE, asked["approvalId"], "decisions", {"decision": decision}))
        assert (found.status, found.fields) == (400, ("body.reason",))
    await approval_service.granted(MEDICINE, asked["approvalId"])

    again = blocked(await approval_service.grants(MEDICINE, asked["approvalId"]))

    assert (again.status, again.reason) == (409, "already_decided")


async def test_step_by_the_wrong_role_or_of_no_rule(approval_service: ApprovalService) -> None:
    """R31's step is the coordinator's; a step that no rule demands is refused."""
    asked = await approval_service.asks(approval_service.student(), details={"institute": "listed"})
    approval_id, before = asked["approvalId"], await approval_service.facts()

    office = await approval_service.does(OFFICE, approval_id, "steps", {"step": "theme_approved", "positive": True})
    needless = blocked(
        await approval_service.does(MEDICINE, approval_id, "steps", {"step": "credits_asked", "positive": True})
    )
    unknown = blocked(await approval_service.does(MEDICINE, approval_id, "steps", {"step": "prayed", "positive": True}))

    assert office.status_code == 404  # nothing of this request is the office's
    assert (needless.status, needless.reason) == (409, "not_demanded")
    assert (unknown.status, unknown.fields) == (400, ("body.step",))
    assert await approval_service.facts() == before


async def test_two_approvers_at_once_one_wins_and_the_other_sees_the_newer_state(
    approval_service: ApprovalService,
) -> None:
    """The second gets 412 with the newer ETag; one decision is stored."""
    second = Person("another-coordinator", ("approver:lumc-medicine",))
    asked = await approval_service.asks(approval_service.student(), **GOOD)
    approval_id = asked["approvalId"]
    seen = (await approval_service.call("GET", f"/approval-requests/{approval_id}", MEDICINE)).headers["etag"]

    answers = await asyncio.gather(
        approval_service.does(
            MEDICINE, approval_id, "decisions", {"decision": "grant", "programmeConfirmed": True}, seen
        ),
        approval_service.does(second, approval_id, "decisions", {"decision": "refuse", "reason": "No."}, seen),
    )

    assert sorted(answer.status_code for answer in answers) == [201, 412]
    loser = next(answer for answer in answers if answer.status_code == 412)
    winner = next(answer for answer in answers if answer.status_code == 201)
    assert loser.headers["etag"] == winner.headers["etag"] == '"2"'
    assert (await approval_service.look(approval_id, second))["status"] == winner.json()["status"]
