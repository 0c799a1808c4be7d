"""Slots under concurrency: two processes, and students who ask and withdraw at the same moment (R34)."""

import asyncio
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from services.approval import slots
from services.approval.deps import CommandDeps
from services.approval.slots import NextInLine
from services.approval.store.requests import Store
from shared.bus.outbox import StreamMoved
from shared.clock import utc_now
from shared.envelope import Cause, parse
from shared.events import SlotAllocated
from shared.ids import new_id
from shared.live_catalogue import LiveCatalogue
from shared.mongo.client import Session
from shared.mongo.group_commit import GroupCommit
from shared.web.local_tokens import create_keys
from tests.approval_service import ApprovalService, Person, approval_service_on, leiden

POOL, SLOTS, STUDENTS = "example-surgery-2033", 3, 24


def rotation(student: Person) -> dict[str, Any]:
    """A request for one of three slots."""
    return {
        "activityType": "clinical_clerkship", "country": "SR", "startDate": "2033-06-01", "endDate": "2033-07-01",
        "details": {"rotation": "regular", "cluster": "surinam-surgery"}, "contact": student.contact,
    }  # fmt: skip


async def asks(approval_service: ApprovalService, student: Person) -> str:
    """Ask until it is accepted: a request that lost against competing writers is sent again."""
    key = uuid.uuid4().hex
    async with asyncio.timeout(240):
        while True:
            response = await approval_service.tries(student, key=key, **rotation(student))
            if response.status_code == 201:
                return str(response.json()["approvalId"])
            assert response.status_code in (409, 503), response.text
            await asyncio.sleep(0.05)


async def withdraws(approval_service: ApprovalService, student: Person, approval_id: str) -> None:
    """Withdraw until it is accepted."""
    async with asyncio.timeout(240):
        while True:
            response = await approval_service.does(student, approval_id, "withdrawal")
            if response.status_code == 201:
                return
            assert response.status_code == 503, response.text
            await asyncio.sleep(0.05)


async def test_slots_two_processes_never_give_one_slot_twice(stack: Any, namespace: str, tmp_path: Path) -> None:
    """Everyone who stays has a slot or waits. Each promotion happens once, with a contact that can be opened."""
    keys, catalogue = tmp_path / "keys", tmp_path / "leiden"
    keys.mkdir()
    catalogue.mkdir()
    create_keys(keys)
    leiden(catalogue)
    async with (
        approval_service_on(stack.mongo, namespace, keys, catalogue) as one,
        approval_service_on(stack.mongo, namespace, keys, catalogue) as two,
    ):
        students = [one.student() for _ in range(STUDENTS)]
        instances = [(one, two)[number % 2] for number in range(STUDENTS)]
        ids = await asyncio.gather(*(asks(*pair) for pair in zip(instances, students, strict=True)))
        leaving = range(0, STUDENTS, 2)
        late = [two.student() for _ in range(4)]
        more = await asyncio.gather(
            *(withdraws(instances[number + 1], students[number], ids[number]) for number in leaving),
            *(asks(one, student) for student in late),
        )

        store = Store(one.database)
        pool = (await store.pools.load(POOL)).state
        bodies = [
            document["body"] async for document in one.database["events"].find({"stream": POOL}).sort("version", 1)
        ]
        facts = [parse(bytes(body)).data for body in bodies]
        stay = {ids[number] for number in range(1, STUDENTS, 2)} | {
            approval_id for approval_id in more if approval_id is not None
        }
        assert pool is not None
        assert len(pool.allocated) == SLOTS
        assert sorted(entry.approval_id for entry in (*pool.allocated, *pool.waiting)) == sorted(stay)
        allocated = Counter(fact.approval_id for fact in facts if isinstance(fact, SlotAllocated))
        assert max(allocated.values()) == 1
        promoted = [fact for fact in facts if isinstance(fact, SlotAllocated) and fact.promoted]
        assert len(promoted) == len(allocated) - SLOTS
        whose = dict(
            zip(
                (*ids, *(approval_id for approval_id in more if approval_id is not None)),
                (*students, *late),
                strict=True,
            )
        )
        for event in promoted:
            details = await one.keyring.open(str(event.contact), "/contact")
            assert details is not None
            assert details["email"] == whose[event.approval_id].contact["email"]
        for number in range(1, STUDENTS, 2):
            seen = await two.look(ids[number], students[number])
            assert seen["slot"]["hasPlace"] is pool.has_slot(ids[number])


async def test_slots_promotion_prepared_for_another_starts_again(stack: Any, namespace: str, tmp_path: Path) -> None:
    """If another student is first by then, nothing is stored, and nobody gets another student's contact."""
    keys, catalogue = tmp_path / "keys", tmp_path / "leiden"
    keys.mkdir()
    catalogue.mkdir()
    create_keys(keys)
    leiden(catalogue)
    async with approval_service_on(stack.mongo, namespace, keys, catalogue) as approval_service:
        students = [approval_service.student() for _ in range(SLOTS + 2)]
        ids = [await asks(approval_service, student) for student in students]
        store = Store(approval_service.database)
        live = LiveCatalogue(catalogue, 3_600)
        commits = GroupCommit(approval_service.mongo, approval_service.database)
        deps = CommandDeps(
            approval_service.mongo, approval_service.database, store, approval_service.keyring, live, commits
        )
        before = await store.pools.load(POOL)
        stale = NextInLine(ids[-1], new_id(), "sealed:v1:a:b:c", "en")

        async def work(session: Session) -> None:
            await slots.release(deps, Cause("c", "c"), utc_now(), POOL, ids[0], "withdrawn", stale, session)

        with pytest.raises(StreamMoved):
            await approval_service.mongo.transaction(work)

        assert await store.pools.load(POOL) == before
