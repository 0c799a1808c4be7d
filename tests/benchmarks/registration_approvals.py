"""A thousand approvals granted in a row: how long until the last held registration is decided, Kafka included."""

import asyncio
import time
from collections.abc import Sequence
from functools import partial
from typing import cast

from services.registration.evaluation import evaluate_all
from services.registration.handlers import APPROVALS, HandlerDeps, evaluate_registrations_when_approvals_changed
from services.registration.model import Status
from shared.bus.inbox import Inbox
from shared.clock import utc_now
from shared.envelope import Draft, Envelope, compose, parse
from shared.events import ApprovalEvent, ApprovalGranted, Level, RegistrationSubmitted
from shared.ids import new_id
from shared.mongo.client import Session
from tests.benchmarks.measure import Measure, Where, against, seconds
from tests.benchmarks.world import chained, installation, produce
from tests.integration.bus_world import running, until
from tests.integration.registration_parts import CAUSE, Parts, journey, parts

FULL = 1_000
PATIENCE_SECONDS = 600.0


async def run(where: Where) -> list[Measure]:
    """Held registrations whose approvals arrive on the topic; the floor decides the same ones without bus and inbox."""
    size = where.size(FULL)
    last: list[float] = []

    async def ours() -> float:
        async with (
            installation(where, "registration") as one,
            parts(where.mongo, one.settings.namespace) as service,
        ):
            submitted = await _held(service, size)
            inbox = Inbox(service.mongo, service.mongo.database("registration"))
            deps = HandlerDeps(service.evaluation, inbox, one.settings.group(ApprovalEvent.topic))
            bus = one.bus()
            handle = partial(evaluate_registrations_when_approvals_changed, deps=deps)
            bus.subscribe_in_batches(ApprovalEvent.topic, APPROVALS, handle)
            async with running(bus):
                await until(lambda: bus.subscriptions[ApprovalEvent.topic].status.assigned, seconds=PATIENCE_SECONDS)
                began = time.perf_counter()
                await produce(where.kafka, one.settings.physical(ApprovalEvent.topic), _records(submitted))
                granted = time.perf_counter()
                await until(lambda: _all_approved(service, size), seconds=PATIENCE_SECONDS)
                ended = time.perf_counter()
            last.append(ended - granted)
            return size / (ended - began)

    async def floor() -> float:
        async with (
            installation(where, "registration") as one,
            parts(where.mongo, one.settings.namespace) as service,
        ):
            submitted = await _held(service, size)
            began = time.perf_counter()
            for start in range(0, size, 500):
                chunk = submitted[start : start + 500]
                grants = [cast("Envelope[ApprovalEvent]", parse(value)) for _, value in _records(chunk)]

                async def save(session: Session, grants: Sequence[Envelope[ApprovalEvent]] = tuple(grants)) -> None:
                    await service.store.read_models.save_approvals(grants, session)

                await service.mongo.transaction(save)
                held = await service.store.naming_approvals([grant.data.approval_id for grant in grants])
                await evaluate_all(service.evaluation, held, cause=CAUSE, now=utc_now())
            return size / (time.perf_counter() - began)

    compared = await against(
        "registration-approvals / the same decisions without the bus", "≥ 0.5", ours, floor, registrations=size
    )
    return [compared, seconds("registration-approvals, the last one", "≤ 2 s for 1,000", last, registrations=size)]


async def _held(service: Parts, size: int) -> list[RegistrationSubmitted]:
    await service.advise("ES", Level.GREEN, 1)
    submitted = [
        journey(60).model_copy(update={"approval_id": new_id(), "study_related": True}) for _ in range(size)
    ]  # fmt: skip
    for start in range(0, size, 500):
        stored = await service.submit(submitted[start : start + 500], utc_now())
        await evaluate_all(service.evaluation, stored, cause=CAUSE, now=utc_now())
    return submitted


async def _all_approved(service: Parts, size: int) -> bool:
    approved = {"status": Status.APPROVED.value}
    await asyncio.sleep(0.02)
    return bool(await service.store.registrations.collection.count_documents(approved) == size)


def _grant(submitted: RegistrationSubmitted) -> ApprovalGranted:
    assert submitted.approval_id is not None
    return ApprovalGranted(
        approval_id=submitted.approval_id,
        person_id=submitted.person_id,
        faculty_id=submitted.faculty_id,
        programme_id=submitted.programme_id,
        activity_type=submitted.activity_type,
        country="ES",
        start_date=submitted.legs[0].start_date,
        end_date=submitted.legs[0].end_date,
        decided_by="approver-1",
        catalogue_version="0" * 12,
    )


def _records(submitted: Sequence[RegistrationSubmitted]) -> list[tuple[bytes, bytes]]:
    grants = [_grant(registration) for registration in submitted]
    bodies = (
        compose(Draft(grant, new_id()), source="/approval", version=1, time=utc_now(), cause=CAUSE) for grant in grants
    )
    return [(grant.approval_id.encode(), value) for grant, value in zip(grants, chained(bodies), strict=True)]
