"""State is a fold: the collections of approval, rebuilt from Kafka alone, equal the stored ones."""

import asyncio
from pathlib import Path
from typing import Any

from services.approval.model import ApprovalRequest, SlotPool, evolve, evolve_pool
from services.approval.store.requests import SOURCE
from shared.bus import topics
from shared.bus.outbox import Outbox
from shared.events import ApprovalRequested, SlotAllocated
from shared.testing.checker import read_topic
from shared.web.local_tokens import create_keys
from tests.approval_service import MEDICINE, OFFICE, ApprovalService, approval_service_on, leiden
from tests.integration.bus_world import TOPICS, running, side, until

TOPIC = ApprovalRequested.topic


async def test_collections_rebuilt_from_kafka_alone_are_equal(stack: Any, namespace: str, tmp_path: Path) -> None:
    """Requests with every outcome and a pool with a promotion: each document is the fold of its stream."""
    keys, catalogue = tmp_path / "keys", tmp_path / "leiden"
    keys.mkdir()
    catalogue.mkdir()
    create_keys(keys)
    one = side(stack, namespace, "approval")
    await topics.apply(one.settings, topics.load(TOPICS), "local")
    async with approval_service_on(stack.mongo, namespace, keys, leiden(catalogue)) as approval_service:
        await _live(approval_service)
        kept = {name: await _documents(approval_service, name) for name in ("requests", "pools")}
        outbox = Outbox(approval_service.database, SOURCE)

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
    statuses = {ApprovalRequest.model_validate(request).status.value for request in kept["requests"].values()}
    assert statuses == {"requested", "returned", "granted", "refused", "withdrawn"}
    (pool,) = kept["pools"].values()
    assert [len(SlotPool.model_validate(pool).allocated), len(SlotPool.model_validate(pool).waiting)] == [3, 1]


async def _live(approval_service: ApprovalService) -> None:
    """A day of requests: asked, returned, answered, recorded, granted, refused, withdrawn, waiting, promoted."""
    students = [approval_service.student() for _ in range(6)]
    rotation = {
        "activityType": "clinical_clerkship", "country": "SR", "startDate": "2033-06-01", "endDate": "2033-07-01",
        "details": {"rotation": "regular", "cluster": "surinam-surgery"}, "language": "nl",
    }  # fmt: skip
    application = [
        await approval_service.asks(student, **rotation, contact=student.contact) for student in students[:5]
    ]
    ids = [answer["approvalId"] for answer in application]
    await asyncio.gather(
        approval_service.does(students[0], ids[0], "withdrawal"),
        approval_service.records(MEDICINE, ids[1], "criteria_confirmed", remark="All of them."),
    )
    await approval_service.granted(MEDICINE, ids[1])
    own = await approval_service.asks(
        students[5], details={"institute": "own_choice"}, instituteReason="Nobody else does this.", description="Cells."
    )
    approval_id = own["approvalId"]
    await approval_service.records(MEDICINE, approval_id, "supervisor_discussed", positive=False)
    await approval_service.does(MEDICINE, approval_id, "decisions", {"decision": "return", "reason": "With whom?"})
    await approval_service.does(students[5], approval_id, "answers", {"answer": "With the head of the group."})
    await approval_service.does(MEDICINE, approval_id, "decisions", {"decision": "return", "reason": "When?"})
    elective = {"activityType": "clinical_clerkship", "country": "SR", "details": {"rotation": "elective"}}
    second = (await approval_service.asks(students[5], **elective))["approvalId"]
    await approval_service.records(OFFICE, second, "international_office_contacted", remark="Called.")
    await approval_service.does(
        MEDICINE, second, "decisions", {"decision": "refuse", "reason": "Too late in the year."}
    )
    await approval_service.asks(students[5], activityType="moot_court")


async def _documents(approval_service: ApprovalService, collection: str) -> dict[str, dict[str, Any]]:
    return {str(document["_id"]): document async for document in approval_service.database[collection].find({})}
