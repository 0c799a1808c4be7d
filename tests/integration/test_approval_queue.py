"""The approver's list on a real MongoDB: overdue first, counts, filters, pages, and its query plans."""

import uuid
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio

from services.approval.access import Permissions
from services.approval.model import ApprovalRequest, Status
from services.approval.store.queries import has_status, is_open, order
from services.approval.store.requests import MAX_COUNTED, Store
from shared.clock import amsterdam_date, utc_now
from shared.events import ActivityDetails, ActivityType, Finding, FindingEffect
from shared.web.local_tokens import create_keys
from tests.approval_service import MEDICINE, OFFICE, ApprovalService, approval_service_on, forget, leiden

pytestmark = pytest.mark.asyncio(loop_scope="module")

TOTAL = 1_500
PROGRAMMES = ("lumc-medicine", "lumc-medicine", "lumc-medicine", "lumc-pharmacy")
STATUSES = (Status.REQUESTED, Status.RETURNED, Status.GRANTED, Status.REQUESTED, Status.REFUSED)


def kept(number: int) -> dict[str, Any]:
    """A stored request. First days start ten days ago; every seventh is the office's as well."""
    now, today = utc_now(), amsterdam_date(utc_now())
    start = today + timedelta(days=number % 60 - 10)
    finding = Finding(
        rule="R35", effect=FindingEffect.DEMANDED, reason="office_to_be_contacted", queue="international-office"
    )
    state = ApprovalRequest(
        approval_id=f"a-{number:06}",
        person_id=f"p-{number % 40}",
        faculty_id="lumc",
        programme_id=PROGRAMMES[number % len(PROGRAMMES)],
        activity_type=list(ActivityType)[number % 8],
        country=("SE", "SR", "NO")[number % 3],
        start_date=start,
        end_date=start + timedelta(days=30),
        description=None,
        catalogue_version="0" * 12,
        status=STATUSES[number % len(STATUSES)],
        requested_at=now - timedelta(minutes=number),
        changed_at=now,
        details=ActivityDetails(group_id=f"g-{number % 50}"),
        findings=(finding,) if number % 7 == 0 else (),
    )
    return {"_id": state.approval_id, "version": 1, **state.model_dump(mode="json", by_alias=True)}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def full(stack: Any, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ApprovalService]:
    """A service with many requests."""
    namespace = f"t{uuid.uuid4().hex[:8]}-"
    keys, catalogue = tmp_path_factory.mktemp("keys"), leiden(tmp_path_factory.mktemp("leiden"))
    create_keys(keys)
    async with approval_service_on(stack.mongo, namespace, keys, catalogue) as approval_service:
        await approval_service.database["requests"].insert_many([kept(number) for number in range(TOTAL)])
        yield approval_service
    forget(stack.mongo, namespace)


async def page(approval_service: ApprovalService, person: Any = MEDICINE, **query: str) -> dict[str, Any]:
    """One page of the list."""
    response = await approval_service.call("GET", "/approval-requests", person, **query)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


async def everything(approval_service: ApprovalService, **query: str) -> list[dict[str, Any]]:
    """Every item, page by page."""
    found: list[dict[str, Any]] = []
    for number in range(1, 20):
        one = await page(approval_service, pageSize="250", pageNumber=str(number), **query)
        found += one["items"]
        if not one["hasNextPage"]:
            return found
    raise AssertionError("no end")


MINE = [number for number in range(TOTAL) if PROGRAMMES[number % len(PROGRAMMES)] == "lumc-medicine"]
OPEN = [number for number in MINE if STATUSES[number % len(STATUSES)] in (Status.REQUESTED, Status.RETURNED)]


def names(numbers: Any) -> set[str]:
    """The ids of the items."""
    return {f"a-{number:06}" for number in numbers}


async def test_queue_begins_with_what_is_overdue_and_says_so(full: ApprovalService) -> None:
    """By first day. Overdue requests are blocked by R4 with the coordinator's contact. With counts."""
    found = await page(full, open="true")

    first_days = [item["startDate"] for item in found["items"]]
    assert first_days == sorted(first_days)
    assert all(item["blocked"]["rule"] == "R4" and item["blocked"]["contact"]["email"] for item in found["items"])
    overdue = [number for number in OPEN if number % 60 <= 10]
    returned = [number for number in OPEN if STATUSES[number % len(STATUSES)] is Status.RETURNED]
    assert found["counts"] == {
        "open": len(OPEN), "overdue": len(overdue), "returned": len(returned), "countedUpTo": MAX_COUNTED,
    }  # fmt: skip


FILTERS: list[tuple[dict[str, str], Any]] = [
    ({"open": "true"}, lambda number: number in OPEN),
    ({"open": "false"}, lambda number: number not in OPEN),
    ({"overdue": "true"}, lambda number: number in OPEN and number % 60 <= 10),
    ({"status": "granted"}, lambda number: number % 5 == 2),
    ({"programmeId": "lumc-medicine"}, lambda number: True),
    ({"programmeId": "lumc-pharmacy"}, lambda number: False),
    ({"activityType": "moot_court"}, lambda number: number % 8 == 6),
    ({"country": "SR", "open": "true"}, lambda number: number % 3 == 1 and number in OPEN),
    ({"groupId": "g-7"}, lambda number: number % 50 == 7),
    ({"status": "requested", "overdue": "true"}, lambda number: number % 5 in (0, 3) and number % 60 <= 10),
]


