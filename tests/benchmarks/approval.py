"""Approval against its floors: durable requests over HTTP, and the first page of a queue of 100,000 requests."""

import math
import statistics
import time
import uuid
from collections.abc import Iterator
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

from services.approval.model import ApprovalRequest, Status
from shared.clock import amsterdam_date, utc_now
from shared.events import ActivityType
from shared.web.local_tokens import create_keys
from tests.approval_service import MEDICINE, ApprovalService, approval_service_on, forget, leiden, request
from tests.benchmarks.measure import Measure, Where, ratio
from tests.benchmarks.served import beside_a_bare_route


async def submit(where: Where) -> list[Measure]:
    """Requests a second over HTTP, each durable, by many students at once: the service and a bare route in turn."""
    namespace, count = f"b{uuid.uuid4().hex[:8]}-", where.size(1_000)
    catalogue = where.folder / namespace / "leiden"
    catalogue.mkdir(parents=True)
    body = {
        **request("lumc-medicine"), "details": {"theme": "oncology", "institute": "listed"},
        "description": "Cells and how they talk to each other. " * 10, "contact": MEDICINE.contact,
    }  # fmt: skip
    measure = await beside_a_bare_route(
        where, namespace, "approval", "/v1/approval-requests", [body], count, {"CATALOGUE_DIR": str(leiden(catalogue))}
    )
    forget(where.mongo, namespace)
    return [measure]


async def queue(where: Where) -> list[Measure]:
    """The approver's queue with its counts: the 95th percentile at 100,000 requests against that at 1,000."""
    namespaces = {size: f"b{uuid.uuid4().hex[:8]}-" for size in (1_000, where.size(100_000))}
    keys, catalogue = where.folder / "queue-keys", where.folder / "queue-leiden"
    for folder in (keys, catalogue):
        folder.mkdir(exist_ok=True)
    create_keys(keys)
    leiden(catalogue)
    async with AsyncExitStack() as stack:
        approval_services: list[ApprovalService] = []
        for size, namespace in namespaces.items():
            stack.callback(forget, where.mongo, namespace)
            approval_service = await stack.enter_async_context(
                approval_service_on(where.mongo, namespace, keys, catalogue)
            )
            for batch in _batches(size):
                await approval_service.database["requests"].insert_many(batch, ordered=False)
            approval_services.append(approval_service)
        small, large = approval_services
        rounds, seen = [], []
        for number in range(6):
            few, many = await _percentile(small), await _percentile(large)
            if number:  # the first one warms up
                rounds.append(many / few)
                seen.append((few, many))
        milliseconds = [round(statistics.median(times) * 1_000, 1) for times in zip(*seen, strict=True)]
        return [
            ratio(
                "approval-queue", "p95 ≤ 2 × that of 1,000 requests", rounds,
                p95_ms_of_1000=milliseconds[0], p95_ms_of_all=milliseconds[1], requests=max(namespaces),
            )
        ]  # fmt: skip


async def _percentile(approval_service: ApprovalService, looks: int = 60) -> float:
    """The 95th percentile of the time for the first page of the open queue, in seconds."""
    durations = []
    for _ in range(looks):
        began = time.perf_counter()
        response = await approval_service.call("GET", "/approval-requests", MEDICINE, open="true")
        durations.append(time.perf_counter() - began)
        assert len(response.json()["items"]) == 50
    return sorted(durations)[math.ceil(looks * 0.95) - 1]


def _batches(size: int) -> Iterator[list[dict[str, Any]]]:
    """Requests of one programme, two in five of them open, with first days over a year."""
    now, today = utc_now(), amsterdam_date(utc_now())
    statuses = (Status.REQUESTED, Status.GRANTED, Status.RETURNED, Status.REFUSED, Status.WITHDRAWN)
    batch: list[dict[str, Any]] = []
    for number in range(size):
        start = today + timedelta(days=number % 365 - 20)
        state = ApprovalRequest(
            approval_id=f"a-{number:07}", person_id=f"p-{number}", faculty_id="lumc", programme_id="lumc-medicine",
            activity_type=ActivityType.MOOT_COURT, country="SE", start_date=start,
            end_date=start + timedelta(days=30), description=None, catalogue_version="0" * 12,
            status=statuses[number % 5], requested_at=now, changed_at=now,
        )  # fmt: skip
        batch.append({"_id": state.approval_id, "version": 1, **state.model_dump(mode="json", by_alias=True)})
        if len(batch) == 5_000 or number == size - 1:
            yield batch
            batch = []
