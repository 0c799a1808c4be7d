"""Reading a queue costs as much as its page, however many registrations there are: shown by explain."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from shared.clock import utc_now
from shared.envelope import draft
from shared.events import TaskOpened
from shared.ids import new_id
from shared.mongo.client import Session
from tests.conftest import Stack
from tests.integration.registration_parts import CAUSE, Parts, journey, parts, permissions_with

PAGE = 51
REGISTRATIONS, TRANSACTION_SIZE = 600, 100


@pytest.fixture
async def made(stack: Stack, namespace: str) -> AsyncIterator[Parts]:
    """Many registrations, each with a task."""
    async with parts(stack.mongo, namespace) as service:
        submitted = await service.submit([journey(20 + number % 200) for number in range(REGISTRATIONS)], utc_now())
        for start in range(0, REGISTRATIONS, TRANSACTION_SIZE):
            part = submitted[start : start + TRANSACTION_SIZE]

            async def work(session: Session, part: Any = part) -> Any:
                tasks = [(loaded, [draft(_task(loaded.id))]) for loaded in part]
                return await service.store.record_all(tasks, cause=CAUSE, now=utc_now(), session=session)

            await service.mongo.transaction(work)
        yield service


async def test_lists_and_queues_read_their_page_and_no_more(made: Parts) -> None:
    """No collection is scanned, nothing is sorted in memory, and no more is read than is shown."""
    contact = permissions_with("c", "faculty-contact:example-sciences")
    everybody = permissions_with("o", "international-office")
    approver, board = (permissions_with("a", f"approver:{scope}") for scope in (
        "example-biology", "example-humanities-board-of-examiners",
    ))  # fmt: skip
    registrations, tasks = made.store.registrations.collection, made.store.tasks.collection
    queries = [
        (registrations, contact.registrations_query()),
        (registrations, everybody.registrations_query()),
        (registrations, {"$and": [everybody.registrations_query(), {"status": "submitted"}]}),
        (tasks, {"$and": [contact.tasks_query(), {"open": True}]}),
        *(
            (collection, query)
            for permissions in (approver, board)
            for collection, query in (
                (registrations, permissions.registrations_query()),
                (tasks, {"$and": [permissions.tasks_query(), {"open": True}]}),
            )
        ),
    ]
    for collection, query in queries:
        plan = await collection.find(query).sort([("departureDate", 1), ("_id", 1)]).limit(PAGE).explain()
        stages = _stages(plan["queryPlanner"]["winningPlan"])
        assert not stages & {"COLLSCAN", "SORT"}, (query, stages)
        assert plan["executionStats"]["totalDocsExamined"] <= PAGE, query


async def test_own_registrations_and_checklist_read_one_persons(made: Parts) -> None:
    """A student's list is found by the person, a checklist by its id."""
    document = await made.store.registrations.collection.find_one({})
    assert document is not None
    for query in (permissions_with(document["personId"], "student").registrations_query(), {"_id": document["_id"]}):
        plan = await made.store.registrations.collection.find(query).explain()
        assert plan["executionStats"]["totalDocsExamined"] == plan["executionStats"]["nReturned"] == 1


def _task(registration_id: str) -> TaskOpened:
    return TaskOpened(
        registration_id=registration_id, person_id=new_id(), task_id=new_id(), queue="faculty-contact",
        scope="example-sciences", rule="R7", reason="within_two_weeks",
    )  # fmt: skip


def _stages(plan: dict[str, Any]) -> set[str]:
    stages = {str(plan["stage"])}
    for stage in (*([plan["inputStage"]] if "inputStage" in plan else []), *plan.get("inputStages", ())):
        stages |= _stages(stage)
    return stages