@pytest.mark.parametrize(("query", "wanted"), FILTERS, ids=["&".join(query.values()) for query, _ in FILTERS])
async def test_queue_filters(full: ApprovalService, query: dict[str, str], wanted: Any) -> None:
    """Every filter, over all pages, each request once."""
    found = await everything(full, **query)

    assert [item["approvalId"] for item in found] == sorted(
        (item["approvalId"] for item in found),
        key=lambda name: next((item["startDate"], name) for item in found if item["approvalId"] == name),
    )
    assert {item["approvalId"] for item in found} == names(number for number in MINE if wanted(number))


async def test_queue_between_two_days(full: ApprovalService) -> None:
    """Both days are included."""
    today = amsterdam_date(utc_now())
    first, last = (today + timedelta(days=size) for size in (5, 7))

    found = await everything(full, startsFrom=first.isoformat(), startsUntil=last.isoformat())

    assert {item["approvalId"] for item in found} == names(number for number in MINE if 15 <= number % 60 <= 17)


@pytest.mark.parametrize("sort", ["startDate", "-startDate", "requestedAt", "-requestedAt"])
async def test_queue_sorts(full: ApprovalService, sort: str) -> None:
    """By either field, in both directions."""
    field = sort.removeprefix("-")

    found = [item[field] for item in await everything(full, sort=sort)]

    assert found == sorted(found, reverse=sort.startswith("-"))


async def test_office_has_a_queue_of_its_own(full: ApprovalService) -> None:
    """R35: requests in which a rule gives the office a part, of every programme."""
    found = await page(full, OFFICE, open="true", pageSize="250")

    theirs = [n for n in range(0, TOTAL, 7) if STATUSES[n % len(STATUSES)] in (Status.REQUESTED, Status.RETURNED)]
    assert {item["approvalId"] for item in found["items"]} == names(theirs)
    assert found["counts"]["open"] == len(theirs)


# ---------------------------------------------------------------- what MongoDB does for it

APPROVER = Permissions("p", False, frozenset(), frozenset({"lumc-medicine", "lumc-pharmacy"}))
OFFICER = Permissions("p", False, frozenset(), frozenset(), is_office=True)
STUDENT = Permissions("p-3", True, frozenset(), frozenset())
BOTH = Permissions("p-3", True, frozenset(), frozenset({"lumc-medicine"}))
PLANS: list[tuple[str, Permissions, dict[str, Any], str]] = [
    ("queue", APPROVER, is_open(), "startDate"),
    ("one state", APPROVER, has_status([Status.RETURNED]), "startDate"),
    ("all", APPROVER, {}, "startDate"),
    ("newest", APPROVER, {}, "-requestedAt"),
    ("office", OFFICER, is_open(), "startDate"),
    ("office, all", OFFICER, {}, "-startDate"),
    ("own", STUDENT, {}, "startDate"),
    ("own, newest", STUDENT, {}, "-requestedAt"),
    ("one trip", APPROVER, {"details.groupId": "g-7"}, "startDate"),
    ("student and approver", BOTH, {}, "startDate"),
]


@pytest.mark.parametrize(
    ("permissions", "states", "sort"), [plan[1:] for plan in PLANS], ids=[plan[0] for plan in PLANS]
)
async def test_page_is_read_from_an_index_in_its_order(
    full: ApprovalService, permissions: Permissions, states: dict[str, Any], sort: str
) -> None:
    """`explain`: no collection scan, no sort in memory, and hardly more keys than items."""
    query = {"$and": [permissions.query(), *([states] if states else [])]}
    limit = 51

    plan = await full.database.command(
        {
            "explain": {
                "find": "requests", "filter": query, "sort": dict(order(sort)), "limit": limit,
            },
            "verbosity": "executionStats",
        }
    )  # fmt: skip

    stages = _stages(plan["queryPlanner"]["winningPlan"])
    assert "COLLSCAN" not in stages
    assert "SORT" not in stages
    assert "IXSCAN" in stages
    statistics = plan["executionStats"]
    assert statistics["nReturned"] <= limit
    assert statistics["totalDocsExamined"] <= 2 * limit
    assert statistics["totalKeysExamined"] <= 2 * limit + 10


async def test_counting_reads_keys_alone_and_not_more_than_it_counts(full: ApprovalService) -> None:
    """A list of a hundred thousand is counted as fast as one of a thousand."""
    plan = await full.database.command(
        {
            "explain": {"count": "requests", "query": {"$and": [APPROVER.query(), is_open()]}, "limit": 100},
            "verbosity": "executionStats",
        }
    )

    assert "COLLSCAN" not in _stages(plan["queryPlanner"]["winningPlan"])
    assert await Store(full.database).count(APPROVER.query()) == MAX_COUNTED


def _stages(plan: dict[str, Any]) -> set[str]:
    """Every stage of a query plan."""
    found = {plan["stage"]} if "stage" in plan else set()
    for stage in (plan.get("inputStage"), plan.get("queryPlan"), *plan.get("inputStages", ())):
        if stage:
            found |= _stages(stage)
    return found
