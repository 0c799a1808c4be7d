"""`audit diff` rebuilds registrations from a topic of 1,000,000 events, against a consumer that only upserts them."""

import resource
import time
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from pathlib import Path

import orjson
from aiokafka import AIOKafkaProducer

from services.passage.rebuild import ShadowRebuild
from shared.audit.evidence import read
from shared.audit.reader import Reader
from shared.bus import topics
from shared.bus.settings import BusSettings
from shared.clock import utc_now
from shared.envelope import GENESIS, chain, compose, draft
from shared.events import (
    AdviceSeen,
    Event,
    Level,
    RegistrationApproved,
    RegistrationEvent,
    ReminderDue,
    ReminderKind,
    StayStarted,
)
from shared.ids import new_id
from shared.mongo.client import Mongo, ReplaceOne
from tests.benchmarks.measure import Measure, Where, against, ratio
from tests.integration.registration_parts import CAUSE, journey

FULL = 1_000_000
BATCH = 5_000
#: Events of one registration.
EVENTS_OF_EACH = 5
TOPICS = Path(__file__).resolve().parents[2] / "deploy" / "topics.yaml"


async def run(where: Where) -> list[Measure]:
    """Both read every record and write to MongoDB in bulk. `audit diff` also validates, folds, and derives tasks."""
    size = where.size(FULL) // EVENTS_OF_EACH * EVENTS_OF_EACH or EVENTS_OF_EACH
    namespace = f"bench-{new_id()[-6:]}-"
    await _fill(where, namespace, size)
    mongo = Mongo(where.mongo, namespace=namespace)
    growths: list[float] = []

    async def ours() -> float:
        shadow = ShadowRebuild(Mongo(where.mongo, namespace=namespace))
        before, began, events = _peak(), time.perf_counter(), 0
        try:
            async with Reader(where.kafka, namespace) as reader:
                async for record in reader.records([RegistrationEvent.topic]):
                    await shadow.fold(read(record))
                    events += 1
            await shadow.flush()
            took = time.perf_counter() - began
        finally:
            await shadow.close()
        growths.append(_peak() / before)
        assert events == size, events
        return size / took

    async def floor() -> float:
        collection = mongo.database("bare")["records"]
        began = time.perf_counter()
        async for batch in _batches(where, namespace):
            events = [orjson.loads(value) for value in batch if value is not None]
            writes = [ReplaceOne({"_id": event["subject"]}, event["data"], upsert=True) for event in events]
            if writes:
                await collection.bulk_write(writes, ordered=False)
        took = time.perf_counter() - began
        await mongo.drop("bare")
        return size / took

    try:
        speed = await against("registration-rebuild", "≥ 0.5 of a bare consumer", ours, floor, events=size)
        # The first round fills the process; a later one that grows it keeps what it has read.
        flat = ratio("registration-rebuild-memory", "flat: peak after ≤ 1.1 of peak before", growths[1:], events=size)
        return [speed, flat]
    finally:
        mongo.close()


def _peak() -> float:
    """Peak resident memory of this process, in the system's own unit."""
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


async def _batches(where: Where, namespace: str) -> AsyncIterator[Sequence[bytes | None]]:
    async with Reader(where.kafka, namespace) as reader:
        batch: list[bytes | None] = []
        async for record in reader.records([RegistrationEvent.topic]):
            batch.append(record.value)
            if len(batch) == BATCH:
                yield batch
                batch = []
        yield batch


async def _fill(where: Where, namespace: str, size: int) -> None:
    settings = BusSettings(where.kafka, namespace, "registration", "registration-0", str(TOPICS))
    await topics.apply(settings, topics.load(TOPICS), "local")
    producer = AIOKafkaProducer(bootstrap_servers=where.kafka, linger_ms=20)
    await producer.start()
    try:
        for _ in range(size // EVENTS_OF_EACH):
            for version, event in enumerate(_story(), start=1):
                key = event.stream.encode()
                body = compose(draft(event), source="/registration", version=version, time=utc_now(), cause=CAUSE)
                await producer.send(namespace + RegistrationEvent.topic, chain(body, version, GENESIS), key=key)
        await producer.flush()
    finally:
        await producer.stop()


def _story() -> list[Event]:
    filed = journey(40)
    who = {"registration_id": filed.registration_id, "person_id": filed.person_id}
    seen = (AdviceSeen(country="ES", advice_version=3, level=Level.YELLOW),)
    start = filed.legs[0].start_date

    def reminder(days: int) -> ReminderDue:
        return ReminderDue(
            **who, kind=ReminderKind.CHECK_ADVICE, occasion=f"T-{days}", due_on=start - timedelta(days), late=False,
            advice=seen, faculty_id=filed.faculty_id, programme_id=filed.programme_id, departure_date=start,
        )  # fmt: skip

    return [
        filed,
        RegistrationApproved(**who, reason="voluntary_and_safe", approval_id=None, advice=seen, decided_by="rules"),
        reminder(14),
        reminder(7),
        StayStarted(**who, on=start),
    ]
