"""State is a fold: the collections of approval rebuilt from Kafka alone are the ones that it keeps."""

import asyncio
from pathlib import Path
from typing import Any

from services.approval.model import ApprovalRequest, SlotPool, evolve, evolve_pool
from services.approval.store import SOURCE
from shared.bus import topics
from shared.bus.outbox import Outbox
from shared.events import ApprovalRequested, SlotAllocated
from shared.testing.checker import read_topic
from shared.web.local_tokens import create_keys
from tests.campus import MEDICINE, OFFICE, Campus, campus_on, leiden
from tests.integration.bus_world import TOPICS, running, side, until

TOPIC = ApprovalRequested.topic


async def test_collections_rebuilt_from_kafka_alone_are_equal(stack: Any, namespace: str, tmp_path: Path) -> None:
    """Requests of every kind and end, pools with a promotion: each document is the fold of its stream on the topic."""
    keys, catalogue = tmp_path / "keys", tmp_path / "leiden"
    keys.mkdir()
    catalogue.mkdir()
    create_keys(keys)
    one = side(stack, namespace, "approval")
    await topics.apply(one.settings, topics.load(TOPICS), "local")
    async with campus_on(stack.mongo, namespace, keys, leiden(catalogue)) as campus:
        await _live(campus)
        kept = {name: await _documents(campus, name) for name in ("requests", "pools")}
        outbox = Outbox(campus.database, SOURCE)

        async def published() -> bool:
            return await outbox.events.count_documents({"pending": True}) == 0

        async with running(one.relay()):
            await until(published, seconds=120)

    log = await read_topic(stack.kafka, namespace, TOPIC)
    one.mongo.close()

    assert log.broken() == []
    assert len(kept["requests"]) == 8
    assert len(kept["pools"]) == 1
    assert log.unlike(evolve, kept["requests"], ApprovalRequested) == []
    assert log.unlike(evolve_pool, kept["pools"], SlotAllocated) == []
    statuses = {ApprovalRequest.model_validate(each).status.value for each in kept["requests"].values()}
    assert statuses == {"requested", "returned", "granted", "refused", "withdrawn"}
    (pool,) = kept["pools"].values()
    assert [len(SlotPool.model_validate(pool).allocated), len(SlotPool.model_validate(pool).waiting)] == [3, 1]


async def _live(campus: Campus) -> None:
    """What people do in a day: ask, ask back, answer, record, grant, refuse, withdraw, wait, be promoted."""
    students = [campus.student() for _ in range(6)]
    rotation = {
        "activityType": "clinical_clerkship", "country": "SR", "startDate": "2050-06-01", "endDate": "2050-07-01",
        "details": {"rotation": "regular", "cluster": "surinam-surgery"}, "language": "nl",
    }  # fmt: skip
    asked = [await campus.asks(each, **rotation, contact=each.contact) for each in students[:5]]
    ids = [each["approvalId"] for each in asked]
    await asyncio.gather(
        campus.does(students[0], ids[0], "withdrawal"),
        campus.records(MEDICINE, ids[1], "criteria_confirmed", remark="All of them."),
    )
    await campus.granted(MEDICINE, ids[1])
    own = await campus.asks(
        students[5], details={"institute": "own_choice"}, instituteReason="Nobody else does this.", description="Cells."
    )
    approval_id = own["approvalId"]
    await campus.records(MEDICINE, approval_id, "supervisor_discussed", positive=False)
    await campus.does(MEDICINE, approval_id, "decisions", {"decision": "return", "reason": "With whom?"})
    await campus.does(students[5], approval_id, "answers", {"answer": "With the head of the group."})
    await campus.does(MEDICINE, approval_id, "decisions", {"decision": "return", "reason": "When?"})
    elective = {"activityType": "clinical_clerkship", "country": "SR", "details": {"rotation": "elective"}}
    second = (await campus.asks(students[5], **elective))["approvalId"]
    await campus.records(OFFICE, second, "international_office_contacted", remark="Called.")
    await campus.does(MEDICINE, second, "decisions", {"decision": "refuse", "reason": "Too late in the year."})
    await campus.asks(students[5], activityType="moot_court")


async def _documents(campus: Campus, collection: str) -> dict[str, dict[str, Any]]:
    return {str(each["_id"]): each async for each in campus.database[collection].find({})}
